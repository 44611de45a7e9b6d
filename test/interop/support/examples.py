"""What the example models' folders say: manifests and golden rows, read as somebody else's program would."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import grpc
import yaml
from scorewire.v1 import model_pb2, model_pb2_grpc
from scorewire.v1 import scoring_pb2 as scoring

from support.server import EXAMPLES

DEFAULT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Example:
    name: str
    versions: list[int]
    manifest: dict
    golden: list[dict]

    @property
    def tolerance(self) -> float:
        return float(self.manifest["golden"].get("tolerance", DEFAULT_TOLERANCE))

    @property
    def feature_names(self) -> list[str]:
        return [feature["name"] for feature in self.manifest.get("features", [])]

    @property
    def forms(self) -> list[str]:
        """How a row of it can be sent."""
        if not self.feature_names:
            return ["dense"]
        has_text = any(feature.get("type") == "text" for feature in self.manifest["features"])
        return ["named"] if has_text else ["dense", "named"]

    def row(self, golden: dict, form: str) -> scoring.Row:
        values = golden["row"]
        if form == "named":
            return named_row(values)
        return dense_row([values[name] for name in self.feature_names] if isinstance(values, dict) else values)

    def request(self, index: int = 0, form: str = "", **fields) -> scoring.ScoreRequest:
        golden = self.golden[index]
        return scoring.ScoreRequest(model=self.name, row=self.row(golden, form or self.forms[0]), **fields)

    def difference(self, golden: dict, response: scoring.ScoreResponse) -> str:
        """What the answer has wrong; empty where it is right."""
        wrong = []
        if not abs(response.score - golden["score"]) <= self.tolerance:
            wrong.append(f"score {response.score}, golden {golden['score']}")
        label = golden.get("label")
        if (response.label if response.HasField("label") else None) != label:
            wrong.append(f"label {response.label}, golden {label}")
        names = self.manifest.get("label", {}).get("names")
        if names is not None and response.label_name != names[label]:
            wrong.append(f"label name {response.label_name!r}, should be {names[label]!r}")
        if response.origin != scoring.ORIGIN_REAL_TIME:
            wrong.append(f"origin {response.origin}")
        return ", ".join(wrong)


def dense_row(values: list) -> scoring.Row:
    return scoring.Row(dense=scoring.DenseRow(values=[math.nan if value is None else value for value in values]))


def named_row(values: dict) -> scoring.Row:
    return scoring.Row(named=scoring.NamedRow(values={name: value_of(value) for name, value in values.items()}))


def value_of(value) -> scoring.Value:
    if value is None:
        return scoring.Value(number=math.nan)
    # In Python a bool is an int.
    if isinstance(value, bool):
        return scoring.Value(flag=value)
    if isinstance(value, int):
        return scoring.Value(integer=value)
    if isinstance(value, str):
        return scoring.Value(text=value)
    return scoring.Value(number=value)


def slow_request(channel: grpc.Channel, name: str) -> scoring.ScoreRequest:
    """Some row of a model that has no golden rows; its width is asked for."""
    info = model_pb2_grpc.ModelServiceStub(channel).GetModel(model_pb2.GetModelRequest(model=name), timeout=10).model
    width = info.inputs[0].shape[1]
    assert width > 0
    return scoring.ScoreRequest(model=name, row=dense_row([0.5] * width))


def _read(folder: Path) -> Example:
    return Example(
        name=folder.name,
        versions=sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()),
        manifest=yaml.safe_load((folder / "model.yaml").read_text()),
        golden=[json.loads(line) for line in (folder / "golden.jsonl").read_text().splitlines()],
    )


EXAMPLE_MODELS: dict[str, Example] = {folder.name: _read(folder) for folder in sorted(EXAMPLES.iterdir())}
