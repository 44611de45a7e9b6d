"""KServe's own gRPC client."""

import asyncio

import grpc
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.infer_type import RequestedOutput
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from support.server import Server


def run(server, test) -> None:
    async def body():
        async with InferenceGRPCClient(server.address) as client:
            await asyncio.wait_for(test(client), 60)

    asyncio.run(body())


def addends() -> list[np.ndarray]:
    return [np.arange(16, dtype=np.int32).reshape(1, 16), np.full((1, 16), 3, np.int32)]


def request(values: list, model: str = "simple", data_type: str = "INT32", **options) -> InferRequest:
    """Raw where the values are arrays, typed where they are lists."""
    shape = [1, 16] if model == "simple" else [len(values[0])]
    inputs = [InferInput(f"INPUT{n}", shape, data_type, data=value) for n, value in enumerate(values)]
    return InferRequest(model_name=model, infer_inputs=inputs, **options)


def numbers(response, name: str) -> list:
    return response.get_output_by_name(name).as_numpy().ravel().tolist()


def test_health(server):
    async def test(client):
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("simple")
        assert not await client.is_model_ready("nobody")

    run(server, test)


@pytest.mark.parametrize("form", ["raw", "typed"])
def test_infer(server, form):
    async def test(client):
        first, second = addends()
        values = [value if form == "raw" else value.ravel().tolist() for value in (first, second)]
        response = await client.infer(request(values, request_id="mine"))
        assert (response.id, response.model_name, response.model_version) == ("mine", "simple", "1")
        assert numbers(response, "OUTPUT0") == (first + second).ravel().tolist()
        assert numbers(response, "OUTPUT1") == (first - second).ravel().tolist()

    run(server, test)


@pytest.mark.parametrize(
    ("data_type", "values"),
    [
        ("BOOL", [True, False]),
        ("INT64", [-(2**60), 5]),
        ("UINT8", [0, 255]),
        ("FP32", [0.5, -2.0]),
        ("FP64", [0.1, -1e300]),
        ("BYTES", ["text", "größer"]),
    ],
)
def test_types(server, data_type, values):
    async def test(client):
        response = await client.infer(request([values], f"identity_{data_type.lower()}", data_type))
        found = numbers(response, "OUTPUT0")
        assert [value.decode() if isinstance(value, bytes) else value for value in found] == values

    run(server, test)


def test_requested_outputs_and_parameters(server):
    async def test(client):
        first, second = addends()
        asked = request(
            [first, second],
            request_outputs=[RequestedOutput("OUTPUT1", {"binary_data": True})],
            parameters={"of": "mine"},
        )
        response = await client.infer(asked)
        assert [output.name for output in response.outputs] == ["OUTPUT1"]
        assert numbers(response, "OUTPUT1") == (first - second).ravel().tolist()

    run(server, test)


def test_errors(server):
    async def test(client):
        for asked, code in (
            (request([[1.0]], "identity_int32", "FP32"), grpc.StatusCode.INVALID_ARGUMENT),
            (request([[1]], "nobody"), grpc.StatusCode.NOT_FOUND),
        ):
            with pytest.raises(grpc.RpcError) as raised:
                await client.infer(asked, timeout=10)
            assert raised.value.code() == code

    run(server, test)


def test_metadata(server):
    """By KServe's stubs: the client has no words for it."""
    with server.channel() as channel:
        stub = GRPCInferenceServiceStub(channel)
        assert stub.ServerMetadata(pb.ServerMetadataRequest(), timeout=10).name == "triton"
        metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="simple"), timeout=10)
        assert [(put.name, put.datatype, list(put.shape)) for put in metadata.inputs] == [
            ("INPUT0", "INT32", [-1, 16]),
            ("INPUT1", "INT32", [-1, 16]),
        ]


def test_load_and_unload_in_kserves_form(repositories):
    """Its messages have the model's name where Triton's have the repository's."""
    flags = ["--set", "models.control=explicit", "--set", "models.load_at_start=none"]
    with Server(*flags, models=repositories / "explicit") as server, server.channel() as channel:
        stub = GRPCInferenceServiceStub(channel)
        stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="simple"), timeout=30)
        assert stub.ModelReady(pb.ModelReadyRequest(name="simple"), timeout=10).ready
        stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="simple"), timeout=30)
        assert not stub.ModelReady(pb.ModelReadyRequest(name="simple"), timeout=10).ready
        assert server.stop() == 0
