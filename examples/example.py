"""What every example has in common: its ONNX models, its golden rows, and the check that the two agree."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

MODELS = Path(__file__).resolve().parent / "models"


@dataclass
class Golden:
    """Held-out rows and what the training library said about them. Every array has one entry a row."""

    # By ONNX input name, as the graph takes them: [rows, width].
    inputs: dict[str, np.ndarray]
    # As golden.jsonl carries them: a list of numbers, or an object by feature name.
    rows: list[list | dict]
    score: np.ndarray
    # Class index; None for regressions.
    label: np.ndarray | None
    # By ONNX output name, the library's own values.
    outputs: dict[str, np.ndarray]
    # By ONNX output name, whether golden.jsonl carries the values too.
    written: tuple[str, ...] = ()
    # Of the held-out rows, how many go to golden.jsonl (the first ones); all of them are checked here.
    count: int = 48
    # Largest absolute difference between graph and library; model.yaml says the same to the server.
    tolerance: float = 1e-5


@dataclass
class Example:
    """One model: its versions, and the golden rows of the newest one."""

    name: str
    versions: dict[int, onnx.ModelProto]
    golden: Golden
    # Words about the data and how good the model is, for the console.
    quality: str
    # Goes into the metadata_props of each version.
    metadata: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        folder = MODELS / self.name
        for version, model in self.versions.items():
            onnx.helper.set_model_props(model, self.metadata)
            # The converters leave them in the order of a set, which changes from run to run.
            model.opset_import.sort(key=lambda opset: opset.domain)
            onnx.checker.check_model(model)
            path = folder / str(version) / "model.onnx"
            path.parent.mkdir(parents=True, exist_ok=True)
            onnx.save(model, path)
        newest = folder / str(max(self.versions)) / "model.onnx"
        difference = self._difference(newest)
        self._write_golden(folder / "golden.jsonl")
        size = sum((folder / str(v) / "model.onnx").stat().st_size for v in self.versions)
        print(
            f"{self.name}: {self.quality}; largest difference {difference:.1e} "
            f"over {len(self.golden.score)} rows; {size / 1024:.0f} KiB"
        )

    def _difference(self, path: Path) -> float:
        """Runs the held-out rows one at a time, as they are served, and fails where graph and library differ."""
        golden = self.golden
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = list(golden.outputs)
        largest = 0.0
        for row in range(len(golden.score)):
            feed = {name: column[row : row + 1] for name, column in golden.inputs.items()}
            for name, got in zip(names, session.run(names, feed)):
                if isinstance(got, list):  # ZipMap: a dictionary a row, by class
                    got = np.array(list(got[0].values()))
                expected = golden.outputs[name][row]
                largest = max(largest, float(np.abs(np.ravel(got) - expected).max()))
        if not largest <= golden.tolerance:
            raise SystemExit(f"{self.name}: graph and library differ by {largest}, more than {golden.tolerance}")
        return largest

    def _write_golden(self, path: Path) -> None:
        golden = self.golden
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for index in range(golden.count):
                line: dict = {"row": golden.rows[index], "score": float(golden.score[index])}
                if golden.label is not None:
                    line["label"] = int(golden.label[index])
                if golden.written:
                    line["outputs"] = {name: np.ravel(golden.outputs[name][index]).tolist() for name in golden.written}
                file.write(json.dumps(line, allow_nan=False) + "\n")


def short(value: np.floating) -> float | None:
    """The shortest decimal number that is this float32; None for NaN, as JSON has no word for it."""
    if np.isnan(value):
        return None
    shortest = float(str(np.float32(value)))
    assert np.float32(shortest) == np.float32(value)
    return shortest


def dense_rows(features: np.ndarray) -> list[list]:
    return [[short(value) for value in row] for row in features]


def named_rows(names: list[str], features: np.ndarray) -> list[dict]:
    return [dict(zip(names, row)) for row in dense_rows(features)]
