"""ModelInfer by Triton's client, one call after the other and many at once."""

import json
import queue
import threading
import time

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

from support.server import EXAMPLES, Server
from tools.simple import addends, inputs_of, is_right, raw_request, tensor, typed_request

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

TYPED_FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(["UINT8", "UINT16", "UINT32"], "uint_contents"),
    "UINT64": "uint64_contents",
    **dict.fromkeys(["INT8", "INT16", "INT32"], "int_contents"),
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}

TEXTS = [b"", b"plain", "größer 東京 🙂".encode(), b"\x00\x01\x02\x03", b"in\x00side", b"\xff\xfe no UTF-8", b"end\x00"]


def extremes(data_type: str) -> np.ndarray:
    kind = NUMPY_TYPES[data_type]
    if data_type == "BOOL":
        return np.array([True, False, True])
    if np.issubdtype(kind, np.integer):
        return np.array([np.iinfo(kind).min, 0, 1, np.iinfo(kind).max], kind)
    return np.array([np.finfo(kind).min, -0.0, 1 / 3, np.inf, -np.inf, np.nan, np.finfo(kind).tiny], kind)


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_simple(client, rows):
    values = addends(rows)
    result = client.infer("simple", inputs_of(values))
    assert is_right(result, values)
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == ("simple", "1", "")
    assert [list(output.shape) for output in response.outputs] == [[rows, 16]] * 2
    # Answers come raw, whatever way the request came.
    assert len(response.raw_output_contents) == 2
    assert not any(output.HasField("contents") for output in response.outputs)


def test_typed_contents(stub):
    request = typed_request()
    response = stub.ModelInfer(request, timeout=10)
    first, second = addends()
    assert list(response.raw_output_contents) == [(first + second).tobytes(), (first - second).tobytes()]


@pytest.mark.parametrize("data_type", NUMPY_TYPES)
def test_every_data_type(client, data_type):
    value = extremes(data_type)
    found = client.infer(f"identity_{data_type.lower()}", [tensor("INPUT0", value)]).as_numpy("OUTPUT0")
    assert found.dtype == value.dtype and found.tobytes() == value.tobytes()


@pytest.mark.parametrize("data_type", TYPED_FIELDS)
def test_every_data_type_typed(stub, data_type):
    value = extremes(data_type)
    model = f"identity_{data_type.lower()}"
    declared = pb.ModelInferRequest.InferInputTensor(name="INPUT0", datatype=data_type, shape=value.shape)
    getattr(declared.contents, TYPED_FIELDS[data_type]).extend(value.tolist())
    response = stub.ModelInfer(pb.ModelInferRequest(model_name=model, inputs=[declared]), timeout=10)
    [output] = response.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("OUTPUT0", data_type, list(value.shape))
    assert response.raw_output_contents[0] == value.tobytes()


@pytest.mark.parametrize("field", ["int_contents", "uint_contents"])
def test_typed_numbers_are_cut_to_their_low_bytes(stub, field):
    """As Triton does with values that the type can't hold."""
    data_type = "INT8" if field == "int_contents" else "UINT8"
    declared = pb.ModelInferRequest.InferInputTensor(name="INPUT0", datatype=data_type, shape=[2])
    getattr(declared.contents, field).extend([0x1FF, 0x101])
    request = pb.ModelInferRequest(model_name=f"identity_{data_type.lower()}", inputs=[declared])
    assert stub.ModelInfer(request, timeout=10).raw_output_contents[0] == b"\xff\x01"


@pytest.mark.parametrize("data_type", [*NUMPY_TYPES, "BYTES"])
def test_zero_elements(client, data_type):
    value = np.empty([0], NUMPY_TYPES.get(data_type, np.object_))
    found = client.infer(f"identity_{data_type.lower()}", [tensor("INPUT0", value)])
    assert found.get_output("OUTPUT0").shape == [0]
    assert list(found.get_response().raw_output_contents) == [b""]


@pytest.mark.parametrize("model", ["identity_bytes", "simple_identity"])
def test_bytes_of_any_kind(client, model):
    value = np.array(TEXTS, np.object_)
    value = value if model == "identity_bytes" else value.reshape(1, -1)
    assert client.infer(model, [tensor("INPUT0", value)]).as_numpy("OUTPUT0").tolist() == value.tolist()


def test_bytes_typed(stub):
    declared = pb.ModelInferRequest.InferInputTensor(name="INPUT0", datatype="BYTES", shape=[len(TEXTS)])
    declared.contents.bytes_contents.extend(TEXTS)
    response = stub.ModelInfer(pb.ModelInferRequest(model_name="identity_bytes", inputs=[declared]), timeout=10)
    packed = b"".join(len(text).to_bytes(4, "little") + text for text in TEXTS)
    assert response.raw_output_contents[0] == packed


def test_random_bytes(client):
    random = np.random.default_rng(7)
    value = np.array([random.bytes(int(length)) for length in random.integers(0, 200, 500)], np.object_)
    assert client.infer("identity_bytes", [tensor("INPUT0", value)]).as_numpy("OUTPUT0").tolist() == value.tolist()


def test_strings_in_numbers_out(client):
    """The model computes with texts."""
    first, second = addends()
    inputs = [
        tensor(f"INPUT{n}", np.array([str(number).encode() for number in value.ravel()], np.object_).reshape(1, 16))
        for n, value in enumerate((first, second))
    ]
    result = client.infer("simple_string", inputs)
    assert [int(text) for text in result.as_numpy("OUTPUT0").ravel()] == (first + second).ravel().tolist()
    assert [int(text) for text in result.as_numpy("OUTPUT1").ravel()] == (first - second).ravel().tolist()


def test_a_scalar(client):
    found = client.infer("scalar", [tensor("INPUT0", np.array(2.5))])
    assert found.get_output("OUTPUT0").shape == [] and found.as_numpy("OUTPUT0") == 5.0


def test_an_optional_input(client):
    value = np.array([1, 2], np.float32)
    assert client.infer("optional_input", [tensor("INPUT0", value)]).as_numpy("OUTPUT0").tolist() == [10, 20]
    factor = tensor("FACTOR", np.array([3], np.float32))
    assert client.infer("optional_input", [tensor("INPUT0", value), factor]).as_numpy("OUTPUT0").tolist() == [3, 6]


def test_a_reshaped_tensor(client):
    value = np.arange(5, dtype=np.float32).reshape(5, 1)
    assert np.array_equal(client.infer("reshaped", [tensor("INPUT0", value)]).as_numpy("OUTPUT0"), value)


@pytest.mark.parametrize(("version", "offset"), [("", 200), ("1", 0), ("2", 100), ("3", 200)])
def test_versions(client, version, offset):
    values = addends()
    result = client.infer("versions_all", inputs_of(values), version)
    assert is_right(result, values, offset)
    assert result.get_response().model_version == (version or "3")


def test_inputs_in_any_order(client):
    values = addends(2)
    assert is_right(client.infer("simple", inputs_of(values)[::-1]), values)


@pytest.mark.parametrize("wanted", [["OUTPUT1", "OUTPUT0"], ["OUTPUT1"]])
def test_outputs_as_they_were_asked_for(client, wanted):
    values = addends()
    outputs = [triton.InferRequestedOutput(name) for name in wanted]
    result = client.infer("simple", inputs_of(values), outputs=outputs)
    assert [output.name for output in result.get_response().outputs] == wanted
    assert np.array_equal(result.as_numpy("OUTPUT1"), values[0] - values[1])


def test_ids_and_parameters(client):
    values = addends()
    parameters = {"text": "of mine", "number": 7, "flag": True}
    result = client.infer("simple", inputs_of(values), request_id="an id", priority=1, parameters=parameters)
    assert result.get_response().id == "an id"
    assert is_right(result, values)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed(client, algorithm):
    values = addends(8)
    assert is_right(client.infer("simple", inputs_of(values), compression_algorithm=algorithm), values)


@pytest.mark.parametrize("megabytes", [5, 50])
def test_messages_far_above_4_mb(client, megabytes):
    value = np.random.default_rng(megabytes).random(megabytes * 2**20 // 4, np.float32)
    found = client.infer("identity_fp32", [tensor("INPUT0", value)], client_timeout=60).as_numpy("OUTPUT0")
    assert np.array_equal(found, value)


def test_50_mb_typed_beside_a_caller_of_single_rows(client, stub):
    """The other caller has all of its answers, long before the large one has its own to wait for."""
    value = np.random.default_rng(1).random(50 * 2**20 // 4, np.float32)
    declared = pb.ModelInferRequest.InferInputTensor(name="INPUT0", datatype="FP32", shape=value.shape)
    declared.contents.fp32_contents.extend(value.tolist())
    large = stub.ModelInfer.future(pb.ModelInferRequest(model_name="identity_fp32", inputs=[declared]), timeout=100)
    values = addends()
    for _ in range(200):
        assert is_right(client.infer("simple", inputs_of(values), client_timeout=10), values)
    assert large.result().raw_output_contents[0] == value.tobytes()


def test_classification(client):
    value = np.array([[0.1, 0.5, 0.25, 0.15], [4, 3, 2, 1]], np.float32)
    output = triton.InferRequestedOutput("OUTPUT0", class_count=3)
    found = client.infer("labelled", [tensor("INPUT0", value)], outputs=[output])
    assert found.get_output("OUTPUT0").datatype == "BYTES"
    assert found.as_numpy("OUTPUT0").tolist() == [
        [b"0.500000:1:birch", b"0.250000:2:cedar", b"0.150000:3:elm"],
        [b"4.000000:0:ash", b"3.000000:1:birch", b"2.000000:2:cedar"],
    ]


def test_classification_of_integers_without_a_batch(client):
    output = triton.InferRequestedOutput("OUTPUT0", class_count=99)
    value = tensor("INPUT0", np.array([3, 9, 7, 1], np.int32))
    found = client.infer("labelled_flat", [value], outputs=[output]).as_numpy("OUTPUT0")
    assert found.tolist() == [b"9:1:birch", b"7:2:cedar", b"3:0:ash", b"1:3:elm"]


def test_classification_without_labels(client):
    output = triton.InferRequestedOutput("OUTPUT0", class_count=1)
    found = client.infer("simple", inputs_of(addends()), outputs=[output]).as_numpy("OUTPUT0")
    assert found.tolist() == [[b"18:15"]]


@pytest.mark.parametrize(
    ("model", "value", "count", "message"),
    [
        (
            "identity_bytes",
            np.array([b"a"], np.object_),
            1,
            "class result not available for output due to unsupported type 'BYTES'",
        ),
        (
            "identity_fp16",
            np.ones(2, np.float16),
            1,
            "class result not available for output due to unsupported type 'FP16'",
        ),
        ("identity_fp32", np.zeros(1_000_001, np.float32), 1, "classification output tensor too large"),
    ],
)
def test_what_can_not_be_classified(client, model, value, count, message):
    output = triton.InferRequestedOutput("OUTPUT0", class_count=count)
    with pytest.raises(InferenceServerException) as raised:
        client.infer(model, [tensor("INPUT0", value)], outputs=[output])
    assert raised.value.message().endswith(message)


def test_many_calls_at_once(client):
    """What rides together in a batch comes apart again."""
    calls = 500
    done: queue.Queue = queue.Queue()
    for n in range(calls):
        values = addends(1 + n % 4, shift=n)
        client.async_infer(
            "simple", inputs_of(values), lambda result, error, values=values: done.put((result, error, values))
        )
    for _ in range(calls):
        result, error, values = done.get(timeout=30)
        assert error is None
        assert is_right(result, values)


def test_rows_of_an_example(client):
    """What its own golden rows say, by tensors."""
    golden = json.loads((EXAMPLES / "breast-cancer" / "golden.jsonl").read_text().splitlines()[0])
    [declared] = client.get_model_metadata("breast-cancer").inputs
    result = client.infer("breast-cancer", [tensor(declared.name, np.array([golden["row"]], np.float32))])
    numbers = [
        number
        for output in result.get_response().outputs
        for number in result.as_numpy(output.name).ravel().astype(float).tolist()
    ]
    assert any(abs(number - golden["score"]) < 1e-5 for number in numbers)


def test_the_clients_own_limit_of_time(client):
    began = time.monotonic()
    with pytest.raises(InferenceServerException) as raised:
        client.infer("slow", [tensor("LOOPS", np.array(300, np.int64))], client_timeout=0.02)
    assert raised.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert time.monotonic() - began < 5


def test_the_timeout_parameter(repositories):
    """In microseconds; a request that is still queued by then is not run."""
    with Server("--set", "workers.count=1", models=repositories / "served") as server:
        with triton.InferenceServerClient(server.address) as client:
            done = threading.Event()
            client.async_infer("slow", [tensor("LOOPS", np.array(400, np.int64))], lambda result, error: done.set())
            # Answered after the call has come in, and by then the one worker has it.
            assert client.is_server_live()
            with pytest.raises(InferenceServerException) as raised:
                client.infer("slow", [tensor("LOOPS", np.array(0, np.int64))], timeout=1000)
            assert raised.value.status() == "StatusCode.UNAVAILABLE"
            assert raised.value.message() == "Request timeout expired"
            assert done.wait(60)
            [figures] = client.get_inference_statistics("slow").model_stats
            assert figures.execution_count == 1
        assert server.stop() == 0


def test_a_call_that_is_taken_back(client):
    done = threading.Event()
    found = []

    def callback(result, error):
        found.append(error)
        done.set()

    call = client.async_infer("slow", [tensor("LOOPS", np.array(200, np.int64))], callback)
    call.cancel()
    assert done.wait(10)
    assert found[0].status() == "StatusCode.CANCELLED"
    values = addends()
    assert is_right(client.infer("simple", inputs_of(values)), values)


def test_the_model_itself_fails(stub):
    """What the kernels say of a call is an error of that call alone."""
    request = raw_request("simple_string")
    for declared in request.inputs:
        declared.datatype = "BYTES"
    del request.raw_input_contents[:]
    request.raw_input_contents.extend([(b"\x03\x00\x00\x00abc") * 16] * 2)
    with pytest.raises(grpc.RpcError) as raised:
        stub.ModelInfer(request, timeout=10)
    assert raised.value.code() == grpc.StatusCode.INTERNAL
