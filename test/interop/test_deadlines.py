"""Deadlines, cancellation and overload, against a model of 20 ms a row: what nobody waits for is not run."""

import time

import grpc
import pytest
from grpc import StatusCode
from scorewire.v1 import scoring_pb2_grpc

from support.examples import slow_request
from support.metrics import Metrics
from support.server import SLOW, Server
from support.status import failure_of

CALLS = 100


@pytest.fixture(scope="module")
def slow():
    # One worker, so that the work is the same on every machine.
    with Server("--workers", "1", models=SLOW) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture
def stub(slow):
    with slow.channel() as channel:
        yield scoring_pb2_grpc.ScoringServiceStub(channel)


@pytest.fixture(scope="module")
def request_(slow):
    with slow.channel() as channel:
        return slow_request(channel, "slow-20ms")


def rows_run(server: Server) -> int:
    return int(Metrics(server).sum("scorewire_batch_rows_sum", model="slow-20ms"))


def settled_rows(server: Server, seconds: float = 6) -> int:
    """Rows that were run once none is under way any more."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        metrics = Metrics(server)
        if (
            metrics.sum("scorewire_queue_depth", model="slow-20ms") == 0
            and metrics.sum("scorewire_calls_in_flight") == 0
        ):
            break
        time.sleep(0.05)
    time.sleep(0.1)
    return rows_run(server)


def outcome_of(future: grpc.Future) -> StatusCode:
    error = future.exception()
    return StatusCode.OK if error is None else error.code()


def test_what_is_late_is_not_run(slow, stub, request_):
    stub.Score(request_, timeout=10)
    before = rows_run(slow)
    futures = [stub.Score.future(request_, timeout=0.2) for _ in range(CALLS)]
    outcomes = [outcome_of(future) for future in futures]
    assert set(outcomes) <= {StatusCode.OK, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED}
    answered = outcomes.count(StatusCode.OK)
    # 200 ms are ten rows; a few more are under way when the time is over.
    assert 1 <= answered <= 20
    assert answered <= settled_rows(slow) - before <= answered + 5


def test_what_nobody_waits_for_is_not_run(slow, stub, request_):
    stub.Score(request_, timeout=10)
    before = rows_run(slow)
    futures = [stub.Score.future(request_, timeout=30) for _ in range(CALLS)]
    time.sleep(0.06)
    for future in futures:
        future.cancel()
    assert {outcome_of(future) for future in futures if not future.cancelled()} <= {
        StatusCode.OK,
        StatusCode.RESOURCE_EXHAUSTED,
    }
    began = time.monotonic()
    stub.Score(request_, timeout=10)
    # Behind one or two runs at most; all of them would take two seconds.
    assert time.monotonic() - began < 0.5
    assert settled_rows(slow) - before < 25


def test_whoever_hangs_up_is_not_waited_for(slow, request_):
    """The connection closes under a hundred calls."""
    before = rows_run(slow)
    with slow.channel() as channel:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        futures = [stub.Score.future(request_, timeout=30) for _ in range(CALLS)]
        time.sleep(0.06)
    assert all(future.done() for future in futures)
    assert settled_rows(slow) - before < 25


def test_overload_is_refused_with_the_time_to_come_back(slow, stub, request_):
    stub.Score(request_, timeout=10)
    # The first ones keep the worker busy, so that the others find it so.
    futures = [stub.Score.future(request_, timeout=30) for _ in range(3)]
    time.sleep(0.01)
    futures += [stub.Score.future(request_, timeout=30) for _ in range(CALLS)]
    failures = [failure_of(future.exception()) for future in futures if future.exception() is not None]
    assert {failure.code for failure in failures} == {StatusCode.RESOURCE_EXHAUSTED}
    assert 0 < len(failures) < CALLS
    for failure in failures:
        assert failure.reason != "" and failure.retry_ms > 0
        # What gRPC's own retries go by.
        assert int(failure.trailers["grpc-retry-pushback-ms"]) >= 1


def test_a_full_queue_is_refused(request_):
    settings = ["limits.max_queue_rows=3", "batching.max_rows=3", "batching.latency_budget_ms=60000"]
    with Server("--workers", "1", *(word for pair in settings for word in ("--set", pair)), models=SLOW) as server:
        with server.channel() as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            stub.Score(request_, timeout=10)
            futures = [stub.Score.future(request_, timeout=30) for _ in range(40)]
            failures = [failure_of(future.exception()) for future in futures if future.exception() is not None]
        assert {(failure.code, failure.reason) for failure in failures} == {
            (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        }
        assert 30 <= len(failures) < 40
        assert all(failure.retry_ms > 0 for failure in failures)
        assert server.stop() == 0


def test_a_deadline_that_cannot_be_met_is_said_in_time(stub, request_):
    """One call of 20 ms with 5 ms to live: the client hears of it at once, whoever says it first."""
    stub.Score(request_, timeout=10)
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as raised:
        stub.Score(request_, timeout=0.005)
    assert raised.value.code() == StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 0.5
