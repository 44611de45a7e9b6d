"""Triton's Python backend with onnxruntime in it: the whole batch that Triton gathered in one run, one thread."""

import os

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[-1].name

    def execute(self, requests):
        rows = [pb_utils.get_input_tensor_by_name(request, "features").as_numpy() for request in requests]
        batch = rows[0] if len(rows) == 1 else np.concatenate(rows)
        scores = self.session.run([self.output], {self.input: batch})[0][:, -1:]
        responses = []
        start = 0
        for row in rows:
            end = start + len(row)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("score", scores[start:end])]))
            start = end
        return responses
