"""Bytes that are no message, on every method of every service: an error each, the server there, the next call right.

What is a message and what is not is decided by Google's own decoder.
"""

import random
import struct
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from scorewire.v1 import model_pb2, scoring_pb2

from support.examples import EXAMPLE_MODELS
from support.http2 import SCORE_PATH
from support.status import Failure, failure_of

SEED = 20_250_301
RANDOM_A_METHOD = 60

MODULES = [scoring_pb2, model_pb2, health_pb2]
METHODS = [
    method
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]

ALLOWED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    # Such as models that callers do not control.
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
}


def tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def block(number: int, payload: bytes, length: int | None = None) -> bytes:
    return tag(number, 2) + varint(len(payload) if length is None else length) + payload


MODEL, ENTITY, ROW, OUTPUTS = 1, 3, 5, 9
DENSE, NAMED = 1, 2
VALUES = 1

CANCER = EXAMPLE_MODELS["breast-cancer"]
FLOATS = struct.pack("<30f", *CANCER.golden[0]["row"])


def score_request(after: bytes = b"", in_row: bytes = b"", in_dense: bytes = b"", floats: bytes = FLOATS) -> bytes:
    """A good ScoreRequest, but for what stands after it, or at the end of its parts."""
    dense = block(VALUES, floats) + in_dense
    return block(MODEL, b"breast-cancer") + block(ENTITY, b"42") + block(ROW, block(DENSE, dense) + in_row) + after


GOOD = score_request()

WRONG = {
    "tag 0": score_request(b"\x00"),
    "tag 0, then more": score_request(b"\x00\xff\xff"),
    "tag 0 in the row": score_request(in_row=b"\x00"),
    "tag 0 in the values": score_request(in_dense=b"\x00"),
    "field 0": score_request(tag(0, 2) + b"\x01a"),
    "the end of a group that none began": score_request(tag(1, 4)),
    "such an end in the row": score_request(in_row=tag(1, 4)),
    "a group without an end": score_request(tag(15, 3)),
    "a group that ends as another": score_request(tag(15, 3) + tag(14, 4)),
    "groups in groups, 100 000 deep": score_request(tag(15, 3) * 100_000 + tag(15, 4) * 100_000),
    "wire type 6": score_request(tag(15, 6)),
    "wire type 7": score_request(tag(15, 7) + b"\x00" * 8),
    "a varint without an end": score_request(tag(2, 0) + b"\xff"),
    "a varint of 11 bytes": score_request(tag(2, 0) + b"\xff" * 10 + b"\x01"),
    "a length beyond the end": score_request(block(ENTITY, b"ab", length=3)),
    "a length of 4 GB": score_request(block(ENTITY, b"ab", length=2**32 - 1)),
    "a negative length": score_request(block(15, b"ab", length=2**64 - 1)),
    "a length beyond its own message": score_request(in_row=block(15, b"ab", length=40)),
    "half a packed float": score_request(floats=FLOATS + b"\0\0"),
    "half a fixed32": score_request(tag(15, 5) + b"\0\0"),
    "half a fixed64": score_request(tag(15, 1) + b"\0\0"),
    "an entity that is not UTF-8": score_request(block(ENTITY, b"\xff\xfe")),
    "an entity with half a surrogate pair": score_request(block(ENTITY, b"\xed\xa0\x80")),
    "an output name that is not UTF-8": score_request(block(OUTPUTS, b"label\xc3")),
    "a map entry cut off": score_request(block(ROW, block(NAMED, block(VALUES, b"\x0a")))),
    "a feature name that is not UTF-8": score_request(
        block(ROW, block(NAMED, block(VALUES, block(1, b"\x80") + block(2, b""))))
    ),
}


@dataclass(frozen=True)
class Outcome:
    code: grpc.StatusCode
    # The first answer's bytes, if there is one.
    answer: bytes | None = None
    failure: Failure | None = None


@pytest.fixture(scope="module")
def send(channel):
    """Calls with bytes in and bytes out."""

    def call(path: str, data: bytes, streams_in: bool = False, streams_out: bool = False) -> Outcome:
        kind = f"{'stream' if streams_in else 'unary'}_{'stream' if streams_out else 'unary'}"
        request = iter([data, data]) if streams_in else data
        try:
            answer = getattr(channel, kind)(path)(request, timeout=10)
            if not streams_out:
                return Outcome(grpc.StatusCode.OK, answer)
            for first in answer:
                # Some streams stay open: one answer is enough.
                answer.cancel()
                return Outcome(grpc.StatusCode.OK, first)
            return Outcome(answer.code())
        except grpc.RpcError as error:
            failure = failure_of(error)
            return Outcome(failure.code, failure=failure)

    return call


def path_of(method) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def decodes(message, data: bytes) -> bool:
    try:
        GetMessageClass(message).FromString(data)
        return True
    except DecodeError:
        return False


def examples_of(method) -> list[bytes]:
    """Good requests of the method, to damage."""
    by_name = {
        "Score": [
            GOOD,
            EXAMPLE_MODELS["churn"].request(entity_number=7, output_names=["probabilities"]).SerializeToString(),
        ],
        "GetModel": [model_pb2.GetModelRequest(model="diabetes", version=1).SerializeToString()],
        "Check": [health_pb2.HealthCheckRequest(service="churn").SerializeToString()],
    }
    return by_name.get(method.name, [GOOD])


def damaged(method, chance: random.Random):
    """Random bytes, and good messages cut off, with bits flipped, bytes put in, parts swapped."""
    for n in range(RANDOM_A_METHOD):
        if n % 3 == 0:
            yield chance.randbytes(chance.choice([1, 2, 3, 8, 40, 300, 5000]))
            continue
        data = bytearray(chance.choice(examples_of(method)))
        if n % 3 == 1:
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        else:
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
            del data[chance.randint(at, len(data)) :]
        yield bytes(data)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.containing_service.name}/{method.name}")
def test_random_and_damaged_bytes(send, still_right, method):
    chance = random.Random(f"{SEED} {path_of(method)}")
    wrong = []
    for data in damaged(method, chance):
        outcome = send(path_of(method), data, method.client_streaming, method.server_streaming)
        if outcome.code not in ALLOWED:
            wrong.append(f"{data.hex()}: {outcome.failure}")
        if outcome.code != grpc.StatusCode.OK:
            continue
        # A stream of no items has no results.
        if outcome.answer is None and not method.client_streaming:
            wrong.append(f"{data.hex()}: OK with {outcome.answer!r}")
        elif not decodes(method.output_type, outcome.answer or b""):
            wrong.append(f"{data.hex()}: OK with {outcome.answer!r}")
        elif not decodes(method.input_type, data):
            wrong.append(f"{data.hex()}: OK for what is no message")
    assert wrong == []


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_message(send, still_right, case):
    assert not decodes(scoring_pb2.ScoreRequest.DESCRIPTOR, WRONG[case])
    outcome = send(SCORE_PATH, WRONG[case])
    assert outcome.code == grpc.StatusCode.INVALID_ARGUMENT
    assert outcome.failure.reason == "MALFORMED_MESSAGE"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_random_bytes_to_reflection(send, still_right, version):
    chance = random.Random(f"{SEED} {version}")
    good = reflection_pb2.ServerReflectionRequest(
        file_containing_symbol="scorewire.v1.ScoreRequest"
    ).SerializeToString()
    for n in range(RANDOM_A_METHOD):
        data = bytearray(chance.randbytes(chance.randint(1, 60)) if n % 2 else good)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        outcome = send(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo", bytes(data), True, True)
        assert outcome.code in ALLOWED
        if outcome.answer is not None:
            reflection_pb2.ServerReflectionResponse.FromString(outcome.answer)


def test_unknown_fields_are_no_error(send):
    """From a client with a newer contract."""
    unknown = tag(100, 0) + varint(2**63) + block(101, b"later") + tag(102, 5) + b"\0" * 4 + tag(103, 1) + b"\0" * 8
    unknown += tag(104, 3) + block(1, b"group") + tag(104, 4)
    assert_scored(send(SCORE_PATH, score_request(unknown, in_row=unknown, in_dense=unknown)))


def test_other_ways_to_write_the_same(send):
    """Fields in another order, floats not packed and in parts, a scalar that comes twice: the last one counts."""
    unpacked = b"".join(tag(VALUES, 5) + FLOATS[at : at + 4] for at in range(40, 80, 4))
    values = block(VALUES, FLOATS[:40]) + unpacked + block(VALUES, FLOATS[80:])
    data = block(ROW, block(DENSE, values)) + block(MODEL, b"churn") + block(MODEL, b"breast-cancer")
    assert scoring_pb2.ScoreRequest.FromString(data) == CANCER.request()
    assert_scored(send(SCORE_PATH, data))


def assert_scored(outcome: Outcome) -> None:
    assert outcome.code == grpc.StatusCode.OK, outcome
    assert CANCER.difference(CANCER.golden[0], scoring_pb2.ScoreResponse.FromString(outcome.answer)) == ""
