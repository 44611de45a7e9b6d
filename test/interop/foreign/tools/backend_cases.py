"""ONNX's own backend test data, as it lies in the package `onnx`: models, inputs, and what must come out."""

import base64
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
from onnx import TensorProto, numpy_helper

DATA = Path(onnx.backend.test.__file__).parent / "data"
KINDS = ["node", "simple", "pytorch-converted", "pytorch-operator"]

# As ONNX's own runner has them.
RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-7

# Element types that the protocol has and onnxruntime's Node binding takes: its name for them, and the protocol's.
DATA_TYPES = {
    TensorProto.FLOAT: ("float32", "FP32"),
    TensorProto.UINT8: ("uint8", "UINT8"),
    TensorProto.INT8: ("int8", "INT8"),
    TensorProto.UINT16: ("uint16", "UINT16"),
    TensorProto.INT16: ("int16", "INT16"),
    TensorProto.INT32: ("int32", "INT32"),
    TensorProto.INT64: ("int64", "INT64"),
    TensorProto.STRING: ("string", "BYTES"),
    TensorProto.BOOL: ("bool", "BOOL"),
    TensorProto.FLOAT16: ("float16", "FP16"),
    TensorProto.DOUBLE: ("float64", "FP64"),
    TensorProto.UINT32: ("uint32", "UINT32"),
    TensorProto.UINT64: ("uint64", "UINT64"),
}


@dataclass(frozen=True)
class DataSet:
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


@dataclass(frozen=True)
class BackendCase:
    kind: str
    folder: Path

    @property
    def name(self) -> str:
        """Unique over all kinds, and fit for a folder and a test's id."""
        return re.sub(r"[^A-Za-z0-9_.-]", "_", f"{self.kind}.{self.folder.name.removeprefix('test_')}")

    @property
    def file(self) -> Path:
        return self.folder / "model.onnx"

    @cached_property
    def _model(self) -> onnx.ModelProto:
        return onnx.load(self.file)

    @cached_property
    def _inputs(self) -> list[onnx.ValueInfoProto]:
        constants = {constant.name for constant in self._model.graph.initializer}
        return [declared for declared in self._model.graph.input if declared.name not in constants]

    @property
    def input_names(self) -> list[str]:
        return [declared.name for declared in self._inputs]

    @property
    def output_names(self) -> list[str]:
        return [declared.name for declared in self._model.graph.output]

    @property
    def unfit(self) -> str:
        """Why no client of the protocol could send or receive it; empty where one can."""
        for declared in [*self._inputs, *self._model.graph.output]:
            kind = declared.type.WhichOneof("value")
            if kind != "tensor_type":
                return f"{declared.name} is a {kind}"
            if declared.type.tensor_type.elem_type not in DATA_TYPES:
                return f"{declared.name} is of {TensorProto.DataType.Name(declared.type.tensor_type.elem_type)}"
        return ""

    @property
    def data_types(self) -> dict[str, str]:
        """The protocol's names, by input."""
        return {declared.name: DATA_TYPES[declared.type.tensor_type.elem_type][1] for declared in self._inputs}

    @property
    def tolerances(self) -> tuple[float, float]:
        """Relative, absolute."""
        file = self.folder / "data.json"
        said = json.loads(file.read_text()) if file.exists() else {}
        return said.get("rtol", RELATIVE_TOLERANCE), said.get("atol", ABSOLUTE_TOLERANCE)

    @cached_property
    def data_sets(self) -> list[DataSet]:
        return [
            DataSet(_tensors(folder, "input", len(self.input_names)), _tensors(folder, "output", len(self.output_names)))
            for folder in sorted(self.folder.glob("test_data_set_*"))
        ]

    def difference(self, found: list[np.ndarray], expected: list[np.ndarray]) -> str:
        """What is wrong with the outputs; empty where they are right."""
        relative, absolute = self.tolerances
        if len(found) != len(expected):
            return f"{len(found)} outputs, expected {len(expected)}"
        for name, is_, should in zip(self.output_names, found, expected):
            if is_.shape != should.shape:
                return f"{name}: shape {is_.shape}, expected {should.shape}"
            if should.dtype == object:
                if not all(_text(a) == _text(b) for a, b in zip(is_.ravel(), should.ravel())):
                    return f"{name}: {is_}, expected {should}"
            elif is_.dtype != should.dtype:
                return f"{name}: {is_.dtype}, expected {should.dtype}"
            elif not np.allclose(is_, should, rtol=relative, atol=absolute, equal_nan=True):
                return f"{name}: {is_}, expected {should}"
        return ""

    def as_json(self) -> dict:
        """For a program that can't read ONNX's tensors."""
        return {
            "name": self.name,
            "file": str(self.file),
            "outputs": self.output_names,
            "sets": [
                [
                    {"name": declared.name, **tensor_as_json(value, declared.type.tensor_type.elem_type)}
                    for declared, value in zip(self._inputs, data.inputs)
                ]
                for data in self.data_sets
            ],
        }


def tensor_as_json(value: np.ndarray, element_type: int) -> dict:
    data_type = DATA_TYPES[element_type][0]
    if data_type == "string":
        return {"type": data_type, "dims": value.shape, "texts": [_text(text) for text in value.ravel()]}
    raw = np.ascontiguousarray(value).tobytes()
    return {"type": data_type, "dims": value.shape, "data": base64.b64encode(raw).decode()}


def tensor_from_json(tensor: dict) -> np.ndarray:
    if tensor["type"] == "string":
        return np.array(tensor["texts"], dtype=object).reshape(tensor["dims"])
    return np.frombuffer(base64.b64decode(tensor["data"]), dtype=tensor["type"]).reshape(tensor["dims"])


def _tensors(folder: Path, kind: str, count: int) -> list[np.ndarray]:
    """All `count` of them, unless some have no file."""
    files = [folder / f"{kind}_{n}.pb" for n in range(count)]
    return [numpy_helper.to_array(onnx.load_tensor(file)) for file in files if file.exists()]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def backend_cases() -> list[BackendCase]:
    return [BackendCase(kind, folder) for kind in KINDS for folder in sorted((DATA / kind).iterdir()) if folder.is_dir()]
