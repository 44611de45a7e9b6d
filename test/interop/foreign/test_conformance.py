"""ONNX's backend cases through ModelInfer. What onnxruntime alone gets right, the server gets right; of the rest it says why not.

What onnxruntime alone gets right is found out anew by direct-run.ts, with the very runtime that the server has, on the very machine.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from support.server import ROOT, Server
from tools.backend_cases import BackendCase, DataSet, backend_cases, tensor_from_json

CASES = {case.name: case for case in backend_cases()}

# The package brings so many; a run that finds fewer has lost some on the way.
CASES_AT_LEAST = 1793
# Some depend on what instructions the machine has.
DIRECT_AT_LEAST = 1450

START_SECONDS = 240

# How the verdict on a case begins that onnxruntime ran, with other numbers than ONNX has.
DIFFERS = "differs: "

REFUSALS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED)

NUMPY_TYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


@dataclass
class Count:
    """What became of the cases."""

    direct: int = 0
    served: int = 0
    refused: int = 0
    # Loaded and answered, with other numbers than ONNX has: as onnxruntime alone does.
    differing: int = 0


@pytest.fixture(scope="module")
def count():
    return Count()


@pytest.fixture(scope="module")
def direct() -> dict[str, str]:
    """By case that can be sent at all: what onnxruntime alone has against it; empty where it is right."""
    fit = [case for case in CASES.values() if case.unfit == ""]
    lines = "".join(json.dumps(case.as_json()) + "\n" for case in fit)
    node = ROOT / "node_modules" / ".bin" / "node"
    program = [str(node if node.exists() else "node"), "test/interop/foreign/direct-run.ts"]
    done = subprocess.run(program, input=lines, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = {answer["name"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    return {case.name: verdict(case, answers[case.name]) for case in fit}


def verdict(case: BackendCase, answer: dict) -> str:
    for reason in ("crash", "error"):
        if reason in answer:
            return f"{reason}: {answer[reason]}"
    differences = (
        case.difference([tensor_from_json(output) for output in found], data.outputs)
        for found, data in zip(answer["sets"], case.data_sets)
    )
    return next((DIFFERS + difference for difference in differences if difference != ""), "")


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """All of the models in one repository, those that nobody can serve as well."""
    repository = tmp_path_factory.mktemp("conformance")
    for case in CASES.values():
        version = repository / case.name / "1"
        version.mkdir(parents=True)
        shutil.copy(case.file, version / "model.onnx")
    server = Server("--set", "warm_up.budget_ms=1", models=repository)
    try:
        server.start(wait=False)
        line = server.wait_log(lambda line: line.get("msg") == "SERVING", START_SECONDS)
        server.address, server.http = line["grpc"], line["http"]
        yield server
    finally:
        server.kill()
        shutil.rmtree(repository)


@pytest.fixture(scope="module")
def infer(serving):
    with serving.channel(max_receive_message_length=-1) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="module")
def index(infer) -> dict[str, pb.RepositoryIndexResponse.ModelIndex]:
    return {entry.name: entry for entry in infer.RepositoryIndex(pb.RepositoryIndexRequest(), timeout=60).models}


def request_of(case: BackendCase, data: DataSet) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=case.name)
    for name, value in zip(case.input_names, data.inputs):
        data_type = case.data_types[name]
        request.inputs.add(name=name, datatype=data_type, shape=value.shape)
        if data_type == "BYTES":
            packed = serialize_byte_tensor(value.astype(np.object_))
            request.raw_input_contents.append(packed.item() if packed.size > 0 else b"")
        else:
            request.raw_input_contents.append(np.ascontiguousarray(value).tobytes())
    return request


def outputs_of(case: BackendCase, response: pb.ModelInferResponse) -> list[np.ndarray]:
    found = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        flat = (
            deserialize_bytes_tensor(raw)
            if output.datatype == "BYTES"
            else np.frombuffer(raw, NUMPY_TYPES[output.datatype])
        )
        found[output.name] = flat.reshape(output.shape)
    return [found[name] for name in case.output_names]


def test_nothing_was_lost_on_the_way(direct):
    assert len(CASES) >= CASES_AT_LEAST
    assert list(direct.values()).count("") >= DIRECT_AT_LEAST
    assert not [name for name, against in direct.items() if against.startswith("crash")]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.timeout(START_SECONDS + 60)
def test_case(serving, infer, index, direct, count, name):
    case = CASES[name]
    assert serving.running(), "the server ended"
    against = direct.get(name, case.unfit)
    if against == "":
        count.direct += 1
        for data in case.data_sets:
            response = infer.ModelInfer(request_of(case, data), timeout=30)
            assert case.difference(outputs_of(case, response), data.outputs) == ""
        count.served += 1
    elif against.startswith(DIFFERS):
        # Random numbers, and operators that onnxruntime has its own mind of: answers all the same, of the right shapes or not.
        for data in case.data_sets:
            outputs_of(case, infer.ModelInfer(request_of(case, data), timeout=30))
        count.differing += 1
    elif index[name].state == "READY":
        request = pb.ModelInferRequest(model_name=name) if case.unfit else request_of(case, case.data_sets[0])
        with pytest.raises(grpc.RpcError) as raised:
            infer.ModelInfer(request, timeout=30)
        assert raised.value.code() in REFUSALS and raised.value.details() != ""
        count.refused += 1
    else:
        assert index[name].state == "UNAVAILABLE" and index[name].reason != ""
        count.refused += 1


def test_the_server_is_as_it_was(serving, infer, direct, count, capsys):
    """After all of them."""
    assert serving.running(), "the server ended"
    assert not [line for line in serving.log if "worker exited" in line["msg"]], "a worker was lost on the way"
    good = next(name for name, against in direct.items() if against == "")
    case = CASES[good]
    response = infer.ModelInfer(request_of(case, case.data_sets[0]), timeout=30)
    assert case.difference(outputs_of(case, response), case.data_sets[0].outputs) == ""
    assert serving.stop() == 0
    with capsys.disabled():
        print(
            f"\nconformance: {count.served} served of {count.direct} direct, {count.refused} refused with a reason, "
            f"{count.differing} answered with other numbers as onnxruntime alone, 0 crashes"
        )
