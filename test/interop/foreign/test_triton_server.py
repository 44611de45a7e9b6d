"""Health, metadata, config, statistics, and settings, as Triton's client asks for them."""

import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException

from support.programs import grpcurl
from tools.simple import addends, inputs_of, is_right


def test_health(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("simple") and client.is_model_ready("simple", "1")
    assert client.is_model_ready("versions_some", "3")


@pytest.mark.parametrize(("model", "version"), [("nobody", ""), ("simple", "7"), ("versions_some", "2")])
def test_what_is_not_there_is_not_ready_and_no_error(client, model, version):
    assert client.is_model_ready(model, version) is False


def test_the_health_service_beside(server):
    for service in ("", "inference.GRPCInferenceService", "simple"):
        done = grpcurl("-plaintext", "-d", f'{{"service": "{service}"}}', server.address, "grpc.health.v1.Health/Check")
        assert done.json == {"status": "SERVING"}


def test_server_metadata(client):
    metadata = client.get_server_metadata()
    # Two of Triton's own client programs stop where it is another.
    assert metadata.name == "triton"
    assert metadata.version != ""
    # perf_analyzer asks for no statistics where they are not named.
    assert {"classification", "model_configuration", "parameters", "statistics"} <= set(metadata.extensions)
    assert client.get_server_metadata(as_json=True)["name"] == "triton"


def test_model_metadata(client):
    metadata = client.get_model_metadata("simple")
    assert (metadata.name, list(metadata.versions), metadata.platform) == ("simple", ["1"], "onnxruntime_onnx")
    assert [(put.name, put.datatype, list(put.shape)) for put in [*metadata.inputs, *metadata.outputs]] == [
        (name, "INT32", [-1, 16]) for name in ("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1")
    ]


@pytest.mark.parametrize(
    ("model", "version", "versions"),
    [
        ("versions_latest", "", ["3"]),
        ("versions_all", "", ["1", "2", "3"]),
        ("versions_all", "2", ["2"]),
        ("versions_some", "", ["1", "3"]),
    ],
)
def test_versions_by_policy(client, model, version, versions):
    assert list(client.get_model_metadata(model, version).versions) == versions


def test_metadata_without_a_batch_dimension(client):
    metadata = client.get_model_metadata("identity_bytes")
    assert [(put.datatype, list(put.shape)) for put in (*metadata.inputs, *metadata.outputs)] == [("BYTES", [-1])] * 2
    scalar = client.get_model_metadata("scalar")
    assert [(put.datatype, list(put.shape)) for put in scalar.inputs] == [("FP64", [])]


def test_model_config(client):
    config = client.get_model_config("simple").config
    assert (config.name, config.platform, config.max_batch_size) == ("simple", "onnxruntime_onnx", 8)
    assert config.backend == "onnxruntime"
    assert [(put.name, put.data_type, list(put.dims)) for put in config.input] == [
        ("INPUT0", model_config_pb2.TYPE_INT32, [16]),
        ("INPUT1", model_config_pb2.TYPE_INT32, [16]),
    ]
    assert [put.name for put in config.output] == ["OUTPUT0", "OUTPUT1"]
    assert config.version_policy.WhichOneof("policy_choice") == "latest"
    assert config.version_policy.latest.num_versions == 1
    some = client.get_model_config("versions_some").config
    assert list(some.version_policy.specific.versions) == [1, 3]
    assert client.get_model_config("labelled").config.output[0].label_filename == "labels.txt"


def test_a_config_completed_from_the_graph(client):
    config = client.get_model_config("completed").config
    assert [(put.name, put.data_type) for put in [*config.input, *config.output]] == [
        (name, model_config_pb2.TYPE_INT32) for name in ("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1")
    ]
    rows = 2 if config.max_batch_size > 0 else 1
    values = addends(rows)
    assert is_right(client.infer("completed", inputs_of(values)), values)


def test_statistics_count_requests_and_failures(client):
    def figures():
        [found] = client.get_inference_statistics("versions_all", "2").model_stats
        assert (found.name, found.version) == ("versions_all", "2")
        return found

    before = figures()
    for rows in (1, 4):
        values = addends(rows)
        assert is_right(client.infer("versions_all", inputs_of(values), "2"), values, offset=100)
    with pytest.raises(InferenceServerException):
        client.infer("versions_all", inputs_of(addends(9)), "2")
    after = figures()
    assert after.inference_count - before.inference_count == 5
    assert after.execution_count - before.execution_count == 2
    assert after.inference_stats.success.count - before.inference_stats.success.count == 2
    for part in ("queue", "compute_input", "compute_infer", "compute_output"):
        assert getattr(after.inference_stats, part).count - getattr(before.inference_stats, part).count == 2
    assert after.inference_stats.fail.count - before.inference_stats.fail.count == 1
    assert after.inference_stats.success.ns > before.inference_stats.success.ns
    assert after.last_inference > 1_600_000_000_000
    sizes = [batch.batch_size for batch in after.batch_stats]
    assert {1, 4} <= set(sizes) and sizes == sorted(sizes)


def test_statistics_of_all_models(client):
    names = {(found.name, found.version) for found in client.get_inference_statistics().model_stats}
    assert {("simple", "1"), ("versions_some", "1"), ("versions_some", "3"), ("churn", "1")} <= names
    assert ("versions_some", "2") not in names


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        ("nobody", "", "requested model 'nobody' is not available"),
        ("simple", "7", "requested model version is not available for model 'simple'"),
    ],
)
def test_statistics_of_what_is_not_there(client, model, version, message):
    with pytest.raises(InferenceServerException) as raised:
        client.get_inference_statistics(model, version)
    assert (raised.value.status(), raised.value.message()) == ("StatusCode.INVALID_ARGUMENT", message)


def test_repository_index(client):
    index = {(entry.name, entry.version): entry.state for entry in client.get_model_repository_index().models}
    assert index[("simple", "1")] == index[("versions_some", "3")] == "READY"
    assert client.get_model_repository_index(as_json=True)["models"]


@pytest.mark.parametrize("ask", ["get_model_metadata", "get_model_config"])
def test_what_is_not_there_is_an_error_elsewhere(client, ask):
    with pytest.raises(InferenceServerException) as raised:
        getattr(client, ask)("nobody")
    assert raised.value.status() == "StatusCode.NOT_FOUND"
    assert raised.value.message() == "Request for unknown model: 'nobody' is not found"


def test_loading_is_not_allowed_where_nobody_allowed_it(client):
    for change in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException) as raised:
            change("simple")
        assert raised.value.status() == "StatusCode.UNAVAILABLE"
        assert raised.value.message() == "explicit model load / unload is not allowed if polling is enabled"
    assert client.is_model_ready("simple")


def test_trace_settings(client):
    settings = client.get_trace_settings(as_json=True)["settings"]
    assert {"trace_level", "trace_rate", "trace_count", "log_frequency", "trace_file", "trace_mode"} <= set(settings)
    of_a_model = client.get_trace_settings("simple", as_json=True)["settings"]
    assert {"trace_level", "trace_rate"} <= set(of_a_model)


@pytest.mark.parametrize(
    ("model", "settings", "status", "message"),
    [
        (
            None,
            {"trace_file": "elsewhere"},
            "StatusCode.UNIMPLEMENTED",
            "trace file location can not be updated through network protocol",
        ),
        ("nobody", {"trace_rate": "1"}, "StatusCode.INVALID_ARGUMENT", "Request for unknown model : nobody"),
    ],
)
def test_trace_settings_that_are_refused(client, model, settings, status, message):
    with pytest.raises(InferenceServerException) as raised:
        client.update_trace_settings(model, settings)
    assert (raised.value.status(), raised.value.message()) == (status, message)


def test_log_settings(client):
    before = client.get_log_settings(as_json=True)["settings"]
    assert {"log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format"} <= set(before)
    try:
        changed = client.update_log_settings({"log_verbose_level": 1}, as_json=True)["settings"]
        assert changed["log_verbose_level"] == {"uint32_param": 1}
        assert client.get_log_settings(as_json=True)["settings"]["log_verbose_level"] == {"uint32_param": 1}
    finally:
        client.update_log_settings({"log_verbose_level": 0})
    with pytest.raises(InferenceServerException) as raised:
        client.update_log_settings({"log_file": "elsewhere"})
    assert raised.value.status() == "StatusCode.UNIMPLEMENTED"
    assert raised.value.message() == "log file location can not be updated through network protocol"


def test_many_clients_at_once(server):
    """Each has a connection of its own, as programs have that start together."""
    clients = [
        triton.InferenceServerClient(server.address, channel_args=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(20)
    ]
    try:
        values = addends()
        assert all(is_right(each.infer("simple", inputs_of(values)), values) for each in clients)
    finally:
        for each in clients:
            each.close()
