"""Stored scores as a Python client fills and asks for them."""

import time

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from scorewire.v1 import score_store_pb2, score_store_pb2_grpc, scoring_pb2, scoring_pb2_grpc

from support.server import Server

ORIGINS = scoring_pb2.Origin


@pytest.fixture(scope="module")
def customers():
    with Server("--features", "examples/features.yaml") as server, server.channel() as channel:
        yield scoring_pb2_grpc.ScoringServiceStub(channel), score_store_pb2_grpc.ScoreStoreServiceStub(channel)


def ask(scoring, entity, **fields):
    return scoring.Score(scoring_pb2.ScoreRequest(model="churn", entity_id=entity, **fields), timeout=10)


def put(store, scores, seconds_old=0):
    at = Timestamp(seconds=int(time.time()) - seconds_old)
    entries = [score_store_pb2.ScoreEntry(entity_id=name, score=score, scored_at=at) for name, score in scores.items()]
    messages = [score_store_pb2.PutScoresRequest(model="churn", job="python")]
    messages += [score_store_pb2.PutScoresRequest(entries=entries[at : at + 100]) for at in range(0, len(entries), 100)]
    return store.PutScores(iter(messages), timeout=30)


def test_an_entity_is_computed_once_and_then_answered_from_the_store(customers):
    scoring, _ = customers
    first, second = ask(scoring, "1"), ask(scoring, "1")
    assert (first.origin, second.origin) == (ORIGINS.ORIGIN_REAL_TIME, ORIGINS.ORIGIN_PRECOMPUTED)
    assert (first.score, first.segment, first.scored_at) == (second.score, second.segment, second.scored_at)
    numbered = scoring.Score(scoring_pb2.ScoreRequest(model="churn", entity_number=1), timeout=10)
    assert (numbered.entity_id, numbered.score) == ("1", first.score)


def test_what_was_put_is_the_answer_while_it_is_young_enough(customers):
    scoring, store = customers
    put_counts = put(store, {f"p{n}": n / 1000 for n in range(1000)}, seconds_old=7200)
    assert (put_counts.received, put_counts.stored) == (1000, 1000)
    answer = ask(scoring, "p700")
    assert (answer.origin, answer.segment) == (ORIGINS.ORIGIN_PRECOMPUTED, "High")
    assert answer.score == pytest.approx(0.7)
    assert answer.age.seconds >= 7200
    with pytest.raises(grpc.RpcError) as raised:
        ask(
            scoring,
            "p700",
            policy=scoring_pb2.SCORE_POLICY_PRECOMPUTED_ONLY,
            max_staleness=Duration(seconds=3600),
        )
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def test_many_entities_say_row_by_row_where_their_scores_come_from(customers):
    scoring, store = customers
    put(store, {"11": 0.5, "12": 0.25})
    request = scoring_pb2.ScoreBatchRequest(model="churn", entity_ids=["11", "12", "13", "nobody"], in_order=True)
    *chunks, last = scoring.ScoreBatch(request, timeout=30)
    origins = [origin for part in chunks for origin in part.chunk.origins]
    errors = [error for part in chunks for error in part.chunk.errors]
    assert origins == [
        ORIGINS.ORIGIN_PRECOMPUTED,
        ORIGINS.ORIGIN_PRECOMPUTED,
        ORIGINS.ORIGIN_REAL_TIME,
        ORIGINS.ORIGIN_UNSPECIFIED,
    ]
    assert [(error.row, error.reason) for error in errors] == [(3, "MISSING_FEATURES")]
    assert (last.summary.precomputed, last.summary.real_time, last.summary.failed) == (2, 1, 1)


def test_an_event_takes_a_score_out(customers):
    scoring, store = customers
    put(store, {"21": 0.9})
    entities = score_store_pb2.EntityIds(entity_ids=["21"])
    request = score_store_pb2.InvalidateScoresRequest(model="churn", entities=entities)
    assert store.InvalidateScores(request, timeout=10).invalidated == 1
    assert ask(scoring, "21").origin == ORIGINS.ORIGIN_REAL_TIME
    stats = store.GetScoreStoreStats(score_store_pb2.GetScoreStoreStatsRequest(model="churn"), timeout=10)
    [churn] = stats.models
    assert stats.store == "memory" and churn.hits > 0 and 0 < churn.hit_rate < 1
