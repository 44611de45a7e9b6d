"""KServe's Python model server with onnxruntime in it: usage: kserve_app.py NAME MODEL_FILE FEATURES [KServe's flags]"""

import logging
import sys

import kserve.model_server
import numpy as np
import onnxruntime as ort
from grpc import aio
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

LOOPBACK = "127.0.0.1"


class OnnxModel(Model):
    def __init__(self, name: str, path: str, features: int):
        super().__init__(name)
        self.features = features
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[-1].name
        self.ready = True

    def get_input_types(self):
        return [{"name": "features", "datatype": "FP32", "shape": [-1, self.features]}]

    def get_output_types(self):
        return [{"name": "score", "datatype": "FP32", "shape": [-1, 1]}]

    def predict(self, payload: InferRequest, headers=None) -> InferResponse:
        rows = payload.inputs[0].as_numpy()
        scores = np.ascontiguousarray(self.session.run([self.output], {self.input: rows})[0][:, -1:])
        output = InferOutput("score", list(scores.shape), "FP32")
        output.set_data_from_numpy(scores, binary_data=True)
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


def listen_on_loopback() -> None:
    """KServe has no setting for its address, and would listen on all of them."""
    make_server = aio.server

    def loopback_server(*args, **kwargs):
        server = make_server(*args, **kwargs)
        add_port = server.add_insecure_port
        server.add_insecure_port = lambda address: add_port(f"{LOOPBACK}:{address.rpartition(':')[2]}")
        return server

    aio.server = loopback_server

    class LoopbackServer(kserve.model_server.RESTServer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.config.host = LOOPBACK

    kserve.model_server.RESTServer = LoopbackServer


if __name__ == "__main__":
    # A line a call otherwise.
    logging.disable(logging.INFO)
    listen_on_loopback()
    name, path, features = sys.argv[1:4]
    ModelServer().start([OnnxModel(name, path, int(features))])
