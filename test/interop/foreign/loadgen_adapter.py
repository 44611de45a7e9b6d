"""What stands between MLPerf's LoadGen and a server that speaks ModelInfer: `loadgen_adapter.py ADDRESS SCENARIO FOLDER`.

Short runs that show that it can be driven, with every answer checked; no claim of what MLPerf calls compliance. One line of JSON at the end.
"""

import array
import json
import sys
import threading
from pathlib import Path

import grpc
import mlperf_loadgen
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

MODEL = "simple"
SAMPLES = 256
SECONDS = 2
QUERIES_A_SECOND = 200
# So long that a busy machine is no reason to fail.
LATENCY_MS = 1000


class Adapter:
    """One call a sample; answers go back as they come, on gRPC's own threads."""

    def __init__(self, address: str):
        self._channel = grpc.insecure_channel(address)
        self._call = service_pb2_grpc.GRPCInferenceServiceStub(self._channel).ModelInfer
        samples = np.random.default_rng(0).integers(-1000, 1000, (SAMPLES, 2, 1, 16), np.int32)
        self._requests = [_request(*sample) for sample in samples]
        self._expected = [(first + second).tobytes() for first, second in samples]
        self._lock = threading.Lock()
        self.answered = 0
        self.wrong = 0

    def issue(self, queries: list) -> None:
        for query in queries:
            call = self._call.future(self._requests[query.index], timeout=30)
            call.add_done_callback(lambda call, query=query: self._complete(query, call))

    def _complete(self, query, call) -> None:
        try:
            found = call.result().raw_output_contents[0]
        except grpc.RpcError:
            found = b""
        with self._lock:
            self.answered += 1
            self.wrong += found != self._expected[query.index]
        # LoadGen reads the answer where it lies, so that it has to live until it has been told of it.
        answer = array.array("B", found)
        place, length = answer.buffer_info()
        mlperf_loadgen.QuerySamplesComplete([mlperf_loadgen.QuerySampleResponse(query.id, place, length)])

    def flush(self) -> None:
        """Nothing waits here for company."""


def _request(first: np.ndarray, second: np.ndarray) -> pb.ModelInferRequest:
    inputs = [
        pb.ModelInferRequest.InferInputTensor(name=name, datatype="INT32", shape=[1, 16]) for name in ("INPUT0", "INPUT1")
    ]
    outputs = [pb.ModelInferRequest.InferRequestedOutputTensor(name="OUTPUT0")]
    contents = [first.tobytes(), second.tobytes()]
    return pb.ModelInferRequest(model_name=MODEL, inputs=inputs, outputs=outputs, raw_input_contents=contents)


def settings(scenario: str) -> mlperf_loadgen.TestSettings:
    made = mlperf_loadgen.TestSettings()
    made.scenario = getattr(mlperf_loadgen.TestScenario, scenario)
    made.mode = mlperf_loadgen.TestMode.PerformanceOnly
    made.min_duration_ms = SECONDS * 1000
    made.max_duration_ms = 10 * SECONDS * 1000
    made.min_query_count = 100
    made.single_stream_expected_latency_ns = 1_000_000
    made.server_target_qps = QUERIES_A_SECOND
    made.server_target_latency_ns = LATENCY_MS * 1_000_000
    made.server_target_latency_percentile = 0.9
    made.server_coalesce_queries = False
    return made


def main(address: str, scenario: str, folder: str) -> None:
    adapter = Adapter(address)
    output = mlperf_loadgen.LogOutputSettings()
    output.outdir = folder
    output.copy_summary_to_stdout = False
    logs = mlperf_loadgen.LogSettings()
    logs.log_output = output
    logs.enable_trace = False
    library = mlperf_loadgen.ConstructQSL(SAMPLES, SAMPLES, lambda _: None, lambda _: None)
    system = mlperf_loadgen.ConstructSUT(adapter.issue, adapter.flush)
    mlperf_loadgen.StartTestWithLogSettings(system, library, settings(scenario), logs)
    mlperf_loadgen.DestroyQSL(library)
    mlperf_loadgen.DestroySUT(system)
    summary = dict(
        (part.strip() for part in line.split(":", 1))
        for line in (Path(folder) / "mlperf_log_summary.txt").read_text().splitlines()
        if ":" in line
    )
    print(json.dumps({"answered": adapter.answered, "wrong": adapter.wrong, "summary": summary}))


if __name__ == "__main__":
    main(*sys.argv[1:])
