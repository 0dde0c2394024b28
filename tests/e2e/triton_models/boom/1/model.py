"""0: refuses the request. 1: raises. 2: ends the model's process."""

import os

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            kind = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy().flat[0]
            if kind == 1:
                raise RuntimeError("boom")
            if kind == 2:
                os._exit(1)
            refusal = pb_utils.TritonError("refused by the model", pb_utils.TritonError.UNAVAILABLE)
            responses.append(pb_utils.InferenceResponse(error=refusal))
        return responses
