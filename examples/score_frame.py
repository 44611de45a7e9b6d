"""Scores a table with a model of a Scorewire server: plain grpcio, pandas, and ScoreBatch with named columns.

    pip install grpcio-tools pandas                  # and pyarrow, for Parquet
    mkdir -p stubs && python -m grpc_tools.protoc -I proto --python_out=stubs --grpc_python_out=stubs proto/scorewire/v1/*.proto
    PYTHONPATH=stubs python examples/score_frame.py churn                                  # the model's golden rows
    PYTHONPATH=stubs python examples/score_frame.py churn customers.parquet --out scored.csv

Columns that are no features of the model are left alone; features without a column take their defaults. Beside the table
come `score`, `label`, `segment`, and `error` for the rows that could not be scored.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
from scorewire.v1 import model_pb2, model_pb2_grpc, scoring_pb2, scoring_pb2_grpc, tensor_pb2

MODELS = Path(__file__).resolve().parent / "models"
# Below the 64 MiB that the server takes in one message unless it is told otherwise.
CALL_BYTES = 32 * 1024 * 1024


def score_frame(
    channel: grpc.Channel, model: str, frame: pd.DataFrame, call_bytes: int = CALL_BYTES, timeout: float = 600
) -> pd.DataFrame:
    """The frame with its scores beside it. Raises grpc.RpcError where a whole call is refused; `timeout` is for each call."""
    ask = model_pb2.GetModelRequest(model=model)
    info = model_pb2_grpc.ModelServiceStub(channel).GetModel(ask, timeout=timeout).model
    scoring = scoring_pb2_grpc.ScoringServiceStub(channel)
    features = {feature.name: feature for feature in info.features if feature.name in frame.columns}

    score = np.full(len(frame), np.nan, dtype=np.float32)
    label = np.full(len(frame), -1)
    segment = np.zeros(len(frame), dtype=int)
    error = np.full(len(frame), "", dtype=object)

    # A text or a flag that is not there can't be said in a column.
    for name, feature in features.items():
        if feature.data_type in (tensor_pb2.DATA_TYPE_STRING, tensor_pb2.DATA_TYPE_BOOL):
            error[frame[name].isna().to_numpy()] = f"{name}: the cell is empty"
    sent = np.flatnonzero(error == "")

    # Of one version, whatever is deployed meanwhile.
    head = scoring_pb2.ScoreBatchRequest(model=model, version=info.version)
    for first, request in requests(head, frame.iloc[sent][list(features)], features, call_bytes):
        for response in scoring.ScoreBatch(request, timeout=timeout):
            chunk = response.chunk  # empty in the last response, which is the summary
            # Chunks come as they are done; all of their rows are there, in order, where no top_k or min_score was set.
            rows = sent[first + chunk.first_row : first + chunk.first_row + len(chunk.scores)]
            score[rows], label[rows], segment[rows] = chunk.scores, chunk.labels, chunk.segments
            for failure in chunk.errors:
                error[sent[first + failure.row]] = failure.message

    scored = frame.assign(score=score)
    if info.labels:
        scored["label"] = [info.labels[index] if index >= 0 else None for index in label]
    if info.segments:
        # 0 is none.
        scored["segment"] = [info.segments[index - 1].name if index > 0 else None for index in segment]
    return scored.assign(error=error)


def requests(
    head: scoring_pb2.ScoreBatchRequest,
    frame: pd.DataFrame,
    features: dict[str, model_pb2.FeatureInfo],
    call_bytes: int,
    first: int = 0,
) -> Iterator[tuple[int, scoring_pb2.ScoreBatchRequest]]:
    """Requests of `call_bytes` at most, or of one row, and the number of the first row of each."""
    if len(frame) == 0:
        return
    request = scoring_pb2.ScoreBatchRequest()
    request.CopyFrom(head)
    request.columns.SetInParent()
    for name, feature in features.items():
        request.columns.columns[name].CopyFrom(to_column(frame[name], feature))
    if request.ByteSize() <= call_bytes or len(frame) == 1:
        yield first, request
        return
    half = len(frame) // 2
    yield from requests(head, frame.iloc[:half], features, call_bytes, first)
    yield from requests(head, frame.iloc[half:], features, call_bytes, first + half)


def to_column(values: pd.Series, feature: model_pb2.FeatureInfo) -> scoring_pb2.Column:
    """As the model's feature wants it; an empty number is NaN, of which the server says whether that will do."""
    if feature.data_type == tensor_pb2.DATA_TYPE_STRING:
        return scoring_pb2.Column(texts=values.astype(str))
    if feature.data_type == tensor_pb2.DATA_TYPE_BOOL:
        if not values.isin([True, False]).all():
            raise SystemExit(f"column {feature.name}: expected true or false")
        return scoring_pb2.Column(flags=values.astype(bool))
    try:
        numbers = pd.to_numeric(values)
    except ValueError as problem:
        raise SystemExit(f"column {feature.name}: expected numbers: {problem}") from None
    if pd.api.types.is_integer_dtype(numbers) and not numbers.hasnans:
        return scoring_pb2.Column(integers=numbers)
    return scoring_pb2.Column(numbers=numbers.to_numpy(dtype=float, na_value=np.nan))


def read_table(path: Path) -> pd.DataFrame:
    if path.suffix == ".jsonl":  # golden rows
        return pd.DataFrame([json.loads(line)["row"] for line in path.read_text().splitlines()])
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores a table with a model of a Scorewire server.")
    parser.add_argument("model")
    parser.add_argument("table", type=Path, nargs="?", help="CSV or Parquet; absent: the example's golden rows")
    parser.add_argument("--out", type=Path, help="CSV to write; absent: the first rows are printed")
    parser.add_argument("--address", default="127.0.0.1:8001")
    parser.add_argument("--ca", type=Path, help="use TLS, and trust this PEM file")
    parser.add_argument("--call-bytes", type=int, default=CALL_BYTES, help="a larger table goes in several calls")
    flags = parser.parse_args()
    frame = read_table(flags.table or MODELS / flags.model / "golden.jsonl")
    if flags.ca is None:
        channel = grpc.insecure_channel(flags.address)
    else:
        channel = grpc.secure_channel(flags.address, grpc.ssl_channel_credentials(flags.ca.read_bytes()))
    with channel:
        try:
            scored = score_frame(channel, flags.model, frame, flags.call_bytes)
        except grpc.RpcError as refused:
            raise SystemExit(f"{refused.code().name}: {refused.details()}") from None
    if flags.out is None:
        print(scored.head(10).to_string())
    else:
        scored.to_csv(flags.out, index=False)
    failed = int((scored["error"] != "").sum())
    print(f"{len(scored) - failed} rows scored, {failed} not")


if __name__ == "__main__":
    main()
