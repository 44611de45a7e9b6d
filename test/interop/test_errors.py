"""Every class of error: its code, its reason, the fields that it names, its details."""

import math
import shutil

import grpc
import pytest
from grpc import StatusCode
from scorewire.v1 import model_pb2, scoring_pb2, scoring_pb2_grpc

from support import http2
from support.examples import EXAMPLE_MODELS, dense_row
from support.server import EXAMPLES, Server
from support.status import failure_of, refused

CHURN = EXAMPLE_MODELS["churn"]
CANCER = EXAMPLE_MODELS["breast-cancer"]
DIGITS = EXAMPLE_MODELS["digits"]


def named(**values) -> scoring_pb2.ScoreRequest:
    """A good row of churn but for these values; None takes one out."""
    request = CHURN.request()
    for name, value in values.items():
        if value is None:
            del request.row.named.values[name]
        else:
            request.row.named.values[name].CopyFrom(scoring_pb2.Value(**value))
    return request


def dense(*values: float) -> scoring_pb2.ScoreRequest:
    return scoring_pb2.ScoreRequest(model="breast-cancer", row=dense_row(list(values)))


def field(name: str) -> str:
    return f'row.named.values["{name}"]'


# Name: request, field, and what its description must say of what was expected and found.
WRONG_ROWS = {
    "no value": (dense(), "row.dense.values", ["30", "0"]),
    "one value too few": (dense(*[1] * 29), "row.dense.values", ["30", "29"]),
    "one value too many": (dense(*[1] * 31), "row.dense.values", ["30", "31"]),
    "NaN": (dense(*[1] * 3, math.nan, *[1] * 26), "row.dense.values[3]", ["NaN"]),
    "infinity": (dense(*[1] * 29, math.inf), "row.dense.values[29]", ["Infinity"]),
    "a missing feature": (named(plan=None), field("plan"), ["text", "nothing"]),
    "a feature without a value": (named(plan={}), field("plan"), ["text", "nothing"]),
    "a feature too many": (
        named(tenure_month={"integer": 3}),
        field("tenure_month"),
        ["did you mean", "tenure_months"],
    ),
    "a number for text": (named(plan={"number": 3}), field("plan"), ["expected text", "3"]),
    "text for a number": (
        named(monthly_charges={"text": "31.8"}),
        field("monthly_charges"),
        ["expected a number", "31.8"],
    ),
    "a flag for a number": (
        named(monthly_charges={"flag": True}),
        field("monthly_charges"),
        ["expected a number", "true"],
    ),
    "text for a flag": (
        named(paperless_billing={"text": "yes"}),
        field("paperless_billing"),
        ["expected a flag", "yes"],
    ),
    "a fraction for an integer": (
        named(tenure_months={"number": 2.5}),
        field("tenure_months"),
        ["expected an integer", "2.5"],
    ),
    "NaN for an integer": (
        named(tenure_months={"number": math.nan}),
        field("tenure_months"),
        ["expected an integer", "NaN"],
    ),
    "NaN where it is not allowed": (
        named(monthly_charges={"number": math.nan}),
        field("monthly_charges"),
        ["finite", "NaN"],
    ),
    "beyond 32 bits": (named(monthly_charges={"number": 1e39}), field("monthly_charges"), ["32-bit", "1e+39"]),
    "a name out of JavaScript": (named(__proto__={"number": 1}), field("__proto__"), ["no such feature"]),
    "a name in other letters": (named(**{"名前": {"number": 1}}), field("名前"), ["no such feature"]),
    "names for a model without": (
        scoring_pb2.ScoreRequest(model="breast-cancer", row=CHURN.request().row),
        "row.named",
        ["row.dense", "row.named"],
    ),
    "dense for a model with texts": (
        scoring_pb2.ScoreRequest(model="churn", row=dense_row([1] * 11)),
        "row.dense",
        ["row.named", "row.dense"],
    ),
    "a row in neither form": (
        scoring_pb2.ScoreRequest(model="churn", row=scoring_pb2.Row()),
        "row",
        ["row.dense", "row.named"],
    ),
    "an output that is not there": (
        CHURN.request(output_names=["probabilities", "margin"]),
        "output_names[1]",
        ["probabilities", "margin"],
    ),
}


@pytest.mark.parametrize("case", WRONG_ROWS)
def test_invalid_argument(scoring, case):
    request, wrong_field, words = WRONG_ROWS[case]
    failure = refused(scoring.Score, request)
    assert failure.code == StatusCode.INVALID_ARGUMENT
    assert list(failure.fields) == [wrong_field]
    for word in words:
        assert word in failure.fields[wrong_field]
    assert failure.reason != ""
    # People read the message only.
    assert wrong_field in failure.message


def test_every_wrong_field_is_named(scoring):
    failure = refused(
        scoring.Score,
        named(plan=None, tenure_months={"number": 0.5}, monthly_charges={"text": "x"}, colour={"text": "red"}),
    )
    assert set(failure.fields) == {field(name) for name in ("plan", "tenure_months", "monthly_charges", "colour")}


@pytest.mark.parametrize(
    "request_",
    [
        dense(*[math.nan] * 30),
        named(**{f"{'long' * 500}{n}": {"number": n} for n in range(25)}),
        named(**{f"{'ü€' * 200}{n}": {} for n in range(25)}),
    ],
    ids=["30 values", "25 long names", "25 long names in other letters"],
)
def test_trailers_stay_small_however_much_is_wrong(server, request_):
    """Beyond 8 KB clients drop the whole error: some always, some by chance. As HTTP/2 counts it, on the wire."""
    answer = http2.call(server.address, http2.grpc_headers(), http2.grpc_message(request_.SerializeToString()))
    assert answer.status == StatusCode.INVALID_ARGUMENT.value[0]
    assert "grpc-status-details-bin" in answer.headers
    assert sum(len(name) + len(value) + 32 for name, value in answer.headers.items()) <= 8192


@pytest.mark.parametrize("of", ["Score", "GetModel"])
@pytest.mark.parametrize(
    ("name", "version", "reason", "hint"),
    [
        ("chrun", None, "MODEL_NOT_FOUND", '"churn"'),
        ("", None, "MODEL_NOT_FOUND", "name"),
        ("fraud", None, "MODEL_NOT_FOUND", "breast-cancer, churn"),
        ("constructor", None, "MODEL_NOT_FOUND", ""),
        ("../churn", None, "MODEL_NOT_FOUND", ""),
        ("Modell-ß", None, "MODEL_NOT_FOUND", "Modell-ß"),
        ("diabetes", 3, "VERSION_NOT_FOUND", "1, 2"),
        ("diabetes", 0, "VERSION_NOT_FOUND", "1, 2"),
        ("diabetes", -1, "VERSION_NOT_FOUND", "1, 2"),
        ("diabetes", 2**63 - 1, "VERSION_NOT_FOUND", "1, 2"),
    ],
)
def test_not_found(scoring, models, of, name, version, reason, hint):
    if of == "Score":
        request = EXAMPLE_MODELS["diabetes"].request(version=version)
        request.model = name
        failure = refused(scoring.Score, request)
    else:
        failure = refused(models.GetModel, model_pb2.GetModelRequest(model=name, version=version))
    assert (failure.code, failure.reason) == (StatusCode.NOT_FOUND, reason)
    assert hint in failure.message


def test_errors_carry_the_entity(scoring):
    request = named(plan=None)
    request.entity_number = 42
    assert refused(scoring.Score, request).metadata["entity_id"] == "42"


def test_what_an_entity_alone_and_a_policy_of_the_store_need(scoring):
    failure = refused(scoring.Score, scoring_pb2.ScoreRequest(model="churn", entity_id="42"))
    assert failure.code == StatusCode.FAILED_PRECONDITION
    assert failure.reason == "NO_FEATURES"
    failure = refused(scoring.Score, CHURN.request(policy=scoring_pb2.SCORE_POLICY_PRECOMPUTED_ONLY))
    assert failure.code == StatusCode.INVALID_ARGUMENT
    assert list(failure.fields) == ["entity_id"]


def test_models_that_callers_do_not_control(models):
    for refusal in (
        refused(models.LoadModel, model_pb2.LoadModelRequest(model="churn")),
        refused(models.UnloadModel, model_pb2.UnloadModelRequest(model="churn")),
    ):
        assert refusal.code == StatusCode.FAILED_PRECONDITION


def test_unimplemented_methods(channel):
    for path in ("/scorewire.v1.ScoringService/Guess", "/nobody.v1.Service/Method", "/x"):
        assert refused(channel.unary_unary(path), b"").code == StatusCode.UNIMPLEMENTED


def overflowing(**fields) -> scoring_pb2.ScoreRequest:
    """Finite numbers with which the digits network runs into infinities, and its softmax into NaN."""
    return scoring_pb2.ScoreRequest(model="digits", row=dense_row([3e38] * 64), **fields)


def test_internal_has_an_id_that_the_log_has_too(server, scoring):
    failure = refused(scoring.Score, overflowing(entity_id="kunde-7"))
    assert failure.code == StatusCode.INTERNAL
    fault = failure.metadata["id"]
    assert fault in failure.message and "kunde-7" in failure.message
    assert failure.metadata["entity_id"] == "kunde-7"
    line = server.wait_log(lambda line: line.get("id") == fault)
    assert line["level"] == "error" and line["entityId"] == "kunde-7" and line["reason"] == failure.reason


def test_a_bad_row_fails_alone(scoring):
    """Every fourth of 256 calls at once brings a row that the model can't score, or that is wrong."""
    requests = [
        overflowing() if n % 8 == 0 else dense(1, 2) if n % 8 == 4 else DIGITS.request(n % len(DIGITS.golden))
        for n in range(256)
    ]
    futures = [scoring.Score.future(request, timeout=20) for request in requests]
    for n, future in enumerate(futures):
        if n % 4 == 0:
            expected = StatusCode.INTERNAL if n % 8 == 0 else StatusCode.INVALID_ARGUMENT
            assert future.exception().code() == expected
        else:
            assert DIGITS.difference(DIGITS.golden[n % len(DIGITS.golden)], future.result()) == ""


def test_failed_precondition_where_the_score_cannot_be_told(tmp_path):
    """Ten probabilities and no manifest that says which is the score: Score names the key, the tensors are served."""
    (tmp_path / "bare").mkdir()
    shutil.copytree(EXAMPLES / "digits" / "1", tmp_path / "bare" / "1")
    row = dense_row(DIGITS.golden[0]["row"])
    with Server(models=tmp_path) as server, server.channel() as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        failure = refused(stub.Score, scoring_pb2.ScoreRequest(model="bare", row=row))
        assert failure.code == StatusCode.FAILED_PRECONDITION
        assert "score" in failure.message and "model.yaml" in failure.message
        answer = stub.Score(scoring_pb2.ScoreRequest(model="bare", row=row, output_names=["probabilities"]), timeout=10)
        assert math.isnan(answer.score) and not answer.HasField("label")
        assert list(answer.outputs["probabilities"].floats) == pytest.approx(
            DIGITS.golden[0]["outputs"]["probabilities"], abs=DIGITS.tolerance, rel=0
        )
        assert server.stop() == 0
