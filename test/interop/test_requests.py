"""What a request may carry beside its row, and how it may come over the wire."""

import grpc
import pytest
from google.protobuf import duration_pb2
from scorewire.v1 import scoring_pb2, scoring_pb2_grpc

from support.examples import EXAMPLE_MODELS, dense_row
from support.status import refused

CHURN = EXAMPLE_MODELS["churn"]
DIABETES = EXAMPLE_MODELS["diabetes"]
LIMIT_BYTES = 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("entity", "canonical"),
    [
        ({}, ""),
        ({"entity_id": "42"}, "42"),
        ({"entity_number": 42}, "42"),
        ({"entity_number": 0}, "0"),
        ({"entity_number": -7}, "-7"),
        # Above 2^53, where a double would round.
        ({"entity_number": 9_223_372_036_854_775_807}, "9223372036854775807"),
        ({"entity_number": -9_223_372_036_854_775_808}, "-9223372036854775808"),
        ({"entity_id": "kunde-Ä-客-🦆"}, "kunde-Ä-客-🦆"),
        ({"entity_id": "__proto__"}, "__proto__"),
    ],
    ids=ascii,
)
def test_entities_come_back_canonical(scoring, entity, canonical):
    assert scoring.Score(CHURN.request(**entity), timeout=10).entity_id == canonical


def test_versions_by_number_and_the_live_one(scoring):
    assert DIABETES.versions == [1, 2]
    live = scoring.Score(DIABETES.request(), timeout=10)
    first = scoring.Score(DIABETES.request(version=1), timeout=10)
    second = scoring.Score(DIABETES.request(version=2), timeout=10)
    assert [live.version, first.version, second.version] == [2, 1, 2]
    assert live.score == second.score != first.score


def test_a_policy_and_limits_that_hold_for_a_row_anyway(scoring):
    answer = scoring.Score(
        CHURN.request(
            policy=scoring_pb2.SCORE_POLICY_REAL_TIME_ONLY,
            max_staleness=duration_pb2.Duration(seconds=3600),
            allow_stale=True,
        ),
        timeout=10,
    )
    assert CHURN.difference(CHURN.golden[0], answer) == ""


def test_defaults_stand_in_for_features_left_out(scoring):
    defaults = {feature["name"]: feature["default"] for feature in CHURN.manifest["features"] if "default" in feature}
    short, spelled_out = CHURN.request(), CHURN.request()
    for name, default in defaults.items():
        del short.row.named.values[name]
        spelled_out.row.named.values[name].CopyFrom(_value(default))
    assert len(short.row.named.values) == len(spelled_out.row.named.values) - len(defaults) > 0
    assert scoring.Score(short, timeout=10).score == scoring.Score(spelled_out, timeout=10).score


def test_zero_is_not_absent(scoring):
    request = CHURN.request()
    request.row.named.values["data_gb"].number = 0
    with_zero = scoring.Score(request, timeout=10)
    request.row.named.values["data_gb"].number = 250
    assert scoring.Score(request, timeout=10).score != with_zero.score
    # The field's place in a dense row is there too, whatever the value.
    assert scoring.Score(DIABETES.request(form="dense"), timeout=10).HasField("segment")


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate], ids=["gzip", "deflate"])
def test_a_compressed_request(scoring, algorithm):
    for example in EXAMPLE_MODELS.values():
        answer = scoring.Score(example.request(), timeout=10, compression=algorithm)
        assert example.difference(example.golden[0], answer) == ""


def test_a_message_just_under_the_limit_is_read(scoring, still_right):
    request = scoring_pb2.ScoreRequest(model="digits", row=dense_row([0.0] * ((LIMIT_BYTES - 64) // 4)))
    assert LIMIT_BYTES - 64 < request.ByteSize() <= LIMIT_BYTES
    failure = refused(scoring.Score, request)
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT
    assert list(failure.fields) == ["row.dense.values"]


def test_a_message_over_the_limit_is_refused(scoring, still_right):
    failure = refused(
        scoring.Score, scoring_pb2.ScoreRequest(model="digits", row=dense_row([0.0] * (LIMIT_BYTES // 4 + 1)))
    )
    assert failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(LIMIT_BYTES) in failure.message


def test_a_small_message_that_unpacks_to_one_over_the_limit_is_refused(scoring, still_right):
    """300 MB of zeros, a hundredth of it on the wire."""
    request = scoring_pb2.ScoreRequest(model="digits", entity_id="\0" * 300_000_000)
    failure = refused(scoring.Score, request, timeout=60, compression=grpc.Compression.Gzip)
    assert failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_many_connections(server):
    channels = [server.channel() for _ in range(100)]
    stubs = [scoring_pb2_grpc.ScoringServiceStub(channel) for channel in channels]
    futures = [stub.Score.future(CHURN.request(n % len(CHURN.golden)), timeout=20) for n, stub in enumerate(stubs)]
    for n, future in enumerate(futures):
        assert CHURN.difference(CHURN.golden[n % len(CHURN.golden)], future.result()) == ""
    for channel in channels:
        channel.close()


def _value(default) -> scoring_pb2.Value:
    kind = {bool: "flag", int: "number", float: "number", str: "text"}[type(default)]
    return scoring_pb2.Value(**{kind: default})
