"""Never asked: the server refuses plain inference on a decoupled model."""


class TritonPythonModel:
    def execute(self, requests):
        return None
