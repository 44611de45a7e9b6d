"""Programs that know nothing of us: grpcurl and ghz by reflection, and Triton's perf_analyzer."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.programs import grpcurl, run

CALLS = 2000

INFER = {
    "model_name": "simple",
    "inputs": [
        {"name": name, "datatype": "INT32", "shape": [1, 16], "contents": {"int_contents": [3] * 16}}
        for name in ("INPUT0", "INPUT1")
    ],
}

PREDICT = {
    "model_spec": {"name": "simple"},
    "inputs": {
        name: {"dtype": "DT_INT32", "tensor_shape": {"dim": [{"size": 1}, {"size": 16}]}, "int_val": [3] * 16}
        for name in ("INPUT0", "INPUT1")
    },
}

SERVICES = {
    "inference.GRPCInferenceService": "ModelInfer",
    "tensorflow.serving.PredictionService": "Predict",
    "tensorflow.serving.ModelService": "GetModelStatus",
}


def test_grpcurl_list(server):
    done = grpcurl("-plaintext", server.address, "list")
    assert set(SERVICES) <= set(done.out.split())


@pytest.mark.parametrize("service", SERVICES)
def test_grpcurl_describe(server, service):
    assert f"rpc {SERVICES[service]} (" in grpcurl("-plaintext", server.address, "describe", service).out
    # ghz asks in this form.
    assert grpcurl("-plaintext", server.address, "describe", f"{service}.{SERVICES[service]}").code == 0


@pytest.mark.parametrize("message", ["inference.ModelInferRequest", "inference.ModelConfig", "tensorflow.TensorProto"])
def test_grpcurl_describe_of_messages(server, message):
    done = grpcurl("-plaintext", "-msg-template", server.address, "describe", message)
    assert done.code == 0, done.err
    assert message.rpartition(".")[2] in done.out


def test_grpcurl_model_infer(server):
    method = "inference.GRPCInferenceService/ModelInfer"
    answer = grpcurl("-plaintext", "-d", json.dumps(INFER), server.address, method).json
    assert (answer["modelName"], answer["modelVersion"]) == ("simple", "1")
    assert [output["name"] for output in answer["outputs"]] == ["OUTPUT0", "OUTPUT1"]
    # In JSON bytes are base64: sixteen times 6, and sixteen times 0.
    assert answer["rawOutputContents"] == ["BgAAAAYAAAAGAAAA" * 5 + "BgAAAA==", "A" * 86 + "=="]


def test_grpcurl_model_stream_infer(server):
    method = "inference.GRPCInferenceService/ModelStreamInfer"
    done = grpcurl("-plaintext", "-d", json.dumps(INFER) * 3, server.address, method)
    assert done.code == 0 and done.out.count('"inferResponse"') == 3


def test_grpcurl_predict(server):
    method = "tensorflow.serving.PredictionService/Predict"
    answer = grpcurl("-plaintext", "-d", json.dumps(PREDICT), server.address, method).json
    assert answer["outputs"]["OUTPUT0"]["intVal"] == [6] * 16
    assert answer["outputs"]["OUTPUT1"]["intVal"] == [0] * 16


@pytest.mark.parametrize(
    ("method", "request_", "model"),
    [
        ("inference.GRPCInferenceService.ModelInfer", INFER, "simple"),
        ("tensorflow.serving.PredictionService.Predict", PREDICT, "simple"),
    ],
    ids=["ModelInfer", "Predict"],
)
def test_ghz(server, method, request_, model):
    options = {
        "call": method,
        "data": json.dumps(request_),
        "total": str(CALLS),
        "concurrency": "20",
        "timeout": "20s",
        "format": "json",
    }
    done = run("ghz", "--insecure", *(f"--{name}={value}" for name, value in options.items()), server.address)
    assert done.json["count"] == CALLS
    assert done.json["statusCodeDistribution"] == {"OK": CALLS}


def perf_analyzer(address: str, *words: str) -> float:
    """Inferences a second. It is linked with CUDA's runtime, which PyPI has, and with libb64, which Debian has."""
    import nvidia.cuda_runtime

    libraries = Path(nvidia.cuda_runtime.__path__[0]) / "lib"
    program = Path(sys.executable).parent / "perf_analyzer"
    # So many, and not until the figures are steady: on a busy machine they never are.
    done = subprocess.run(
        [program, "-i", "grpc", "-u", address, "--request-count", "500", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"Throughput: ([\d.]+) infer/sec", done.stdout)
    assert found, done.stdout
    assert not re.search(r"[1-9]\d* (?:failed|errors?)", done.stdout), done.stdout
    return float(found[1])


@pytest.mark.parametrize(
    "words",
    [
        ["--sync"],
        ["--async", "--concurrency-range", "4"],
        ["--async", "--streaming", "--concurrency-range", "4"],
        ["-b", "8"],
        ["--shared-memory", "system", "--output-shared-memory-size", "1024"],
        ["--shared-memory", "system", "--output-shared-memory-size", "1024", "-b", "8", "--async", "--streaming"],
        ["--request-rate-range", "200"],
        ["--grpc-compression-algorithm", "gzip"],
    ],
    ids=" ".join,
)
def test_perf_analyzer(server, words):
    assert perf_analyzer(server.address, "-m", "simple", *words) > 0


def test_perf_analyzer_with_texts(server):
    assert perf_analyzer(server.address, "-m", "simple_identity", "--shape", "INPUT0:4", "--string-length", "32") > 0


def test_perf_analyzer_of_tensorflow_serving(server):
    words = ["--service-kind", "tfserving", "--model-signature-name", "serving_default"]
    assert perf_analyzer(server.address, "-m", "simple", *words, "--shape", "INPUT0:1,16", "--shape", "INPUT1:1,16") > 0
