"""The example that scores a pandas frame, run as a user runs it."""

import re
import sys

import pandas as pd
import pytest

from support.examples import EXAMPLE_MODELS
from support.metrics import Metrics
from support.programs import Output, run

CHURN = EXAMPLE_MODELS["churn"]


def score(server, *words: str) -> Output:
    return run(sys.executable, "examples/score_frame.py", *words, "--address", server.address)


def scored(server, path, *words: str) -> pd.DataFrame:
    out = path / "scored.csv"
    output = score(server, *words, "--out", str(out))
    assert output.code == 0, output
    # None stands for an empty cell.
    return pd.read_csv(out, keep_default_na=False, na_values=[""]).astype(object).where(lambda cell: cell.notna(), None)


def churn_rows() -> pd.DataFrame:
    return pd.DataFrame([golden["row"] for golden in CHURN.golden])


def alone(scoring, count: int) -> list:
    return [scoring.Score(CHURN.request(index), timeout=10) for index in range(count)]


def assert_as_alone(row, response) -> None:
    assert float(row.score) == pytest.approx(response.score, abs=CHURN.tolerance, rel=0)
    assert (row.label, row.segment, row.error) == (response.label_name, response.segment, None)


def test_golden_rows_have_the_scores_that_they_have_alone(server, scoring, tmp_path):
    frame = scored(server, tmp_path, "churn")
    assert len(frame) == len(CHURN.golden)
    for row, response in zip(frame.itertuples(), alone(scoring, len(frame)), strict=True):
        assert_as_alone(row, response)


def test_a_table_with_other_columns_and_without_those_that_have_defaults(server, tmp_path):
    table = tmp_path / "customers.csv"
    rows = churn_rows()
    plain = rows.drop(columns=["payment_method", "data_gb"])
    plain.insert(0, "customer", [f"c-{index}" for index in range(len(plain))])
    plain.to_csv(table, index=False)
    frame = scored(server, tmp_path, "churn", str(table))
    rows.assign(payment_method="card", data_gb=0).to_csv(table, index=False)
    full = scored(server, tmp_path, "churn", str(table))
    assert list(frame.customer) == list(plain.customer)
    assert list(frame.score) == list(full.score)
    assert "payment_method" not in frame.columns


def test_rows_that_are_wrong_say_why_and_the_others_are_scored(server, scoring, tmp_path):
    table = tmp_path / "customers.csv"
    rows = churn_rows().astype({"tenure_months": float})
    rows.loc[2, "plan"] = None
    rows.loc[5, "tenure_months"] = float("nan")
    rows.to_csv(table, index=False)
    frame = scored(server, tmp_path, "churn", str(table))
    assert frame.error[2] == "plan: the cell is empty"
    assert "tenure_months" in frame.error[5]
    for index, response in enumerate(alone(scoring, len(frame))):
        if index in (2, 5):
            assert (frame.score[index], frame.label[index], frame.segment[index]) == (None, None, None)
        else:
            assert_as_alone(frame.loc[index], response)


def test_a_table_that_is_too_large_for_a_message_goes_in_several_calls(server, tmp_path):
    def calls() -> float:
        method = "scorewire.v1.ScoringService/ScoreBatch"
        return Metrics(server).sum("rpc_server_call_duration_seconds_count", rpc_method=method)

    whole = scored(server, tmp_path, "churn")
    before = calls()
    parts = scored(server, tmp_path, "churn", "--call-bytes", "1000")
    assert calls() - before > 4
    assert [float(value) for value in parts.score] == pytest.approx([float(value) for value in whole.score], abs=1e-6)


def test_a_call_that_is_refused(server):
    output = score(server, "chrn", "examples/models/churn/golden.jsonl")
    assert (output.code, output.out) == (1, "")
    assert re.fullmatch(r"NOT_FOUND: .*did you mean \"churn\".*\n", output.err)
