"""The HTTP port, and the metrics after a known number of calls."""

import urllib.error
import urllib.request

import grpc
import pytest
from scorewire.v1 import model_pb2, model_pb2_grpc, scoring_pb2, scoring_pb2_grpc

from support.examples import EXAMPLE_MODELS
from support.metrics import Metrics
from support.server import Server

CALLS = "rpc_server_call_duration_seconds"
SCORE = "scorewire.v1.ScoringService/Score"
GOOD = {"churn": 70, "digits": 30}
WRONG = 11
UNKNOWN = 5


@pytest.fixture(scope="module")
def counted():
    """A server of its own, before and after the calls above."""
    with Server() as server:
        before = Metrics(server)
        with server.channel() as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            for name, count in GOOD.items():
                example = EXAMPLE_MODELS[name]
                for n in range(count):
                    stub.Score(example.request(n % len(example.golden)), timeout=10)
            bad = [scoring_pb2.ScoreRequest(model="churn", row=scoring_pb2.Row())] * WRONG
            bad += [EXAMPLE_MODELS["churn"].request() for _ in range(UNKNOWN)]
            for n, request in enumerate(bad[WRONG:]):
                request.model = f"made-up-{n}"
            for request in bad:
                with pytest.raises(grpc.RpcError):
                    stub.Score(request, timeout=10)
            model_pb2_grpc.ModelServiceStub(channel).ListModels(model_pb2.ListModelsRequest(), timeout=10)
        yield server, before, Metrics(server)
        assert server.stop() == 0


def test_calls_are_counted_by_model_and_code(counted):
    _, _, after = counted
    for name, count in GOOD.items():
        assert after.sum(f"{CALLS}_count", rpc_method=SCORE, rpc_status_code="OK", model=name) == count
    assert after.sum(f"{CALLS}_count", rpc_method=SCORE, rpc_status_code="OK") == sum(GOOD.values())
    assert after.sum(f"{CALLS}_count", rpc_method=SCORE, rpc_status_code="INVALID_ARGUMENT") == WRONG
    assert after.sum(f"{CALLS}_count", rpc_method=SCORE, rpc_status_code="NOT_FOUND") == UNKNOWN
    assert after.sum(f"{CALLS}_count", rpc_method="scorewire.v1.ModelService/ListModels", rpc_status_code="OK") == 1
    assert after.sum("scorewire_errors_total") == WRONG + UNKNOWN


def test_what_a_caller_claims_becomes_no_label(counted):
    _, _, after = counted
    assert {sample.labels["model"] for sample in after.find(f"{CALLS}_count")} <= {"", *EXAMPLE_MODELS}


def test_histograms_start_near_10_us(counted):
    _, _, after = counted
    for family in (CALLS, "scorewire_queue_duration_seconds", "scorewire_inference_duration_seconds"):
        bounds = sorted({float(sample.labels["le"]) for sample in after.find(f"{family}_bucket")})
        assert bounds[0] == pytest.approx(10e-6)
        assert bounds[-1] == float("inf")
        assert sum(1 for bound in bounds if 1e-3 <= bound <= 20e-3) >= 8


def test_histograms_add_up(counted):
    _, _, after = counted
    for family in (family for family in after.families.values() if family.type == "histogram"):
        series: dict[tuple, list] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                key = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
                series.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
        for key, buckets in series.items():
            counts = [count for _, count in sorted(buckets)]
            assert counts == sorted(counts)
            assert [counts[-1]] == [sample.value for sample in after.find(f"{family.name}_count", **dict(key))]


def test_every_row_is_in_a_batch_in_the_queue_and_in_the_scores(counted):
    _, before, after = counted
    for name, count in GOOD.items():
        assert (
            after.sum("scorewire_batch_rows_sum", model=name) - before.sum("scorewire_batch_rows_sum", model=name)
            == count
        )
        assert after.sum("scorewire_queue_duration_seconds_count", model=name) == count
        assert after.sum("scorewire_score_probability_count", model=name) == count
    assert after.sum("scorewire_queue_depth") == after.sum("scorewire_calls_in_flight") == 0


def test_no_session_is_made_by_a_call(counted):
    _, before, after = counted
    name = "scorewire_sessions_created_total"
    assert after.sum(name) == before.sum(name) >= sum(len(example.versions) for example in EXAMPLE_MODELS.values())
    assert after.sum("scorewire_worker_restarts_total") == 0


def get(server, path: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{server.http}{path}", method=method), timeout=10
        ) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/", 200),
        ("HEAD", "/metrics", 200),
        ("GET", "/metrics?x=1", 200),
        ("GET", "/nothing", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/__proto__", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/", 405),
    ],
)
def test_pages(counted, method, path, status):
    assert get(counted[0], path, method)[0] == status


def test_the_status_page_names_every_model(counted):
    page = get(counted[0], "/")[1]
    for name in EXAMPLE_MODELS:
        assert f">{name}<" in page
