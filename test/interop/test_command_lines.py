"""grpcurl and ghz, and the lines that the server's log says to try, run exactly as pasted."""

import json
import socket

import pytest
from google.protobuf import json_format

from support.examples import EXAMPLE_MODELS
from support.metrics import Metrics
from support.programs import grpcurl, paste, run
from support.server import Server

CHURN = EXAMPLE_MODELS["churn"]
DIABETES = EXAMPLE_MODELS["diabetes"]

GHZ_CALLS = 2000
GHZ_IN_FLIGHT = 50


def can_bind(host: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
        return True
    except OSError:
        return False


# Not every machine has IPv6.
HOSTS = [host for host in ("localhost", "::1") if can_bind(host)]


def assert_golden(answer: dict, example=CHURN) -> None:
    """Of the example's first golden row, in protobuf's JSON."""
    golden = example.golden[0]
    assert answer["model"] == example.name
    assert answer["score"] == pytest.approx(golden["score"], abs=example.tolerance, rel=0)
    assert answer.get("label") == golden.get("label")
    assert answer["origin"] == "ORIGIN_REAL_TIME"


def test_the_grpcurl_line_of_the_log(server):
    line = server.hint("grpcurl")
    assert_golden(paste(line).json)


def test_the_scorewire_line_of_the_log(server):
    line = server.hint("npx scorewire score")
    done = paste(line)
    assert_golden(done.json)
    # Nothing beside the answer: no warnings, no notices.
    assert done.err == ""


@pytest.mark.parametrize("host", HOSTS)
def test_the_lines_of_the_log_on_another_address(host):
    with Server("--host", host) as server:
        for program in ("grpcurl", "npx scorewire score"):
            assert_golden(paste(server.hint(program)).json)
        assert server.stop() == 0


def test_grpcurl_list(server):
    done = grpcurl("-plaintext", server.address, "list")
    assert done.code == 0
    assert {"scorewire.v1.ScoringService", "scorewire.v1.ModelService", "grpc.health.v1.Health"} <= set(
        done.out.split()
    )


def test_grpcurl_list_of_a_service(server):
    done = grpcurl("-plaintext", server.address, "list", "scorewire.v1.ScoringService")
    assert done.out.split() == [
        f"scorewire.v1.ScoringService.{name}" for name in ("Score", "ScoreBatch", "ScoreStream")
    ]


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        (
            "scorewire.v1.ScoringService",
            ["rpc Score ( .scorewire.v1.ScoreRequest ) returns ( .scorewire.v1.ScoreResponse );"],
        ),
        (
            "scorewire.v1.ScoreRequest",
            ["string model = 1;", "oneof entity", ".google.protobuf.Duration max_staleness = 7;"],
        ),
        ("grpc.health.v1.Health", ["rpc Watch"]),
    ],
)
def test_grpcurl_describe(server, symbol, words):
    done = grpcurl("-plaintext", server.address, "describe", symbol)
    assert done.code == 0
    for word in words:
        assert word in done.out


def test_grpcurl_template_of_a_request(server):
    done = grpcurl("-plaintext", "-msg-template", server.address, "describe", "scorewire.v1.ScoreRequest")
    assert done.code == 0 and '"outputNames"' in done.out


def test_grpcurl_shows_an_error_with_its_details(server):
    done = grpcurl(
        "-plaintext",
        "-format-error",
        "-d",
        '{"model": "churn", "row": {"named": {"values": {"tenure": {"integer": 3}}}}}',
        server.address,
        "scorewire.v1.ScoringService/Score",
    )
    # grpcurl's exit code is 64 and the gRPC code.
    assert done.code == 64 + 3
    error = json.loads(done.err[done.err.index("{") :])
    details = {detail["@type"].rpartition(".")[2]: detail for detail in error["details"]}
    assert details["ErrorInfo"]["domain"] == "scorewire"
    violations = {
        violation["field"]: violation["description"] for violation in details["BadRequest"]["fieldViolations"]
    }
    assert 'row.named.values["tenure"]' in violations and 'row.named.values["plan"]' in violations
    assert "tenure_months" in violations['row.named.values["tenure"]']


def test_grpcurl_health(server):
    done = grpcurl("-plaintext", "-d", '{"service": "churn"}', server.address, "grpc.health.v1.Health/Check")
    assert done.json == {"status": "SERVING"}


def test_grpcurl_list_models(server):
    listed = grpcurl("-plaintext", server.address, "scorewire.v1.ModelService/ListModels").json["models"]
    assert [model["name"] for model in listed if model.get("live")] == list(EXAMPLE_MODELS)


def test_scorewire_score_by_version_and_with_tensors(server):
    row = json.dumps(DIABETES.golden[0]["row"])
    done = run(
        "npx",
        "scorewire",
        "score",
        "diabetes",
        "--address",
        server.address,
        "--row",
        row,
        "--model-version",
        "2",
        "--entity",
        "42",
        "--outputs",
        "variable",
    )
    assert_golden(done.json, DIABETES)
    assert done.json["entityId"] == "42" and done.json["version"] == "2"
    assert done.json["outputs"]["variable"]["floats"] == pytest.approx(
        [DIABETES.golden[0]["score"]], abs=DIABETES.tolerance, rel=0
    )


def test_scorewire_score_says_what_is_wrong_in_one_line(server):
    done = run("npx", "scorewire", "score", "chrun", "--address", server.address, "--feature", "plan=basic")
    assert done.code == 1 and done.out == ""
    assert "churn" in done.err and len(done.err.strip().splitlines()) == 1


def test_ghz():
    """2,000 calls, 50 in flight, by reflection. With time for all of them, however busy the machine is."""
    with Server("--set", "batching.latency_budget_ms=10000") as server:
        message = json_format.MessageToJson(EXAMPLE_MODELS["breast-cancer"].request())
        options = {
            "call": "scorewire.v1.ScoringService.Score",
            "data": message,
            "total": str(GHZ_CALLS),
            "concurrency": str(GHZ_IN_FLIGHT),
            "timeout": "20s",
            "format": "json",
        }
        done = run("ghz", "--insecure", *(f"--{name}={value}" for name, value in options.items()), server.address)
        assert done.json["count"] == GHZ_CALLS
        assert done.json["statusCodeDistribution"] == {"OK": GHZ_CALLS}
        assert Metrics(server).sum("rpc_server_call_duration_seconds_count", model="breast-cancer") == GHZ_CALLS
        assert server.stop() == 0
