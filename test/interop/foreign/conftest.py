import os

# Before grpc is imported: servers are started while channels are open, and are told apart from forks.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from pathlib import Path

import pytest

from support.server import Server

# What run.sh has tools/repository.py write.
REPOSITORIES = Path(os.environ["FOREIGN_REPOSITORIES"])


@pytest.fixture(scope="session")
def repositories() -> Path:
    return REPOSITORIES


@pytest.fixture(scope="session")
def server():
    """All models that can be served, for all tests that leave a server as they found it. None of them may end it."""
    with Server("--set", "inference.client_shared_memory=on", models=REPOSITORIES / "served") as running:
        yield running
        assert running.running(), "the server ended before its time"
        assert not [line for line in running.log if "worker exited" in line["msg"]], "a worker was lost on the way"
        assert running.stop() == 0


@pytest.fixture(scope="session")
def client(server):
    """Triton's own."""
    import tritonclient.grpc

    with tritonclient.grpc.InferenceServerClient(server.address) as connected:
        yield connected


@pytest.fixture(scope="session")
def stub(server):
    """The official stubs, for what Triton's client would not send."""
    from tritonclient.grpc import service_pb2_grpc

    with server.channel(max_receive_message_length=-1) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    """For run.sh, which adds up. What was skipped did not pass."""
    result = yield
    stats = session.config.pluginmanager.get_plugin("terminalreporter").stats
    passed = len(stats.get("passed", []))
    failed = sum(len(stats.get(kind, [])) for kind in ("failed", "error", "skipped", "xfailed", "xpassed"))
    if failed > 0:
        session.exitstatus = 1
    with open(os.environ["FOREIGN_COUNTS"], "a") as counts:
        print(passed, failed, file=counts)
    return result
