"""Model repositories as a Triton user has them, written anew for each run: `python -m tools.repository FOLDER`."""

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[4]

IR_VERSION = 10
OPSET = 17

# The protocol's data types with Triton's config names and ONNX's.
DATA_TYPES = {
    "BOOL": ("TYPE_BOOL", TensorProto.BOOL),
    "UINT8": ("TYPE_UINT8", TensorProto.UINT8),
    "UINT16": ("TYPE_UINT16", TensorProto.UINT16),
    "UINT32": ("TYPE_UINT32", TensorProto.UINT32),
    "UINT64": ("TYPE_UINT64", TensorProto.UINT64),
    "INT8": ("TYPE_INT8", TensorProto.INT8),
    "INT16": ("TYPE_INT16", TensorProto.INT16),
    "INT32": ("TYPE_INT32", TensorProto.INT32),
    "INT64": ("TYPE_INT64", TensorProto.INT64),
    "FP16": ("TYPE_FP16", TensorProto.FLOAT16),
    "FP32": ("TYPE_FP32", TensorProto.FLOAT),
    "FP64": ("TYPE_FP64", TensorProto.DOUBLE),
    "BYTES": ("TYPE_STRING", TensorProto.STRING),
}

# The rows that a batch of most models here may have.
MAX_BATCH_SIZE = 8

LABELS = ["ash", "birch", "cedar", "elm"]

SLOW_SIDE = 256


@dataclass
class Graph:
    """An ONNX file; values are (name, the protocol's data type, dimensions)."""

    inputs: list[tuple]
    outputs: list[tuple]
    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        graph = helper.make_graph(
            self.nodes, "graph", _values(self.inputs), _values(self.outputs), initializer=self.constants
        )
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])
        onnx.checker.check_model(model)
        onnx.save(model, file)


def _values(declared: list[tuple]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, DATA_TYPES[kind][1], dims) for name, kind, dims in declared]


def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def config(name: str, max_batch_size: int, inputs: list[tuple], outputs: list[tuple], more: str = "") -> str:
    """config.pbtxt in the words of Triton's own examples; a tensor may bring further lines as its fourth member."""

    def tensors(kind: str, declared: list[tuple]) -> str:
        entries = [
            f'  {{\n    name: "{tensor}"\n    data_type: {DATA_TYPES[data_type][0]}\n'
            f"    dims: [ {', '.join(map(str, dims))} ]\n{''.join(f'    {line}{chr(10)}' for line in lines)}  }}"
            for tensor, data_type, dims, *lines in declared
        ]
        return f"{kind} [\n" + ",\n".join(entries) + "\n]\n"

    head = f'name: "{name}"\nplatform: "onnxruntime_onnx"\nmax_batch_size: {max_batch_size}\n'
    return head + tensors("input", inputs) + tensors("output", outputs) + more


def add_sub(folder: Path, version: int = 1, offset: int = 0) -> None:
    """INPUT0 + INPUT1 and INPUT0 - INPUT1, both raised by `offset`, so that versions can be told apart."""
    Graph(
        [(f"INPUT{n}", "INT32", [None, 16]) for n in (0, 1)],
        [(f"OUTPUT{n}", "INT32", [None, 16]) for n in (0, 1)],
        [
            helper.make_node("Add", ["INPUT0", "INPUT1"], ["sum"]),
            helper.make_node("Sub", ["INPUT0", "INPUT1"], ["difference"]),
            helper.make_node("Add", ["sum", "offset"], ["OUTPUT0"]),
            helper.make_node("Add", ["difference", "offset"], ["OUTPUT1"]),
        ],
        [constant("offset", np.array([offset], np.int32))],
    ).save(folder / str(version) / "model.onnx")


ADD_SUB_INPUTS = [(f"INPUT{n}", "INT32", [16]) for n in (0, 1)]
ADD_SUB_OUTPUTS = [(f"OUTPUT{n}", "INT32", [16]) for n in (0, 1)]


def write_simple(repository: Path, name: str = "simple", more: str = "", versions: tuple[int, ...] = (1,)) -> None:
    folder = repository / name
    for version in versions:
        add_sub(folder, version, offset=100 * (version - 1))
    text = config(name, MAX_BATCH_SIZE, ADD_SUB_INPUTS, ADD_SUB_OUTPUTS, more)
    (folder / "config.pbtxt").write_text(text)


def write_simple_string(repository: Path) -> None:
    """As `simple`, of numbers written as text."""
    folder = repository / "simple_string"
    numbers = [helper.make_node("Cast", [f"INPUT{n}"], [f"number{n}"], to=TensorProto.INT32) for n in (0, 1)]
    texts = [helper.make_node("Cast", [f"result{n}"], [f"OUTPUT{n}"], to=TensorProto.STRING) for n in (0, 1)]
    Graph(
        [(f"INPUT{n}", "BYTES", [None, 16]) for n in (0, 1)],
        [(f"OUTPUT{n}", "BYTES", [None, 16]) for n in (0, 1)],
        [
            *numbers,
            helper.make_node("Add", ["number0", "number1"], ["result0"]),
            helper.make_node("Sub", ["number0", "number1"], ["result1"]),
            *texts,
        ],
    ).save(folder / "1" / "model.onnx")
    inputs = [(f"INPUT{n}", "BYTES", [16]) for n in (0, 1)]
    outputs = [(f"OUTPUT{n}", "BYTES", [16]) for n in (0, 1)]
    (folder / "config.pbtxt").write_text(config("simple_string", MAX_BATCH_SIZE, inputs, outputs))


def write_identity(repository: Path, name: str, data_type: str, max_batch_size: int = 0) -> None:
    """OUTPUT0 is INPUT0, of one open dimension beside that of a batch."""
    folder = repository / name
    dims = [None, None] if max_batch_size > 0 else [None]
    node = helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])
    Graph([("INPUT0", data_type, dims)], [("OUTPUT0", data_type, dims)], [node]).save(folder / "1" / "model.onnx")
    declared = config(name, max_batch_size, [("INPUT0", data_type, [-1])], [("OUTPUT0", data_type, [-1])])
    (folder / "config.pbtxt").write_text(declared)


def write_labelled(repository: Path, name: str, data_type: str, max_batch_size: int) -> None:
    """The values of four classes as they came in; the file of labels names them."""
    folder = repository / name
    dims = [None, 4] if max_batch_size > 0 else [4]
    node = helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])
    Graph([("INPUT0", data_type, dims)], [("OUTPUT0", data_type, dims)], [node]).save(folder / "1" / "model.onnx")
    outputs = [("OUTPUT0", data_type, [4], 'label_filename: "labels.txt"')]
    (folder / "config.pbtxt").write_text(config(name, max_batch_size, [("INPUT0", data_type, [4])], outputs))
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")


def write_completed(repository: Path) -> None:
    """No config at all: it is completed from the graph."""
    add_sub(repository / "completed")


def write_scalar(repository: Path) -> None:
    """Twice a number without dimensions."""
    node = helper.make_node("Add", ["INPUT0", "INPUT0"], ["OUTPUT0"])
    graph = Graph([("INPUT0", "FP64", [])], [("OUTPUT0", "FP64", [])], [node])
    graph.save(repository / "scalar" / "1" / "model.onnx")


def write_optional(repository: Path) -> None:
    """INPUT0 times FACTOR, which is 10 where nobody says otherwise."""
    graph = Graph(
        [("INPUT0", "FP32", [None]), ("FACTOR", "FP32", [1])],
        [("OUTPUT0", "FP32", [None])],
        [helper.make_node("Mul", ["INPUT0", "FACTOR"], ["OUTPUT0"])],
        [constant("FACTOR", np.array([10], np.float32))],
    )
    graph.save(repository / "optional_input" / "1" / "model.onnx")


def write_reshaped(repository: Path) -> None:
    """One number a row for clients, a row without dimensions for the graph."""
    folder = repository / "reshaped"
    node = helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])
    Graph([("INPUT0", "FP32", [None])], [("OUTPUT0", "FP32", [None])], [node]).save(folder / "1" / "model.onnx")
    inputs = [("INPUT0", "FP32", [1], "reshape { shape: [ ] }")]
    outputs = [("OUTPUT0", "FP32", [1], "reshape { shape: [ ] }")]
    (folder / "config.pbtxt").write_text(config("reshaped", MAX_BATCH_SIZE, inputs, outputs))


def write_slow(repository: Path) -> None:
    """Multiplies matrices LOOPS times: a call takes as long as its caller wants it to."""
    side = SLOW_SIDE
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["matrix_in", "one"], ["matrix_out"]),
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("matrix_in", TensorProto.FLOAT, [side, side]),
        ],
        [
            helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("matrix_out", TensorProto.FLOAT, [side, side]),
        ],
    )
    graph = Graph(
        [("LOOPS", "INT64", [])],
        [("SUM", "FP32", [])],
        [
            helper.make_node("Loop", ["LOOPS", "", "start"], ["end"], body=body),
            helper.make_node("ReduceSum", ["end"], ["SUM"], keepdims=0),
        ],
        [
            constant("start", np.ones([side, side], np.float32)),
            constant("one", np.eye(side, dtype=np.float32)),
        ],
    )
    graph.save(repository / "slow" / "1" / "model.onnx")


def write_served(repository: Path) -> None:
    shutil.copytree(ROOT / "examples" / "models", repository)
    write_simple(repository)
    write_simple_string(repository)
    write_identity(repository, "simple_identity", "BYTES", MAX_BATCH_SIZE)
    for data_type in DATA_TYPES:
        write_identity(repository, f"identity_{data_type.lower()}", data_type)
    write_labelled(repository, "labelled", "FP32", MAX_BATCH_SIZE)
    write_labelled(repository, "labelled_flat", "INT32", 0)
    write_simple(repository, "versions_latest", versions=(1, 2, 3))
    write_simple(repository, "versions_all", "version_policy: { all { } }\n", (1, 2, 3))
    write_simple(repository, "versions_some", "version_policy: { specific { versions: [ 1, 3 ] } }\n", (1, 2, 3))
    write_completed(repository)
    write_scalar(repository)
    write_optional(repository)
    write_reshaped(repository)
    write_slow(repository)


# By model: what its config says too much, and a word that the reason has to have.
REFUSED = {
    "sequences": ("sequence_batching { }\n", "sequence_batching"),
    "ensemble": ("ensemble_scheduling { }\n", "ensemble_scheduling"),
    "decoupled": ("model_transaction_policy { decoupled: true }\n", "decoupled"),
    "other_backend": ('backend: "tensorflow"\n', "backend"),
    "typing_error": ("dynamic_batchin { }\n", "dynamic_batchin"),
    "unreadable": ("input [\n", "config.pbtxt"),
}


def write_refused(repository: Path) -> None:
    """One that is good, among many that are not."""
    write_simple(repository)
    for name, (more, _) in REFUSED.items():
        write_simple(repository, name, more)
    folder = repository / "wrong_type"
    add_sub(folder)
    inputs = [("INPUT0", "FP32", [16]), ("INPUT1", "INT32", [16])]
    (folder / "config.pbtxt").write_text(config("wrong_type", MAX_BATCH_SIZE, inputs, ADD_SUB_OUTPUTS))
    (repository / "no_graph" / "1").mkdir(parents=True)
    (repository / "no_graph" / "1" / "model.onnx").write_bytes(b"not a model")


def write_explicit(repository: Path) -> None:
    """As many folders as Triton's own examples have: a client of theirs counts them."""
    write_simple(repository)
    write_simple_string(repository)
    write_identity(repository, "simple_identity", "BYTES", MAX_BATCH_SIZE)
    for name in ("identity_fp32", "identity_int64", "identity_bool"):
        write_identity(repository, name, name.removeprefix("identity_").upper())
    write_simple(repository, "versions_all", "version_policy: { all { } }\n", (1, 2, 3))
    write_completed(repository)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for name, write in {"served": write_served, "refused": write_refused, "explicit": write_explicit}.items():
        write(target / name)
