"""Scales bytes to 0 … 1 and puts the channels first."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            image = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
            scaled = image.astype(np.float32) * np.float32(1 / 255)
            tensor = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
            output = pb_utils.Tensor("tensor", tensor)
            responses.append(pb_utils.InferenceResponse(output_tensors=[output]))
        return responses
