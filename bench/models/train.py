"""Builds the models that the benchmarks run, with fixed seeds, in the folder of this file.

    pip install -r examples/requirements.txt
    python bench/models/train.py [--only NAME]

boosted-trees   LightGBM, 200 trees of 31 leaves over 30 float32 features; made-up card payments, 3 % of them fraud.
slow-1ms        Costs about 1 ms a row on one thread (of the machine it was sized on), however many rows run together:
slow-20ms       the same with about 20 ms. Batches gain nothing, so what a scheduler does with time can be seen alone.

Every one has one input `features`, float32 [N, F], and one output `score`, float32 [N, 1] between 0 and 1.
"""

from __future__ import annotations

import argparse
import json
import os
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from pathlib import Path

import lightgbm
import numpy as np
import onnx
import onnxmltools
import onnxmltools.convert.common.data_types as onnxmltools_types
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.metrics import roc_auc_score

FOLDER = Path(__file__).resolve().parent
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
IR_VERSION = 8

TREES, LEAVES, FEATURES = 200, 31, 30
GOLDEN_ROWS, TOLERANCE = 64, 1e-5


def boosted_trees() -> None:
    features, fraud = payments()
    train, test = slice(0, 45_000), slice(45_000, None)
    model = lightgbm.LGBMClassifier(
        n_estimators=TREES, num_leaves=LEAVES, learning_rate=0.05, min_child_samples=20, random_state=1, n_jobs=1,
        deterministic=True, force_row_wise=True, verbose=-1,
    )
    model.fit(features[train], fraud[train])
    trees = model.booster_.dump_model()["tree_info"]
    assert [tree["num_leaves"] for tree in trees] == [LEAVES] * TREES

    converted = onnxmltools.convert_lightgbm(
        model,
        initial_types=[("features", onnxmltools_types.FloatTensorType([None, FEATURES]))],
        target_opset=15,
        zipmap=False,
    )
    # Of the converter's graph only the trees; of their two columns only the second, the fraud's probability.
    (ensemble,) = [node for node in converted.graph.node if node.op_type == "TreeEnsembleClassifier"]
    assert list(ensemble.input) == ["features"]
    ensemble.name = "trees"
    probabilities = ensemble.output[1]
    column = helper.make_node("Gather", [probabilities, "fraud_column"], ["score"], axis=1)
    fraud_column = numpy_helper.from_array(np.array([1], dtype=np.int64), "fraud_column")
    path = save("boosted-trees", FEATURES, [ensemble, column], [fraud_column])

    held_out, expected = features[test], model.predict_proba(features[test])[:, 1]
    difference = float(np.abs(session(path).run(["score"], {"features": held_out})[0][:, 0] - expected).max())
    print(f"boosted-trees: AUC {roc_auc_score(fraud[test], expected):.3f}, {fraud.mean():.1%} fraud, "
          f"largest difference {difference:.1e} over {len(expected):,} rows, {path.stat().st_size / 1024:.0f} KiB")
    if not difference <= TOLERANCE:
        raise SystemExit(f"boosted-trees: graph and library differ by {difference}")
    with (FOLDER / "boosted-trees" / "golden.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for row, score in zip(held_out[:GOLDEN_ROWS], expected):
            line = {"row": [short(value) for value in row], "score": float(score), "label": int(score > 0.5)}
            file.write(json.dumps(line) + "\n")
    print_cost(path, FEATURES, (1, 8, 32, 64, 128, 256), runs=200)


def payments(count: int = 60_000) -> tuple[np.ndarray, np.ndarray]:
    """Card payments: a few columns that mean something, the rest noise; and which of them were fraud."""
    draw = np.random.default_rng(20240607)
    features = draw.standard_normal((count, FEATURES))
    amount = features[:, 0] = draw.lognormal(3.5, 1.2, count)
    hour = features[:, 1] = draw.integers(0, 24, count)
    payments_in_hour = features[:, 2] = draw.poisson(2.0, count)
    days_at_address = features[:, 3] = draw.exponential(30.0, count)
    abroad = features[:, 4] = draw.integers(0, 2, count)
    device, merchant, distance = features[:, 5], features[:, 6], features[:, 7]
    logit = (
        -5.4
        + 0.6 * (np.log(amount) - 3.5)
        + 0.9 * (hour < 5)
        + 0.35 * payments_in_hour
        - 0.012 * days_at_address
        + 0.8 * abroad * (amount > 80)
        + 0.7 * device * merchant
        + 0.5 * np.sin(2 * distance)
        + 0.6 * features[:, 8]
        + 0.4 * np.abs(features[:, 9])
        + 0.5 * features[:, 10] * (features[:, 11] > 0)
    )
    fraud = (draw.random(count) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    return features.astype(np.float32), fraud


# Elements a row, enough to make what a node costs beside its elements (1 to 2 us) small; and about what one element
# costs in one pass of Sub and Softplus, of which onnxruntime computes each element with the C library.
SLOW_WIDTH = 8_192
SLOW_ELEMENT_NS = 11.6
SLOW_FEATURES = 8


def slow(name: str, row_ms: float) -> None:
    """A chain of h = softplus(x - h), element by element: cost goes with rows x width x length of the chain.

    The chain runs towards a fixed point that depends on the row, so scores stay between 0 and 1 and differ by row.
    """
    length = round(row_ms * 1e6 / SLOW_ELEMENT_NS / SLOW_WIDTH)
    weights = np.random.default_rng(11).normal(0, 0.5, (SLOW_FEATURES, 1)).astype(np.float32)
    ramp = np.linspace(-1, 1, SLOW_WIDTH, dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["projected"]),
        helper.make_node("Sigmoid", ["projected"], ["squashed"]),
        helper.make_node("Add", ["squashed", "ramp"], ["x"]),
    ]
    h = "x"
    for step in range(length):
        nodes.append(helper.make_node("Sub", ["x", h], [f"d{step}"]))
        h = f"h{step}"
        nodes.append(helper.make_node("Softplus", [f"d{step}"], [h]))
    nodes.append(helper.make_node("ReduceMean", [h], ["mean"], axes=[1], keepdims=1))
    nodes.append(helper.make_node("Tanh", ["mean"], ["score"]))
    initializers = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(ramp, "ramp")]
    path = save(name, SLOW_FEATURES, nodes, initializers)
    print(f"{name}: chain of {length}, {path.stat().st_size / 1024:.0f} KiB")
    print_cost(path, SLOW_FEATURES, (1, 2, 4, 8), runs=round(max(3, 100 / row_ms)))


def save(name: str, width: int, nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto]) -> Path:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", 1])],
        initializer=initializers,
    )
    model = helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION, producer_name="bench/models/train.py")
    onnx.checker.check_model(model, full_check=True)
    path = FOLDER / name / "1" / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def print_cost(path: Path, width: int, row_counts: tuple[int, ...], runs: int) -> None:
    loaded = session(path)
    for count in row_counts:
        rows = np.random.default_rng(count).standard_normal((count, width)).astype(np.float32)
        took = []
        for _ in range(runs + 1):
            start = time.perf_counter()
            (score,) = loaded.run(["score"], {"features": rows})
            took.append(time.perf_counter() - start)
        assert score.shape == (count, 1) and 0 <= score.min() and score.max() <= 1
        median_us = float(np.median(took[1:])) * 1e6
        print(f"  {count:4} rows {median_us:10.0f} us, {median_us / count:9.1f} us a row")


def short(value: np.float32) -> float:
    """The shortest decimal number that is this float32."""
    shortest = float(str(value))
    assert np.float32(shortest) == value
    return shortest


MODELS = {
    "boosted-trees": boosted_trees,
    "slow-1ms": lambda: slow("slow-1ms", 1),
    "slow-20ms": lambda: slow("slow-20ms", 20),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", choices=MODELS, help="one of " + ", ".join(MODELS))
    arguments = parser.parse_args()
    for name, build in MODELS.items():
        if arguments.only in (None, name):
            build()


if __name__ == "__main__":
    main()
