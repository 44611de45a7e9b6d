"""ScoreStream and ScoreBatch as a Python client calls them."""

import threading

import grpc
import pytest
from scorewire.v1 import scoring_pb2

from support.examples import EXAMPLE_MODELS

DENSE = [example for example in EXAMPLE_MODELS.values() if "dense" in example.forms]


@pytest.mark.parametrize("example", EXAMPLE_MODELS.values(), ids=lambda example: example.name)
def test_a_stream_answers_every_item_under_its_id(scoring, example):
    rows = range(len(example.golden))
    messages = [
        scoring_pb2.ScoreStreamRequest(
            items=[scoring_pb2.StreamItem(id=n, request=example.request(n)) for n in rows[at : at + 3]]
        )
        for at in range(0, len(rows), 3)
    ]
    results = [result for message in scoring.ScoreStream(iter(messages), timeout=30) for result in message.results]
    assert sorted(result.id for result in results) == list(rows)
    for result in results:
        assert example.difference(example.golden[result.id], result.response) == ""


def test_a_stream_that_stays_open_answers_as_it_is_asked(scoring):
    example = EXAMPLE_MODELS["churn"]
    go_on = threading.Semaphore(1)

    def questions():
        for n in range(5):
            go_on.acquire(timeout=10)
            yield scoring_pb2.ScoreStreamRequest(items=[scoring_pb2.StreamItem(id=n, request=example.request(n))])

    seen = []
    for message in scoring.ScoreStream(questions(), timeout=30):
        seen += [result.id for result in message.results]
        go_on.release()
    assert seen == list(range(5))


@pytest.mark.parametrize("example", DENSE, ids=lambda example: example.name)
def test_a_matrix_of_golden_rows(scoring, example):
    rows = [list(example.request(n, "dense").row.dense.values) for n in range(len(example.golden))]
    request = scoring_pb2.ScoreBatchRequest(
        model=example.name,
        matrix=scoring_pb2.Matrix(columns=len(rows[0]), values=[value for row in rows for value in row]),
        chunk_rows=5,
        in_order=True,
    )
    *chunks, last = scoring.ScoreBatch(request, timeout=30)
    scores = [score for part in chunks for score in part.chunk.scores]
    assert [part.chunk.first_row for part in chunks] == list(range(0, len(rows), 5))
    assert (last.summary.rows, last.summary.scored, last.summary.failed) == (len(rows), len(rows), 0)
    for score, golden in zip(scores, example.golden, strict=True):
        assert score == pytest.approx(golden["score"], abs=example.tolerance, rel=0)


def test_a_batch_that_is_refused_names_the_field(scoring):
    request = scoring_pb2.ScoreBatchRequest(model="breast-cancer", matrix=scoring_pb2.Matrix(columns=3, values=[1] * 6))
    with pytest.raises(grpc.RpcError) as raised:
        list(scoring.ScoreBatch(request, timeout=10))
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details().startswith("matrix.columns: expected 30 columns, found 3")
