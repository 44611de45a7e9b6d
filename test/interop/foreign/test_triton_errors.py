"""What is wrong with a request is said in Triton's words, in the order in which Triton looks; clients' own suites match on them."""

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc import StatusCode
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

from tools.simple import addends, inputs_of, raw_request, tensor, typed_request

NO_ID = "[request id: <id_unknown>] "

NOTE = (
    " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each input shape. "
    "If you want to specify the full shape including the batch dim in your input dims config, try setting max_batch_size to zero. "
    "See the model configuration docs for more info on max_batch_size."
)


def parameter(name: str, **value) -> dict:
    return {"parameters": {name: pb.InferParameter(**value)}}


def with_input(at: int, request: pb.ModelInferRequest | None = None, raw: bytes | None = None, **fields):
    """One input of a good request in another form."""
    request = request or raw_request()
    for name, value in fields.items():
        if name == "shape":
            del request.inputs[at].shape[:]
            request.inputs[at].shape.extend(value)
        else:
            setattr(request.inputs[at], name, value)
    if raw is not None:
        request.raw_input_contents[at] = raw
    return request


def without_input(at: int):
    request = raw_request()
    del request.inputs[at]
    del request.raw_input_contents[at]
    return request


def texts(counts: list[int], cut: int = 0):
    """Of `simple_string`, with so many elements in its inputs."""
    packed = [b"\x01\x00\x00\x001" * count for count in counts]
    return pb.ModelInferRequest(
        model_name="simple_string",
        inputs=[
            pb.ModelInferRequest.InferInputTensor(name=f"INPUT{n}", datatype="BYTES", shape=[1, 16]) for n in (0, 1)
        ],
        raw_input_contents=[packed[0], packed[1][: len(packed[1]) - cut]],
    )


def twice(part: str):
    request = raw_request()
    if part == "inputs":
        request.inputs[1].name = "INPUT0"
    else:
        for _ in range(2):
            request.outputs.add(name="OUTPUT0")
    return request


def wanting(name: str, **value):
    request = raw_request()
    output = request.outputs.add(name=name)
    for key, said in value.items():
        output.parameters[key].CopyFrom(said)
    return request


def mixed():
    request = typed_request()
    request.raw_input_contents.extend([b"\x00" * 64])
    return request


def wrong_field():
    request = typed_request()
    contents = request.inputs[0].contents
    del contents.int_contents[:]
    contents.fp32_contents.extend([1.0] * 16)
    return request


def no_data():
    request = raw_request()
    del request.raw_input_contents[1]
    return request


def one_more():
    request = raw_request()
    request.inputs.add(name="INPUT2", datatype="INT32", shape=[1, 16])
    request.raw_input_contents.append(b"\x00" * 64)
    return request


def renamed():
    request = raw_request()
    request.inputs[1].name = "DUMMY"
    return request


INVALID = StatusCode.INVALID_ARGUMENT

CASES = {
    "version that is no number": (
        raw_request(model_version="latest"),
        INVALID,
        "failed to get model version from specified version string 'latest'",
    ),
    "negative version": (
        raw_request(model_version="-1"),
        INVALID,
        "invalid model version specified '-1' , version should be an integral value > 0",
    ),
    "unknown model": (raw_request("nobody"), StatusCode.NOT_FOUND, "Request for unknown model: 'nobody' is not found"),
    "unknown version": (
        raw_request(model_version="7"),
        StatusCode.NOT_FOUND,
        "Request for unknown model: 'simple' version 7 is not found",
    ),
    "sequence_id": (
        raw_request(**parameter("sequence_id", bool_param=True)),
        INVALID,
        "invalid value type for 'sequence_id' parameter, expected int64_param or string_param.",
    ),
    "sequence_start": (
        raw_request(**parameter("sequence_start", int64_param=1)),
        INVALID,
        "invalid value type for 'sequence_start' parameter, expected bool_param.",
    ),
    "sequence_end": (
        raw_request(**parameter("sequence_end", int64_param=1)),
        INVALID,
        "invalid value type for 'sequence_end' parameter, expected bool_param.",
    ),
    "negative priority": (
        raw_request(**parameter("priority", int64_param=-1)),
        INVALID,
        "invalid value for 'priority', expected value >= 0.",
    ),
    "timeout": (
        raw_request(**parameter("timeout", string_param="1")),
        INVALID,
        "invalid value type for 'timeout' parameter, expected int64_param.",
    ),
    "reserved parameter": (
        raw_request(**parameter("triton_mine", string_param="1")),
        INVALID,
        "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with "
        "'triton_' are allowed: triton_enable_empty_final_response",
    ),
    "unsigned parameter": (
        raw_request(**parameter("mine", uint64_param=1)),
        INVALID,
        "invalid value type for 'mine' parameter, expected int64_param, bool_param, or string_param.",
    ),
    "input twice": (twice("inputs"), INVALID, f"{NO_ID}input 'INPUT0' already exists in request"),
    "output twice": (twice("outputs"), INVALID, f"{NO_ID}output 'OUTPUT0' already exists in request"),
    "input without data": (
        no_data(),
        INVALID,
        "unable to find data for input tensor 'INPUT1' for model 'simple' in request.",
    ),
    "typed and raw": (
        mixed(),
        INVALID,
        "contents field must not be specified when using raw_input_contents for 'INPUT0' for model 'simple'",
    ),
    "wrong typed field": (
        wrong_field(),
        INVALID,
        "unexpected explicit tensor data for input tensor 'INPUT0' for model 'simple' of type 'FP32', expected datatype 'INT32'",
    ),
    "unknown output": (wanting("DUMMY"), INVALID, "unexpected inference output 'DUMMY' for model 'simple'"),
    "classification of a wrong type": (
        wanting("OUTPUT0", classification=pb.InferParameter(string_param="1")),
        INVALID,
        "invalid value type for 'classification' parameter, expected int64_param",
    ),
    "classification of none": (
        wanting("OUTPUT0", classification=pb.InferParameter(int64_param=0)),
        INVALID,
        "invalid value for 'classification' parameter, expected >= 0",
    ),
    "missing input": (
        without_input(1),
        INVALID,
        f"{NO_ID}expected 2 inputs but got 1 inputs for model 'simple'. Got input(s) ['INPUT0'], but missing required "
        "input(s) ['INPUT1']. Please provide all required input(s).",
    ),
    "no input": (
        pb.ModelInferRequest(model_name="simple"),
        INVALID,
        f"{NO_ID}expected 2 inputs but got 0 inputs for model 'simple'. Got input(s) [], but missing required "
        "input(s) ['INPUT0','INPUT1']. Please provide all required input(s).",
    ),
    "one input more": (one_more(), INVALID, f"{NO_ID}expected 2 inputs but got 3 inputs for model 'simple'."),
    "unknown input": (renamed(), INVALID, "unexpected inference input 'DUMMY' for model 'simple'"),
    "no batch dimension": (
        with_input(0, shape=[]),
        INVALID,
        f"{NO_ID}input 'INPUT0' has no shape but model requires batch dimension for 'simple'",
    ),
    "unequal batches": (
        with_input(1, shape=[2, 16], raw=b"\x00" * 128),
        INVALID,
        f"{NO_ID}input 'INPUT1' batch size does not match other inputs for 'simple'",
    ),
    "batch too large": (
        raw_request(rows=9),
        INVALID,
        f"{NO_ID}inference request batch-size must be <= 8 for 'simple'",
    ),
    "wrong data type": (
        with_input(0, datatype="FP32"),
        INVALID,
        f"{NO_ID}inference input 'INPUT0' data-type is 'FP32', but model 'simple' expects 'INT32'",
    ),
    "unknown data type": (
        with_input(0, datatype="FP31"),
        INVALID,
        f"{NO_ID}inference input 'INPUT0' data-type is '<invalid>', but model 'simple' expects 'INT32'",
    ),
    "open dimension": (
        with_input(0, shape=[1, -1]),
        INVALID,
        f"{NO_ID}All input dimensions should be specified for input 'INPUT0' for model 'simple', got [1,-1]",
    ),
    "wrong shape": (
        with_input(0, shape=[1, 17], raw=b"\x00" * 68),
        INVALID,
        f"{NO_ID}unexpected shape for input 'INPUT0' for model 'simple'. Expected [-1,16], got [1,17].{NOTE}",
    ),
    "wrong shape without batches": (
        pb.ModelInferRequest(
            model_name="labelled_flat",
            inputs=[pb.ModelInferRequest.InferInputTensor(name="INPUT0", datatype="INT32", shape=[5])],
            raw_input_contents=[b"\x00" * 20],
        ),
        INVALID,
        f"{NO_ID}unexpected shape for input 'INPUT0' for model 'labelled_flat'. Expected [4], got [5]. ",
    ),
    "too few bytes": (
        with_input(0, raw=b"\x00" * 60),
        INVALID,
        f"{NO_ID}input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64, got 60",
    ),
    "too many bytes": (
        with_input(0, raw=b"\x00" * 68),
        INVALID,
        f"{NO_ID}input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64, got 68",
    ),
    "too few texts": (
        texts([16, 14]),
        INVALID,
        f"{NO_ID}expected 16 string elements for inference input 'INPUT1' for model 'simple_string', got 14",
    ),
    "too many texts": (
        texts([16, 17]),
        INVALID,
        f"{NO_ID}unexpected number of string elements 17 for inference input 'INPUT1' for model 'simple_string', expecting 16",
    ),
    "text cut in its length": (
        texts([16, 16], cut=3),
        INVALID,
        f"{NO_ID}incomplete string length indicator for inference input 'INPUT1' for model 'simple_string', expecting 4 bytes "
        "but only 2 bytes available. Please make sure the string length indicator is in one buffer.",
    ),
    # Both are wrong: Triton looks at the last one first.
    "two wrong inputs": (
        texts([15, 14]),
        INVALID,
        f"{NO_ID}expected 16 string elements for inference input 'INPUT1' for model 'simple_string', got 14",
    ),
    "region that nobody registered": (
        with_input(0),
        StatusCode.NOT_FOUND,
        "Unable to find shared memory region: 'nowhere'",
    ),
}

_in_shared_memory = CASES["region that nobody registered"][0]
_in_shared_memory.inputs[0].parameters["shared_memory_region"].string_param = "nowhere"
_in_shared_memory.inputs[0].parameters["shared_memory_byte_size"].int64_param = 64
del _in_shared_memory.raw_input_contents[0]

# Of some, the rest is Triton's own insides.
STARTS = {"version that is no number", "one input more"}


@pytest.mark.parametrize("name", CASES)
def test_message(stub, name):
    request, code, message = CASES[name]
    with pytest.raises(grpc.RpcError) as raised:
        stub.ModelInfer(request, timeout=10)
    if name in STARTS:
        assert raised.value.details().startswith(message)
    else:
        assert raised.value.details() == message
    assert raised.value.code() == code


def test_the_requests_id_is_in_the_message(client):
    with pytest.raises(InferenceServerException) as raised:
        client.infer("simple", inputs_of(addends(9)), request_id="mine")
    assert raised.value.message() == "[request id: mine] inference request batch-size must be <= 8 for 'simple'"
    assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_an_answer_that_is_too_large_for_the_client(server):
    """The client's own limit, as gRPC has it."""
    with triton.InferenceServerClient(
        server.address, channel_args=[("grpc.max_receive_message_length", 1000), ("grpc.use_local_subchannel_pool", 1)]
    ) as client:
        with pytest.raises(InferenceServerException) as raised:
            client.infer("identity_fp32", [tensor("INPUT0", np.zeros(1000, np.float32))])
        assert raised.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        assert client.infer("identity_fp32", [tensor("INPUT0", np.zeros(10, np.float32))])


def test_details_for_who_reads_them(stub):
    """google.rpc.Status stands beside Triton's words."""
    with pytest.raises(grpc.RpcError) as raised:
        stub.ModelInfer(CASES["wrong data type"][0], timeout=10)
    trailers = dict(raised.value.trailing_metadata())
    assert b"google.rpc.ErrorInfo" in trailers["grpc-status-details-bin"]
    assert b"google.rpc.BadRequest" in trailers["grpc-status-details-bin"]


def test_random_garbage_is_answered(server, stub):
    random = np.random.default_rng(11)
    call = server.channel().unary_unary("/inference.GRPCInferenceService/ModelInfer")
    good = raw_request().SerializeToString()
    for _ in range(300):
        message = bytearray(good)
        for at in random.integers(0, len(message), 3):
            message[at] = random.integers(0, 256)
        try:
            call(bytes(message), timeout=10)
        except grpc.RpcError as error:
            assert error.code() in (INVALID, StatusCode.NOT_FOUND, StatusCode.INTERNAL, StatusCode.UNIMPLEMENTED), error
    assert stub.ModelInfer(raw_request(), timeout=10).model_name == "simple"
