"""The scores that the training libraries gave, through the whole server, 64 calls in flight."""

import asyncio
import random
import time

import grpc
import pytest
from scorewire.v1 import model_pb2, scoring_pb2_grpc

from support.examples import EXAMPLE_MODELS
from support.status import failure_of

IN_FLIGHT = 64
PATIENCE_SECONDS = 40
FORMS = [(name, form) for name, example in EXAMPLE_MODELS.items() for form in example.forms]


def score_all(address: str, requests: list, in_flight: int = IN_FLIGHT) -> list:
    """The answers in the order of the requests. A refusal for overload is obeyed: the call comes again when it may."""

    async def run() -> list:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            slots = asyncio.Semaphore(in_flight)

            async def one(request):
                async with slots:
                    end = time.monotonic() + PATIENCE_SECONDS
                    while time.monotonic() < end:
                        try:
                            return await stub.Score(request, timeout=20)
                        except grpc.RpcError as error:
                            failure = failure_of(error)
                            if failure.code != grpc.StatusCode.RESOURCE_EXHAUSTED:
                                raise
                            await asyncio.sleep(failure.retry_ms / 1000)
                    raise AssertionError(f"refused for {PATIENCE_SECONDS} s: {failure.message}")

            return await asyncio.gather(*(one(request) for request in requests))

    return asyncio.run(run())


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_golden_rows(server, name, form):
    example = EXAMPLE_MODELS[name]
    requests = [example.request(index, form, entity_id=str(index)) for index in range(len(example.golden))]
    answers = score_all(server.address, requests)
    wrong = {
        index: difference
        for index, answer in enumerate(answers)
        if (difference := example.difference(example.golden[index], answer))
    }
    assert wrong == {}
    assert [answer.entity_id for answer in answers] == [request.entity_id for request in requests]


def test_golden_rows_of_all_models_at_once(server):
    """Each row five times and all shuffled, so that answers that got mixed up show."""
    calls = [
        (example, index, form)
        for name, form in FORMS
        for example in [EXAMPLE_MODELS[name]]
        for index in range(len(example.golden))
    ] * 5
    random.Random(7).shuffle(calls)
    requests = [example.request(index, form, entity_number=n) for n, (example, index, form) in enumerate(calls)]
    answers = score_all(server.address, requests)
    wrong = [
        difference
        for n, ((example, index, _), answer) in enumerate(zip(calls, answers, strict=True))
        if (difference := example.difference(example.golden[index], answer))
        or (difference := "" if answer.entity_id == str(n) else f"answer of {answer.entity_id} for {n}")
    ]
    assert wrong == []


@pytest.mark.parametrize("name", EXAMPLE_MODELS)
def test_batches_form_where_they_change_nothing(server, models, name):
    example = EXAMPLE_MODELS[name]
    batching = models.GetModel(model_pb2.GetModelRequest(model=name)).model.batching
    answers = score_all(server.address, [example.request(n % len(example.golden)) for n in range(512)])
    largest = max(answer.timing.batch_rows for answer in answers)
    if batching.enabled:
        assert 1 < largest <= batching.max_batch_rows
    else:
        assert largest == 1
        assert batching.reason != ""


@pytest.mark.parametrize("name", EXAMPLE_MODELS)
def test_tensors_beside_the_score(scoring, name):
    example = EXAMPLE_MODELS[name]
    names = list(example.golden[0].get("outputs", {}))
    for index, golden in enumerate(example.golden):
        answer = scoring.Score(example.request(index, output_names=names), timeout=10)
        assert example.difference(golden, answer) == ""
        assert sorted(answer.outputs) == sorted(names)
        for output in names:
            tensor = answer.outputs[output]
            # One row's part: without the batch dimension.
            assert list(tensor.shape) == [len(golden["outputs"][output])]
            assert list(tensor.floats) == pytest.approx(golden["outputs"][output], abs=example.tolerance, rel=0)


def test_what_the_answer_says(scoring):
    example = EXAMPLE_MODELS["churn"]
    before = time.time()
    for index in range(len(example.golden)):
        answer = scoring.Score(example.request(index), timeout=10)
        assert (answer.model, answer.version) == ("churn", 1)
        # Of segments closed below and open above, and by the unrounded score.
        assert answer.segment == ("High" if answer.score >= 0.6 else "Medium" if answer.score >= 0.3 else "Low")
        assert answer.label == (1 if answer.score > 0.5 else 0)
        assert before - 1 <= answer.scored_at.ToNanoseconds() / 1e9 <= time.time() + 1
        assert answer.HasField("age") and answer.age.ToNanoseconds() == 0
        assert 0 < answer.timing.total_us < 5e6
        assert answer.timing.inference_us > 0
        parts = answer.timing.feature_us + answer.timing.queue_us + answer.timing.inference_us
        assert parts <= answer.timing.total_us * 1.05 + 50


def test_what_the_answer_leaves_out(scoring):
    """A regression has no label; a model without segments has none; no entity, no id; no tensors unless asked."""
    regression = scoring.Score(EXAMPLE_MODELS["diabetes"].request(), timeout=10)
    assert not regression.HasField("label") and not regression.HasField("label_name")
    assert regression.HasField("segment")
    classes = scoring.Score(EXAMPLE_MODELS["wine"].request(), timeout=10)
    assert classes.HasField("label") and not classes.HasField("segment")
    assert classes.entity_id == "" and len(classes.outputs) == 0
