"""ModelStreamInfer by Triton's client."""

import queue
from contextlib import contextmanager

import numpy as np
import pytest
import tritonclient.grpc as triton

from tools.simple import addends, inputs_of, is_right, tensor

WAIT_SECONDS = 30


@contextmanager
def stream(server, **options):
    """A client with an open stream, and its results as they come: (result, error)."""
    results: queue.Queue = queue.Queue()
    with triton.InferenceServerClient(server.address) as client:
        client.start_stream(lambda result, error: results.put((result, error)), **options)
        try:
            yield client, results
        finally:
            client.stop_stream()


def test_answers_in_the_order_of_the_requests(server):
    requests = 100
    with stream(server) as (client, results):
        sent = []
        for n in range(requests):
            sent.append(addends(1 + n % 8, shift=n))
            client.async_stream_infer("simple", inputs_of(sent[-1]), request_id=str(n))
        for n, values in enumerate(sent):
            result, error = results.get(timeout=WAIT_SECONDS)
            assert error is None
            response = result.get_response()
            assert response.id == str(n)
            assert response.parameters["triton_final_response"].bool_param is True
            assert is_right(result, values)


def test_a_slow_request_holds_back_those_behind_it(server):
    """In the order of the requests, whatever is done first."""
    with stream(server) as (client, results):
        client.async_stream_infer("slow", [tensor("LOOPS", np.array(50, np.int64))], request_id="slow")
        client.async_stream_infer("simple", inputs_of(addends()), request_id="fast")
        assert [results.get(timeout=WAIT_SECONDS)[0].get_response().id for _ in range(2)] == ["slow", "fast"]


def test_an_error_leaves_the_stream_open(server):
    with stream(server) as (client, results):
        values = addends()
        client.async_stream_infer("simple", inputs_of(values), request_id="1")
        client.async_stream_infer("simple", inputs_of(addends(9)), request_id="2")
        client.async_stream_infer("nobody", inputs_of(values), request_id="3")
        client.async_stream_infer("simple", inputs_of(values), request_id="4")
        found = [results.get(timeout=WAIT_SECONDS) for _ in range(4)]
    assert is_right(found[0][0], values) and is_right(found[3][0], values)
    assert found[1][1].message() == "[request id: 2] inference request batch-size must be <= 8 for 'simple'"
    assert found[2][1].message() == "Request for unknown model: 'nobody' is not found"


def test_an_error_ends_the_stream_of_who_wants_that(server):
    with stream(server, headers={"triton_grpc_error": "true"}) as (client, results):
        client.async_stream_infer("simple", inputs_of(addends(9)))
        result, error = results.get(timeout=WAIT_SECONDS)
        assert result is None
        assert error.status() == "StatusCode.INVALID_ARGUMENT"
        assert error.message().endswith("inference request batch-size must be <= 8 for 'simple'")


def test_what_is_under_way_is_done_after_the_last_request(server):
    """stop_stream closes the client's half and waits."""
    with stream(server) as (client, results):
        for n in range(20):
            client.async_stream_infer("simple", inputs_of(addends(shift=n)))
    assert results.qsize() == 20
    assert all(error is None for _, error in (results.get() for _ in range(20)))


def test_a_stream_that_is_cancelled(server):
    results: queue.Queue = queue.Queue()
    with triton.InferenceServerClient(server.address) as client:
        client.start_stream(lambda result, error: results.put((result, error)))
        for _ in range(10):
            client.async_stream_infer("slow", [tensor("LOOPS", np.array(100, np.int64))])
        client.stop_stream(cancel_requests=True)
        values = addends()
        assert is_right(client.infer("simple", inputs_of(values)), values)


def test_a_limit_of_time_for_the_stream(server):
    with stream(server, stream_timeout=0.5) as (client, results):
        client.async_stream_infer("simple", inputs_of(addends()))
        assert results.get(timeout=WAIT_SECONDS)[1] is None
        assert results.get(timeout=WAIT_SECONDS)[1].status() == "StatusCode.DEADLINE_EXCEEDED"


def test_large_messages(server):
    with stream(server) as (client, results):
        value = np.random.default_rng(3).random(2_000_000, np.float32)
        for _ in range(3):
            client.async_stream_infer("identity_fp32", [tensor("INPUT0", value)])
        for _ in range(3):
            result, error = results.get(timeout=WAIT_SECONDS)
            assert error is None and np.array_equal(result.as_numpy("OUTPUT0"), value)


def test_compressed(server):
    with stream(server, compression_algorithm="gzip") as (client, results):
        values = addends(8)
        client.async_stream_infer("simple", inputs_of(values))
        assert is_right(results.get(timeout=WAIT_SECONDS)[0], values)


def test_an_empty_final_response_is_for_decoupled_models_alone(server):
    """Each request of another model has its one answer, which is the final one."""
    with stream(server) as (client, results):
        values = addends()
        client.async_stream_infer("simple", inputs_of(values), enable_empty_final_response=True)
        result, error = results.get(timeout=WAIT_SECONDS)
        assert error is None and is_right(result, values)
        assert result.get_response().parameters["triton_final_response"].bool_param is True
        with pytest.raises(queue.Empty):
            results.get(timeout=0.2)
