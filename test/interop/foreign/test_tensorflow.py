"""Clients of TensorFlow Serving: min-tfs-client, and the stubs that it brings along."""

import json
from importlib import import_module

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from min_tfs_client.requests import TensorServingClient
from min_tfs_client.tensors import ndarray_to_tensor_proto, tensor_proto_to_ndarray
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    input_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from support.server import EXAMPLES
from tools.descriptors import declared, our_files

AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


@pytest.fixture(scope="module")
def client(server) -> TensorServingClient:
    host, _, port = server.address.rpartition(":")
    return TensorServingClient(host, int(port))


@pytest.fixture(scope="module")
def channel(server):
    with server.channel(max_receive_message_length=-1) as connected:
        yield connected


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def status(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def golden(model: str) -> list[dict]:
    return [json.loads(line) for line in (EXAMPLES / model / "golden.jsonl").read_text().splitlines()]


def addends(rows: int = 1) -> dict[str, np.ndarray]:
    first = np.arange(rows * 16, dtype=np.int32).reshape(rows, 16)
    return {"INPUT0": first, "INPUT1": np.full((rows, 16), 3, np.int32)}


def predict_request(model: str = "simple", inputs: dict | None = None, **spec) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name=model, **spec))
    for name, value in (addends() if inputs is None else inputs).items():
        proto = value if isinstance(value, tensor_pb2.TensorProto) else ndarray_to_tensor_proto(value)
        request.inputs[name].CopyFrom(proto)
    return request


def refused(call, request) -> tuple[StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call(request, timeout=10)
    return raised.value.code(), raised.value.details()


def shape_of(*sizes: int) -> tensor_shape_pb2.TensorShapeProto:
    return tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in sizes])


@pytest.mark.parametrize("rows", [1, 5])
def test_predict(client, rows):
    inputs = addends(rows)
    response = client.predict_request("simple", inputs, timeout=10)
    assert np.array_equal(tensor_proto_to_ndarray(response.outputs["OUTPUT0"]), inputs["INPUT0"] + inputs["INPUT1"])
    assert np.array_equal(tensor_proto_to_ndarray(response.outputs["OUTPUT1"]), inputs["INPUT0"] - inputs["INPUT1"])
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("simple", 1, "serving_default")
    # Typed, and nothing but that: clients count on it.
    assert len(response.outputs["OUTPUT0"].int_val) == 16 * rows
    assert response.outputs["OUTPUT0"].tensor_content == b""


@pytest.mark.parametrize(("version", "offset"), [(None, 200), (1, 0), (2, 100)])
def test_versions(client, version, offset):
    inputs = addends()
    response = client.predict_request("versions_all", inputs, timeout=10, model_version=version)
    found = tensor_proto_to_ndarray(response.outputs["OUTPUT0"])
    assert np.array_equal(found, inputs["INPUT0"] + inputs["INPUT1"] + offset)
    assert response.model_spec.version.value == (version or 3)


@pytest.mark.parametrize(
    ("model", "value"),
    [
        ("identity_fp32", np.array([0.5, np.nan, -np.inf], np.float32)),
        ("identity_fp64", np.array([0.1, 1e300])),
        ("identity_fp16", np.array([0.5, -2], np.float16)),
        ("identity_int8", np.array([-128, 127], np.int8)),
        ("identity_int16", np.array([-(2**15), 2**15 - 1], np.int16)),
        ("identity_int32", np.array([-(2**31), 2**31 - 1], np.int32)),
        ("identity_int64", np.array([-(2**63), 2**63 - 1], np.int64)),
        ("identity_uint8", np.array([0, 255], np.uint8)),
        ("identity_uint16", np.array([0, 2**16 - 1], np.uint16)),
        ("identity_uint32", np.array([0, 2**32 - 1], np.uint32)),
        ("identity_uint64", np.array([0, 2**64 - 1], np.uint64)),
        ("identity_bool", np.array([True, False])),
    ],
)
def test_types_by_their_bytes(prediction, model, value):
    """tensor_content in, typed values out."""
    kinds = {"float16": "HALF", "float32": "FLOAT", "float64": "DOUBLE"}
    kind = f"DT_{kinds.get(value.dtype.name, value.dtype.name.upper())}"
    sent = tensor_pb2.TensorProto(
        dtype=types_pb2.DataType.Value(kind), tensor_shape=shape_of(*value.shape), tensor_content=value.tobytes()
    )
    found = prediction.Predict(predict_request(model, {"INPUT0": sent}), timeout=10).outputs["OUTPUT0"]
    assert found.dtype == sent.dtype and [dim.size for dim in found.tensor_shape.dim] == [len(value)]
    fields = {"float32": "float_val", "float64": "double_val", "float16": "half_val", "int64": "int64_val"}
    fields |= {"uint32": "uint32_val", "uint64": "uint64_val", "bool": "bool_val"}
    values = list(getattr(found, fields.get(value.dtype.name, "int_val")))
    is_ = np.array(values, np.uint16).view(np.float16) if value.dtype == np.float16 else np.array(values, value.dtype)
    assert is_.tobytes() == value.tobytes()


def test_texts(prediction):
    value = [b"", b"plain", b"\x00\xff"]
    sent = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape_of(3), string_val=value)
    found = prediction.Predict(predict_request("identity_bytes", {"INPUT0": sent}), timeout=10).outputs["OUTPUT0"]
    assert list(found.string_val) == value


def test_the_last_value_fills_up(prediction):
    inputs = {
        name: tensor_pb2.TensorProto(dtype=types_pb2.DT_INT32, tensor_shape=shape_of(2, 16), int_val=[1, value])
        for name, value in (("INPUT0", 5), ("INPUT1", 2))
    }
    found = prediction.Predict(predict_request(inputs=inputs), timeout=10).outputs["OUTPUT0"]
    assert list(found.int_val) == [2] + [7] * 31


def test_a_scalar(prediction):
    sent = tensor_pb2.TensorProto(dtype=types_pb2.DT_DOUBLE, double_val=[2.5])
    found = prediction.Predict(predict_request("scalar", {"INPUT0": sent}), timeout=10).outputs["OUTPUT0"]
    assert list(found.double_val) == [5.0] and len(found.tensor_shape.dim) == 0


def test_output_filter(prediction):
    request = predict_request()
    request.output_filter.append("OUTPUT1")
    assert list(prediction.Predict(request, timeout=10).outputs) == ["OUTPUT1"]


def test_messages_far_above_4_mb(prediction):
    value = np.random.default_rng(5).random(3_000_000, np.float32)
    sent = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=shape_of(len(value)))
    sent.float_val.extend(value.tolist())
    found = prediction.Predict(predict_request("identity_fp32", {"INPUT0": sent}), timeout=60).outputs["OUTPUT0"]
    assert np.array_equal(np.array(found.float_val, np.float32), value)


def filtered(*names: str) -> predict_pb2.PredictRequest:
    request = predict_request()
    request.output_filter.extend(names)
    return request


INVALID, NOT_FOUND, PRECONDITION = (
    StatusCode.INVALID_ARGUMENT,
    StatusCode.NOT_FOUND,
    StatusCode.FAILED_PRECONDITION,
)


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (predict_pb2.PredictRequest(), INVALID, "Missing ModelSpec"),
        (
            predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name="x")),
            INVALID,
            "ModelSpec has no name specified.",
        ),
        (predict_request("nobody"), NOT_FOUND, "Servable not found for request: Latest(nobody)"),
        (predict_request(version={"value": 7}), NOT_FOUND, "Servable not found for request: Specific(simple, 7)"),
        (predict_request(signature_name="zz"), PRECONDITION, 'Serving signature key "zz" not found.'),
        (
            predict_request(inputs={}),
            INVALID,
            "input size does not match signature: 0!=2 len({}) != len({INPUT0,INPUT1}). Sent extra: {}. "
            "Missing but required: {INPUT0,INPUT1}.",
        ),
        (
            filtered("q"),
            INVALID,
            "output tensor alias not found in signature: q Outputs expected to be in the set {OUTPUT0,OUTPUT1}.",
        ),
        (filtered("OUTPUT0", "OUTPUT0"), INVALID, "duplicate output tensor alias: OUTPUT0"),
    ],
)
def test_messages_of_predict(prediction, request_, code, message):
    assert refused(prediction.Predict, request_) == (code, message)


@pytest.mark.parametrize(
    ("name", "proto"),
    [
        ("INPUT0", tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=shape_of(1, 16), float_val=[1])),
        ("INPUT0", tensor_pb2.TensorProto(dtype=types_pb2.DT_INT32, tensor_shape=shape_of(1, 17), int_val=[1])),
        ("INPUT1", tensor_pb2.TensorProto(dtype=types_pb2.DT_INT32, tensor_shape=shape_of(1, -1), int_val=[1])),
        ("INPUT1", tensor_pb2.TensorProto(dtype=types_pb2.DT_BFLOAT16, tensor_shape=shape_of(1, 16), half_val=[1])),
        ("INPUT1", tensor_pb2.TensorProto(dtype=types_pb2.DT_INT32, tensor_shape=shape_of(1, 16), tensor_content=b"1")),
    ],
)
def test_wrong_tensors_are_named(prediction, name, proto):
    code, message = refused(prediction.Predict, predict_request(inputs={**addends(), name: proto}))
    assert code == INVALID and name in message


def example_of(row: dict) -> example_pb2.Example:
    def feature(value):
        if isinstance(value, str):
            return feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=[value.encode()]))
        if isinstance(value, (bool, int)):
            return feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=[int(value)]))
        return feature_pb2.Feature(float_list=feature_pb2.FloatList(value=[value]))

    return example_pb2.Example(
        features=feature_pb2.Features(feature={name: feature(value) for name, value in row.items()})
    )


def input_of(rows: list[dict]) -> input_pb2.Input:
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=map(example_of, rows)))


def test_classify(prediction):
    rows = [row for row in golden("churn") if None not in row["row"].values()][:5]
    request = classification_pb2.ClassificationRequest(
        model_spec=model_pb2.ModelSpec(name="churn"), input=input_of([row["row"] for row in rows])
    )
    result = prediction.Classify(request, timeout=10).result
    assert len(result.classifications) == len(rows)
    for row, found in zip(rows, result.classifications):
        assert len(found.classes) == 2
        assert sum(entry.score for entry in found.classes) == pytest.approx(1, abs=1e-5)
        assert found.classes[1].score == pytest.approx(row["score"], abs=1e-5)


def test_regress(prediction):
    rows = golden("diabetes")[:5]
    request = regression_pb2.RegressionRequest(
        model_spec=model_pb2.ModelSpec(name="diabetes"), input=input_of([row["row"] for row in rows])
    )
    result = prediction.Regress(request, timeout=10).result
    assert [found.value for found in result.regressions] == pytest.approx([row["score"] for row in rows], rel=1e-4)


def test_classify_rows_that_are_one_list(prediction):
    """Under the name of the graph's one input."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=model_pb2.ModelSpec(name="breast-cancer"), metadata_field=["signature_def"]
    )
    signatures = get_model_metadata_pb2.SignatureDefMap()
    prediction.GetModelMetadata(request, timeout=10).metadata["signature_def"].Unpack(signatures)
    [name] = signatures.signature_def["serving_default"].inputs
    rows = golden("breast-cancer")[:3]
    lists = [feature_pb2.Feature(float_list=feature_pb2.FloatList(value=row["row"])) for row in rows]
    examples = [
        example_pb2.Example(features=feature_pb2.Features(feature={name: values})) for values in lists
    ]
    request = classification_pb2.ClassificationRequest(
        model_spec=model_pb2.ModelSpec(name="breast-cancer"),
        input=input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples)),
    )
    result = prediction.Classify(request, timeout=10).result
    assert [found.classes[1].score for found in result.classifications] == pytest.approx(
        [row["score"] for row in rows], abs=1e-5
    )


def test_context_and_examples(prediction):
    """What the examples have in common is sent once."""
    [row] = golden("diabetes")[:1]
    names = list(row["row"])
    common = example_of({name: row["row"][name] for name in names[:5]})
    rest = example_of({name: row["row"][name] for name in names[5:]})
    both = input_pb2.ExampleListWithContext(context=common, examples=[rest, rest])
    request = regression_pb2.RegressionRequest(
        model_spec=model_pb2.ModelSpec(name="diabetes"), input=input_pb2.Input(example_list_with_context=both)
    )
    result = prediction.Regress(request, timeout=10).result
    assert [found.value for found in result.regressions] == pytest.approx([row["score"]] * 2, rel=1e-4)


def test_messages_of_classify_and_regress(prediction):
    spec = model_pb2.ModelSpec(name="diabetes")
    row = input_of([{"x": 1.0}])
    code, message = refused(
        prediction.Classify, classification_pb2.ClassificationRequest(model_spec=spec, input=row)
    )
    assert code == INVALID
    assert message.startswith("Expected classification signature method_name to be tensorflow/serving/classify. Was: ")
    other = model_pb2.ModelSpec(name="churn", signature_name="zz")
    assert refused(prediction.Classify, classification_pb2.ClassificationRequest(model_spec=other, input=row)) == (
        INVALID,
        "No signature was found with the name: zz",
    )
    empty = regression_pb2.RegressionRequest(model_spec=spec)
    assert refused(prediction.Regress, empty) == (INVALID, "Input is empty.")


def test_model_metadata(prediction):
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=model_pb2.ModelSpec(name="simple"), metadata_field=["signature_def"]
    )
    response = prediction.GetModelMetadata(request, timeout=10)
    assert (response.model_spec.name, response.model_spec.version.value) == ("simple", 1)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    default = signatures.signature_def["serving_default"]
    assert default.method_name == "tensorflow/serving/predict"
    assert {
        name: (info.dtype, [dim.size for dim in info.tensor_shape.dim]) for name, info in default.inputs.items()
    } == {name: (types_pb2.DT_INT32, [-1, 16]) for name in ("INPUT0", "INPUT1")}
    assert set(default.outputs) == {"OUTPUT0", "OUTPUT1"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "GetModelMetadataRequest must specify at least one metadata_field"),
        (["graph_def"], "Metadata field graph_def is not supported"),
    ],
)
def test_messages_of_model_metadata(prediction, fields, message):
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=model_pb2.ModelSpec(name="simple"), metadata_field=fields
    )
    assert refused(prediction.GetModelMetadata, request) == (INVALID, message)


@pytest.mark.parametrize(
    ("spec", "versions"), [({"name": "versions_some"}, [1, 3]), ({"name": "versions_all", "version": {"value": 2}}, [2])]
)
def test_model_status(status, spec, versions):
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(**spec))
    found = status.GetModelStatus(request, timeout=10).model_version_status
    assert sorted(entry.version for entry in found) == versions
    assert all(entry.state == AVAILABLE and entry.status.error_code == 0 for entry in found)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "nobody"}, "Could not find any versions of model nobody"),
        ({"name": "simple", "version": {"value": 7}}, "Could not find version 7 of model simple"),
    ],
)
def test_messages_of_model_status(status, spec, message):
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(**spec))
    assert refused(status.GetModelStatus, request) == (NOT_FOUND, message)


def test_configs_are_not_reloaded_this_way(status):
    code, message = refused(status.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest())
    assert code == StatusCode.UNIMPLEMENTED and message != ""


# In our protos from a later release than the stubs'.
LATER = {".tensorflow.serving.PredictRequest.client_id", ".tensorflow.serving.ReloadConfigRequest.metric_names"}


def test_descriptors():
    """Whatever our protos declare has the number, type and label that the official stubs say."""
    modules = ["example.example", "example.feature", "framework.tensor", "framework.tensor_shape", "framework.types"]
    modules = [f"tensorflow.core.{name}_pb2" for name in [*modules, "protobuf.meta_graph", "protobuf.error_codes"]]
    names = ["classification", "get_model_metadata", "get_model_status", "inference", "input", "model"]
    names += ["model_management", "model_service", "predict", "prediction_service", "regression"]
    modules += [f"tensorflow_serving.apis.{name}_pb2" for name in names] + [
        "tensorflow_serving.config.model_server_config_pb2",
        "tensorflow_serving.util.status_pb2",
    ]
    official: dict[str, object] = {}
    for name in modules:
        file = type(next(iter(our_files().values())))()
        import_module(name).DESCRIPTOR.CopyToProto(file)
        official.update(declared(file))
    ours = {
        name: entry
        for file, found in our_files().items()
        if file.startswith("tensorflow")
        for name, entry in declared(found).items()
    }
    assert len(ours) > 50
    assert {name for name in ours if name not in official} <= LATER
    different = {name: (entry, official[name]) for name, entry in ours.items() if name in official and entry != official[name]}
    assert {name: both for name, both in different.items() if not isinstance(both[0], dict)} == {}
    # Enums may leave out what is not served.
    for name, (entry, said) in different.items():
        assert set(entry.items()) <= set(said.items()), name
