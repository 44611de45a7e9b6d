"""grpc.health.v1 as the stock health client asks for it."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from support.examples import EXAMPLE_MODELS
from support.server import Server

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SERVICES = ["", "scorewire.v1.ScoringService", "scorewire.v1.ModelService"]


@pytest.fixture
def health(channel):
    return health_pb2_grpc.HealthStub(channel)


@pytest.mark.parametrize("service", [*SERVICES, *EXAMPLE_MODELS])
def test_check(health, service):
    assert health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status == SERVING


@pytest.mark.parametrize("service", ["fraud", "Churn", "__proto__"])
def test_check_of_what_is_not_known(health, service):
    with pytest.raises(grpc.RpcError) as raised:
        health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def test_watch_of_what_is_not_known_stays_open(health):
    watch = health.Watch(health_pb2.HealthCheckRequest(service="fraud"), timeout=10)
    assert next(watch).status == SERVICE_UNKNOWN
    assert watch.is_active()
    watch.cancel()


def test_watch_says_not_serving_on_sigterm_and_ends():
    with Server() as server, server.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=30) for name in ("", "churn")]
        for watch in watches:
            assert next(watch).status == SERVING
        server.signal()
        for watch in watches:
            assert next(watch).status == NOT_SERVING
            assert list(watch) == []
            assert watch.code() == grpc.StatusCode.OK
        assert server.wait_exit() == 0
