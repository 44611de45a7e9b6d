"""Triton's asyncio client."""

import asyncio

import numpy as np
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from tools.simple import addends, inputs_of, is_right, tensor


def run(server, test) -> None:
    async def body():
        async with triton.InferenceServerClient(server.address) as client:
            await asyncio.wait_for(test(client), 60)

    asyncio.run(body())


def test_all_that_it_asks(server):
    async def test(client):
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("simple")
        assert (await client.get_server_metadata()).name == "triton"
        assert (await client.get_model_metadata("simple")).name == "simple"
        assert (await client.get_model_config("simple")).config.max_batch_size == 8
        assert len((await client.get_model_repository_index()).models) > 10
        assert len((await client.get_inference_statistics("simple")).model_stats) == 1
        assert "trace_rate" in (await client.get_trace_settings(as_json=True))["settings"]
        assert "log_info" in (await client.get_log_settings(as_json=True))["settings"]
        await client.unregister_system_shared_memory()
        await client.unregister_cuda_shared_memory()
        assert len((await client.get_system_shared_memory_status()).regions) == 0
        assert len((await client.get_cuda_shared_memory_status()).regions) == 0

    run(server, test)


def test_many_at_once(server):
    async def test(client):
        sent = [addends(1 + n % 8, shift=n) for n in range(200)]
        results = await asyncio.gather(*(client.infer("simple", inputs_of(values)) for values in sent))
        assert all(is_right(result, values) for result, values in zip(results, sent))

    run(server, test)


def test_errors(server):
    async def test(client):
        for call, message in (
            (client.infer("simple", inputs_of(addends(9))), "inference request batch-size must be <= 8 for 'simple'"),
            (client.get_model_config("nobody"), "Request for unknown model: 'nobody' is not found"),
            (client.load_model("simple"), "explicit model load / unload is not allowed if polling is enabled"),
        ):
            try:
                await call
            except InferenceServerException as error:
                assert error.message().endswith(message)
            else:
                raise AssertionError(f"no error: {message}")

    run(server, test)


def test_stream(server):
    async def test(client):
        sent = [addends(shift=n) for n in range(50)]

        async def requests():
            for n, values in enumerate(sent):
                yield {"model_name": "simple", "inputs": inputs_of(values), "request_id": str(n)}
                await asyncio.sleep(0)

        found = []
        async for result, error in client.stream_infer(requests()):
            assert error is None
            found.append(result)
        assert [result.get_response().id for result in found] == [str(n) for n in range(50)]
        assert all(is_right(result, values) for result, values in zip(found, sent))

    run(server, test)


def test_a_stream_that_is_cancelled(server):
    async def test(client):
        async def requests():
            while True:
                yield {"model_name": "simple", "inputs": inputs_of(addends())}
                await asyncio.sleep(0.001)

        responses = client.stream_infer(requests())
        seen = 0
        async for _, error in responses:
            assert error is None
            seen += 1
            if seen == 10:
                break
        responses.cancel()
        values = addends()
        assert is_right(await client.infer("simple", inputs_of(values)), values)

    run(server, test)


def test_types_of_numpy_come_back(server):
    async def test(client):
        value = np.array([1.5, 2.5])
        found = await client.infer("identity_fp64", [tensor("INPUT0", value)])
        assert found.as_numpy("OUTPUT0").tolist() == value.tolist()

    run(server, test)
