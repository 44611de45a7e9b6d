"""Names, numbers, types and labels of our inference protos are those of the official stubs."""

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from tools.descriptors import declared, of_module, our_files

# In our proto from a later release than the client's.
LATER = (
    ".inference.ModelConfig.model_metrics",
    ".inference.ModelEnsembling.max_inflight_requests",
    ".inference.ModelMetrics",
)


@pytest.mark.parametrize("module", [service_pb2, model_config_pb2], ids=["service", "model_config"])
def test_all_is_there_and_the_same(module):
    official = of_module(module)
    ours = {
        name: entry
        for file, found in our_files().items()
        if file.startswith("inference/")
        for name, entry in declared(found).items()
    }
    assert len(official) > 50
    assert {name for name in official if name not in ours} == set()
    assert {name: (ours[name], entry) for name, entry in official.items() if ours[name] != entry} == {}


def test_nothing_is_there_that_nobody_else_has():
    official = {**of_module(service_pb2), **of_module(model_config_pb2)}
    for file, found in our_files().items():
        if file.startswith("inference/"):
            assert [name for name in set(declared(found)) - set(official) if not name.startswith(LATER)] == []
