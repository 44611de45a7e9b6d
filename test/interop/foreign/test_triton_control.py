"""Loading and unloading by Triton's client, and repositories that hold what can't be served."""

import json
import threading

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from support.server import Server
from tools.repository import REFUSED
from tools.simple import addends, inputs_of, is_right, tensor


def refused(call, *arguments, **options) -> InferenceServerException:
    with pytest.raises(InferenceServerException) as raised:
        call(*arguments, **options)
    return raised.value


@pytest.fixture
def explicit(repositories):
    """Nothing is loaded until somebody asks for it."""
    flags = ["--set", "models.control=explicit", "--set", "models.load_at_start=none"]
    with Server(*flags, models=repositories / "explicit") as server:
        with triton.InferenceServerClient(server.address) as client:
            yield client
        assert server.running(), "the server ended"
        assert server.stop() == 0


def states(client) -> dict[tuple[str, str], str]:
    return {(entry.name, entry.version): entry.state for entry in client.get_model_repository_index().models}


def test_the_way_of_tritons_example_program(explicit):
    """simple_grpc_model_control, step by step."""
    assert len(explicit.get_model_repository_index().models) == 8
    assert explicit.is_server_ready()
    assert not explicit.is_model_ready("simple")
    explicit.load_model("simple")
    assert explicit.is_model_ready("simple")
    assert states(explicit)[("simple", "1")] == "READY"
    values = addends()
    assert is_right(explicit.infer("simple", inputs_of(values)), values)
    explicit.unload_model("simple")
    assert not explicit.is_model_ready("simple")
    error = refused(explicit.infer, "simple", inputs_of(values))
    assert error.message() == "Request for unknown model: 'simple' has no available versions"
    assert error.status() == "StatusCode.NOT_FOUND"
    assert explicit.is_server_ready()
    error = refused(explicit.load_model, "wrong_model_name")
    assert error.message().startswith("failed to load 'wrong_model_name', failed to poll from model repository")
    assert error.status() == "StatusCode.INTERNAL"


def test_names_that_are_none(explicit):
    for name in ("", "  "):
        error = refused(explicit.load_model, name)
        assert error.message() == "Model name cannot be empty. Please enter a valid name to deploy."
        assert error.status() == "StatusCode.INVALID_ARGUMENT"
    for name in ("../simple", "simple/1", ".."):
        error = refused(explicit.load_model, name)
        assert error.message() == f"invalid model name '{name}', model name must not contain path traversal characters"
        assert error.status() == "StatusCode.INVALID_ARGUMENT"


def test_unloading_what_is_not_there(explicit):
    explicit.unload_model("nobody")
    explicit.unload_model("simple", unload_dependents=True)


def test_loading_again(explicit):
    for _ in range(3):
        explicit.load_model("versions_all")
        for version, offset in (("1", 0), ("2", 100), ("3", 200)):
            values = addends()
            assert is_right(explicit.infer("versions_all", inputs_of(values), version), values, offset)
    explicit.unload_model("versions_all")
    explicit.load_model("versions_all")
    assert explicit.is_model_ready("versions_all", "2")


def test_a_config_that_comes_with_the_load(explicit):
    """The model gets it in the place of the one on disk, and has its own again after the next load."""
    tensors = [{"name": f"INPUT{n}", "data_type": "TYPE_INT32", "dims": [16]} for n in (0, 1)]
    outputs = [{"name": f"OUTPUT{n}", "data_type": "TYPE_INT32", "dims": [16]} for n in (0, 1)]
    config = {"name": "simple", "backend": "onnxruntime", "max_batch_size": "2", "input": tensors, "output": outputs}
    explicit.load_model("simple", config=json.dumps(config))
    assert explicit.get_model_config("simple").config.max_batch_size == 2
    assert refused(explicit.infer, "simple", inputs_of(addends(3))).message().endswith(
        "inference request batch-size must be <= 2 for 'simple'"
    )
    values = addends(2)
    assert is_right(explicit.infer("simple", inputs_of(values)), values)
    explicit.load_model("simple")
    values = addends(3)
    assert is_right(explicit.infer("simple", inputs_of(values)), values)


def test_a_model_that_comes_with_the_load(explicit, repositories):
    file = (repositories / "explicit" / "versions_all" / "3" / "model.onnx").read_bytes()
    config = json.dumps({"backend": "onnxruntime", "version_policy": {"specific": {"versions": [7]}}})
    explicit.load_model("brought", config=config, files={"file:7/model.onnx": file})
    assert explicit.is_model_ready("brought", "7")
    values = addends()
    assert is_right(explicit.infer("brought", inputs_of(values)), values, offset=200)


def test_a_load_that_fails_leaves_what_is_served(explicit):
    explicit.load_model("simple")
    for options in (
        {"config": "not JSON"},
        {"config": json.dumps({"backend": "tensorflow"})},
        {"config": json.dumps({"backend": "onnxruntime"}), "files": {"file:1/model.onnx": b"no model"}},
    ):
        assert refused(explicit.load_model, "simple", **options).status() in (
            "StatusCode.INTERNAL",
            "StatusCode.INVALID_ARGUMENT",
        )
    values = addends()
    assert is_right(explicit.infer("simple", inputs_of(values)), values)


def test_nobody_notices_that_others_load(explicit):
    """Callers of one model, while another one comes and goes."""
    explicit.load_model("simple")
    stop = threading.Event()
    wrong = []

    def call():
        values = addends(2)
        while not stop.is_set():
            try:
                if not is_right(explicit.infer("simple", inputs_of(values), client_timeout=20), values):
                    wrong.append("another answer")
            except InferenceServerException as error:
                wrong.append(error)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(3):
            explicit.load_model("identity_fp32")
            value = np.ones(3, np.float32)
            assert explicit.infer("identity_fp32", [tensor("INPUT0", value)]).as_numpy("OUTPUT0").tolist() == [1, 1, 1]
            explicit.unload_model("identity_fp32")
        # And itself.
        explicit.load_model("simple")
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert wrong == []


def test_one_that_can_not_be_loaded_does_not_stop_the_others(repositories):
    with Server(models=repositories / "refused") as server, triton.InferenceServerClient(server.address) as client:
        index = {entry.name: entry for entry in client.get_model_repository_index().models}
        assert index["simple"].state == "READY"
        values = addends()
        assert is_right(client.infer("simple", inputs_of(values)), values)
        for name, (_, word) in REFUSED.items():
            assert index[name].state == "UNAVAILABLE", name
            assert word in index[name].reason, index[name].reason
            assert client.is_model_ready(name) is False
        assert "INPUT0" in index["wrong_type"].reason
        assert index["no_graph"].state == "UNAVAILABLE" and index["no_graph"].reason != ""
        ready = {entry.name for entry in client.get_model_repository_index().models if entry.state == "READY"}
        assert ready == {"simple"}
        # Triton is strict unless told otherwise.
        assert not client.is_server_ready() and client.is_server_live()
        assert server.stop() == 0
