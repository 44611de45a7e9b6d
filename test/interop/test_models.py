"""ListModels and GetModel against what the folder says."""

import hashlib

import pytest
from scorewire.v1 import model_pb2, tensor_pb2

from support.examples import EXAMPLE_MODELS
from support.server import EXAMPLES

TASKS = {
    "binary": model_pb2.TASK_BINARY,
    "multiclass": model_pb2.TASK_MULTICLASS,
    "regression": model_pb2.TASK_REGRESSION,
}


def test_every_version_is_listed_in_order(models):
    listed = models.ListModels(model_pb2.ListModelsRequest(), timeout=10).models
    assert [(info.name, info.version) for info in listed] == [
        (name, version) for name, example in EXAMPLE_MODELS.items() for version in example.versions
    ]
    assert [info.live for info in listed] == [
        version == example.versions[-1] for example in EXAMPLE_MODELS.values() for version in example.versions
    ]


@pytest.mark.parametrize("name", EXAMPLE_MODELS)
def test_a_model_is_as_its_folder_says(models, name):
    example = EXAMPLE_MODELS[name]
    manifest = example.manifest
    for version in [None, *example.versions]:
        info = models.GetModel(model_pb2.GetModelRequest(model=name, version=version), timeout=10).model
        assert (info.name, info.version) == (name, version or example.versions[-1])
        graph = EXAMPLES / name / str(info.version) / "model.onnx"
        assert info.digest == hashlib.sha256(graph.read_bytes()).hexdigest()
        assert (
            info.task == TASKS[manifest.get("task", "multiclass" if "wine" in name or "digits" in name else "binary")]
        )
        assert info.inputs and info.outputs
        for tensor in [*info.inputs, *info.outputs]:
            assert tensor.name != "" and tensor.data_type != tensor_pb2.DATA_TYPE_UNSPECIFIED
        assert info.HasField("score") and info.score_problem == ""
        assert info.score.output in [tensor.name for tensor in info.outputs]
        assert info.score.HasField("threshold") == (info.task == model_pb2.TASK_BINARY)
        if example.feature_names:
            assert [feature.name for feature in info.features] == example.feature_names
            for feature, entry in zip(info.features, manifest["features"], strict=True):
                assert feature.required == ("default" not in entry)
                assert feature.allow_nan == entry.get("allow_nan", False)
        if "label" in manifest and "names" in manifest["label"]:
            assert list(info.labels) == manifest["label"]["names"]
        if "segments" in manifest:
            assert [segment.name for segment in info.segments] == [entry["name"] for entry in manifest["segments"]]
            assert [segment.HasField("from") for segment in info.segments] == [
                "from" in entry for entry in manifest["segments"]
            ]
        assert info.batching.max_batch_rows >= info.batching.knee_rows >= 1
        assert info.batching.latency_budget_ms > 0
        assert info.batching.enabled == (info.batching.reason == "")
        rows = [point.rows for point in info.batching.cost_curve]
        assert rows == sorted(set(rows)) and rows[0] == 1
        assert all(point.run_us > 0 for point in info.batching.cost_curve)
        assert info.loaded_at.seconds > 0


def test_the_quantised_twin_is_not_batched(models):
    batching = models.GetModel(model_pb2.GetModelRequest(model="digits-int8"), timeout=10).model.batching
    assert not batching.enabled and "8-bit" in batching.reason
