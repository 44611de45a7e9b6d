import os

# Before grpc is imported: servers are started while channels are open, and are told apart from forks.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import pytest
from scorewire.v1 import model_pb2_grpc, scoring_pb2_grpc

from support.examples import EXAMPLE_MODELS
from support.server import Server


@pytest.fixture(scope="session")
def server():
    """The examples, served once for all tests that leave a server as they found it. None of them may end it."""
    with Server() as running:
        started_as = running.pid
        yield running
        assert running.pid == started_as and running.running(), "the server ended before its time"
        assert not [line for line in running.log if "worker exited" in line["msg"]], "a worker was lost on the way"
        assert running.stop() == 0


@pytest.fixture(scope="session")
def channel(server):
    with server.channel() as connected:
        yield connected


@pytest.fixture(scope="session")
def scoring(channel):
    return scoring_pb2_grpc.ScoringServiceStub(channel)


@pytest.fixture(scope="session")
def models(channel):
    return model_pb2_grpc.ModelServiceStub(channel)


@pytest.fixture
def still_right(server):
    """After the test the server must be there, and right."""
    yield
    assert_right(server)


def assert_right(server: Server, **options) -> None:
    assert server.running(), "the server ended"
    with server.channel(**options) as fresh:
        stub = scoring_pb2_grpc.ScoringServiceStub(fresh)
        for example in EXAMPLE_MODELS.values():
            assert example.difference(example.golden[0], stub.Score(example.request(), timeout=10)) == ""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    """The last line, after pytest's own. What was skipped did not pass."""
    result = yield
    stats = session.config.pluginmanager.get_plugin("terminalreporter").stats
    passed = len(stats.get("passed", []))
    failed = sum(len(stats.get(kind, [])) for kind in ("failed", "error", "skipped", "xfailed", "xpassed"))
    if passed + failed == 0:
        failed = 1
    if failed > 0:
        session.exitstatus = 1
    print(f"\n{passed} passed, {failed} failed")
    return result
