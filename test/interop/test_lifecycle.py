"""Start and end, as a client sees them."""

import asyncio
import signal
import socket
import time
import urllib.error
import urllib.request

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from scorewire.v1 import model_pb2, model_pb2_grpc, scoring_pb2_grpc

from conftest import assert_right
from support.examples import EXAMPLE_MODELS, slow_request
from support.server import SLOW, Server, channel
from support.status import failure_of

IN_FLIGHT = 32


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_before_it_serves_it_says_so():
    """From the first moment that the port answers: NOT_SERVING and UNAVAILABLE, then only right answers."""
    port = free_port()
    seen = []
    server = Server("--port", str(port)).start(wait=False)
    try:
        end = time.monotonic() + 30
        while time.monotonic() < end and seen.count(READY) < 5:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except ConnectionError:
                time.sleep(0.005)
                continue
            with channel(f"127.0.0.1:{port}") as connected:
                seen.append(_state(connected))
        assert seen[-1] == READY
        assert seen[0] == NOT_READY
        # Between two questions of one look it may have become ready.
        assert len([state for state in seen if state not in (READY, NOT_READY)]) <= 1
        assert seen == sorted(seen, key=[NOT_READY, *{*seen} - {NOT_READY, READY}, READY].index)
        server.wait_serving()
        assert server.stop() == 0
    finally:
        server.kill()


NOT_READY = (health_pb2.HealthCheckResponse.NOT_SERVING, StatusCode.UNAVAILABLE, StatusCode.UNAVAILABLE)
READY = (health_pb2.HealthCheckResponse.SERVING, StatusCode.OK, StatusCode.OK)


def _state(connected: grpc.Channel) -> tuple:
    """Of health, Score and GetModel."""
    health = health_pb2_grpc.HealthStub(connected).Check(health_pb2.HealthCheckRequest(service="churn"), timeout=5)
    score = scoring_pb2_grpc.ScoringServiceStub(connected).Score
    info = model_pb2_grpc.ModelServiceStub(connected).GetModel
    churn = EXAMPLE_MODELS["churn"]
    calls = ((score, churn.request()), (info, model_pb2.GetModelRequest(model="churn")))
    errors = [call.future(request, timeout=5).exception() for call, request in calls]
    return (health.status, *(StatusCode.OK if error is None else error.code() for error in errors))


def test_sigterm_under_load():
    """Closed loops on four connections: nothing but OK and UNAVAILABLE, and what was under way is answered."""
    with Server("--workers", "1", models=SLOW) as server:
        with server.channel() as connected:
            request = slow_request(connected, "slow-1ms")
        outcomes = asyncio.run(_load_until_it_ends(server, request))
        assert server.wait_exit() == 0
    codes = {failure.code if failure else StatusCode.OK for _, failure in outcomes}
    assert codes <= {StatusCode.OK, StatusCode.UNAVAILABLE}, [o for o in outcomes if o[1]][:5]
    assert sum(1 for _, failure in outcomes if failure is None) > IN_FLIGHT
    # Those sent well before the signal had reached the server: it took them, so it answers them.
    assert [failure for sent_before_ms, failure in outcomes if failure and sent_before_ms > 50] == []
    # A call that the server had begun and then dropped looks like this to its caller.
    dropped = ("Socket closed", "Connection reset", "Stream removed", "RST_STREAM")
    assert [failure for _, failure in outcomes if failure and any(word in failure.message for word in dropped)] == []


async def _load_until_it_ends(server: Server, request) -> list:
    """For each call how long before the signal it was sent, in ms, and its failure, if it failed."""
    outcomes: list = []

    async def loop(stub) -> None:
        while True:
            sent = time.monotonic()
            failure = None
            try:
                await stub.Score(request, timeout=20)
            except grpc.RpcError as error:
                failure = failure_of(error)
                # An overload is no part of this.
                if failure.code == StatusCode.RESOURCE_EXHAUSTED:
                    await asyncio.sleep(failure.retry_ms / 1000)
                    continue
            outcomes.append((sent, failure))
            if failure is not None:
                return

    # Each with a connection of its own.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(server.address, options) for _ in range(4)]
    stubs = [scoring_pb2_grpc.ScoringServiceStub(connected) for connected in channels]
    for stub in stubs:
        await stub.Score(request, timeout=20)
    loops = [asyncio.create_task(loop(stubs[n % len(stubs)])) for n in range(IN_FLIGHT)]
    await asyncio.sleep(1)
    signalled = time.monotonic()
    server.signal()
    await asyncio.wait_for(asyncio.gather(*loops), timeout=30)
    for connected in channels:
        await connected.close()
    return [((signalled - sent) * 1000, failure) for sent, failure in outcomes]


def test_what_is_under_way_at_sigterm_is_answered():
    """Twenty rows of 20 ms wait in the queue when the signal comes."""
    with (
        Server("--workers", "1", "--set", "batching.latency_budget_ms=60000", models=SLOW) as server,
        server.channel() as connected,
    ):
        request = slow_request(connected, "slow-20ms")
        stub = scoring_pb2_grpc.ScoringServiceStub(connected)
        stub.Score(request, timeout=10)
        futures = [stub.Score.future(request, timeout=20) for _ in range(20)]
        time.sleep(0.1)
        server.signal()
        assert [future.exception() for future in futures] == [None] * 20
        assert server.wait_exit() == 0


def test_a_sigterm_right_after_serving_drains():
    with Server() as server:
        assert server.stop() == 0
        assert any("drained" in line["msg"] for line in server.log)


def test_the_drain_waits_for_load_balancers():
    """In drain.delay_ms it says NOT_SERVING everywhere, and still answers."""
    with Server("--set", "drain.delay_ms=1500") as server, server.channel() as connected:
        health = health_pb2_grpc.HealthStub(connected)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=5).status == health_pb2.HealthCheckResponse.SERVING
        server.hint("grpcurl")
        server.signal()
        server.wait_log(lambda line: line["msg"].startswith("draining"))
        began = time.monotonic()
        while time.monotonic() - began < 1:
            for service in ("", "churn"):
                status = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status
                assert status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(f"http://{server.http}/readyz", timeout=5)
            assert raised.value.code == 503
            assert_right(server)
        assert server.wait_exit() == 0


def test_a_stream_that_nobody_ends_does_not_hold_the_drain_beyond_its_time():
    """A reflection client that keeps its stream, as some do."""
    with Server("--set", "drain.timeout_ms=1000") as server, server.channel() as connected:
        server.hint("grpcurl")
        never = iter(lambda: time.sleep(60), None)
        stream = connected.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")(never)
        time.sleep(0.2)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 4
        stream.cancel()


def test_a_second_signal_ends_it_at_once():
    with Server("--set", "drain.delay_ms=60000") as server:
        server.hint("grpcurl")
        server.signal()
        server.wait_log(lambda line: line["msg"].startswith("draining"))
        time.sleep(1.5)
        assert server.running()
        began = time.monotonic()
        server.signal()
        assert server.wait_exit() != 0
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_npm_start(number):
    """The second of the README's two commands, with flags passed on; ended as a supervisor or a terminal does it."""
    with Server(command=("npm", "start", "--")) as server:
        assert_right(server)
        server.hint("grpcurl")
        if number == signal.SIGINT:
            # A terminal tells the whole group.
            server.signal_group(number)
        else:
            server.signal(number)
        server.wait_exit()
        server.wait_log(lambda line: "drained" in line["msg"])
        assert not any("second signal" in line["msg"] for line in server.log)
