"""Trains the example models on real data and writes them to examples/models, golden rows beside them.

    pip install -r examples/requirements.txt
    python examples/train.py                               all models
    python examples/train.py --only wine                   one of them
    python examples/train.py --write-churn-table FILE      50,000 customers as .csv or .parquet, and no model

Seeds are fixed: a second run writes the same files. Pre-processing is inside the graphs, so that the server takes the
columns as they are. Golden rows are held-out rows with the answers of the training library (not of ONNX), given the
float32 values that the graph sees. The model.yaml files beside the models are written by hand.
"""

from __future__ import annotations

import argparse
import logging
import os

# Sums in one order on every run.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import tempfile
import warnings
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import onnxmltools
import onnxmltools.convert.common.data_types as onnxmltools_types
import pandas
import skl2onnx
import sklearn
from onnxruntime.quantization import QuantType, quantize_dynamic
from skl2onnx.common.data_types import BooleanTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from example import Example, Golden, dense_rows, named_rows, short

SEED = 20240917
# Old enough for every onnxruntime of the last years: IR version 8.
OPSETS = {"": 17, "ai.onnx.ml": 3}
LIGHTGBM_OPSET = 15

SCIKIT_LEARN = f"scikit-learn {sklearn.__version__}"
LIGHTGBM = f"lightgbm {lightgbm.__version__}"


def breast_cancer() -> Example:
    """LightGBM, exported as the converter does by default: the probabilities end in a ZipMap. Label 1 is malignant."""
    data = datasets.load_breast_cancer()
    malignant = 1 - data.target
    train, test, train_label, test_label = split(data.data, malignant, stratify=malignant)
    model = lightgbm.LGBMClassifier(
        n_estimators=80, num_leaves=15, learning_rate=0.08, random_state=SEED, n_jobs=1, deterministic=True,
        force_row_wise=True, verbose=-1,
    )
    model.fit(train, train_label)
    graph = onnxmltools.convert_lightgbm(
        model,
        name="breast-cancer",
        initial_types=[("input", onnxmltools_types.FloatTensorType([None, train.shape[1]]))],
        target_opset=LIGHTGBM_OPSET,
    )
    probabilities = model.predict_proba(test)
    return Example(
        name="breast-cancer",
        versions={1: graph},
        golden=Golden(
            inputs={"input": test},
            rows=dense_rows(test),
            score=probabilities[:, 1],
            label=model.predict(test),
            outputs={"probabilities": probabilities},
        ),
        quality=f"AUC {roc_auc_score(test_label, probabilities[:, 1]):.4f}",
        metadata={"trained_with": LIGHTGBM, "data": "Breast Cancer Wisconsin (Diagnostic), UCI"},
    )


def digits() -> Example:
    """Scaler and a small neural network on images of 8 x 8 pixels; ten classes, probabilities as a plain tensor."""
    pipeline, graph, test, test_label = digits_network()
    return digits_example("digits", pipeline, graph, test, test_label, tolerance=1e-5)


def digits_int8() -> Example:
    """The digits network with its weights in 8 bits, and its activations quantised while it runs.

    The activations' scale is taken over the whole batch, so a row's answer depends on its neighbours: this model must
    not be batched. Its golden answers are still the unquantised network's; the tolerance says what 8 bits cost a row
    that is scored alone. Unsigned weights, because signed ones can overflow on x64 without VNNI.
    """
    pipeline, graph, test, test_label = digits_network()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(graph, source)
        logging.getLogger().setLevel(logging.ERROR)  # it advises a pre-processing that this network doesn't need
        quantize_dynamic(source, target, weight_type=QuantType.QUInt8)
        quantised = onnx.load(target)
    return digits_example("digits-int8", pipeline, quantised, test, test_label, tolerance=0.05)


def digits_network() -> tuple[Pipeline, onnx.ModelProto, np.ndarray, np.ndarray]:
    data = datasets.load_digits()
    train, test, train_label, test_label = split(data.data, data.target, stratify=data.target)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((64, 32), alpha=1.0, max_iter=80, random_state=SEED))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopping early is wanted
        pipeline.fit(train, train_label)
    graph = skl2onnx.convert_sklearn(
        pipeline,
        name="digits",
        initial_types=[("pixels", FloatTensorType([None, train.shape[1]]))],
        options={"zipmap": False},
        target_opset=OPSETS,
    )
    return pipeline, graph, test, test_label


def digits_example(
    name: str, pipeline: Pipeline, graph: onnx.ModelProto, test: np.ndarray, test_label: np.ndarray, tolerance: float
) -> Example:
    probabilities = pipeline.predict_proba(test.astype(np.float64))
    label = probabilities.argmax(axis=1)
    return Example(
        name=name,
        versions={1: graph},
        golden=Golden(
            inputs={"pixels": test},
            rows=dense_rows(test),
            score=probabilities.max(axis=1),
            label=label,
            outputs={"probabilities": probabilities},
            written=("probabilities",),
            count=32,
            tolerance=tolerance,
        ),
        quality=f"accuracy of the unquantised network {accuracy_score(test_label, label):.3f}",
        metadata={"trained_with": SCIKIT_LEARN, "data": "Optical Recognition of Handwritten Digits, UCI"},
    )


def diabetes() -> Example:
    """Progression of the disease a year later, in hundreds of points: a regression in two versions.

    Version 1 is a scaler with ridge regression, version 2 boosted trees. The data's own target goes up to 346; in
    hundreds, float32 keeps within 1e-5 of the library.
    """
    data = datasets.load_diabetes(scaled=False)
    names = ["age", "sex", "bmi", "blood_pressure", "cholesterol", "ldl", "hdl", "cholesterol_hdl_ratio",
             "log_triglycerides", "glucose"]
    train, test, train_target, test_target = split(data.data, data.target / 100)

    ridge = make_pipeline(StandardScaler(), Ridge(alpha=10.0)).fit(train, train_target)
    trees = GradientBoostingRegressor(
        n_estimators=200, max_depth=2, learning_rate=0.03, subsample=0.7, min_samples_leaf=8, random_state=SEED
    ).fit(train, train_target)

    def convert(model: object) -> onnx.ModelProto:
        types = [("measurements", FloatTensorType([None, len(names)]))]
        return skl2onnx.convert_sklearn(model, name="diabetes", initial_types=types, target_opset=OPSETS)

    predicted = trees.predict(test)
    return Example(
        name="diabetes",
        versions={1: convert(ridge), 2: convert(trees)},
        golden=Golden(
            inputs={"measurements": test},
            rows=named_rows(names, test),
            score=predicted,
            label=None,
            outputs={"variable": predicted},
        ),
        quality=f"R2 of version 1 {r2_score(test_target, ridge.predict(test)):.2f}, "
        f"of version 2 {r2_score(test_target, predicted):.2f}",
        metadata={"trained_with": SCIKIT_LEARN, "data": "Diabetes, Efron et al., Least Angle Regression (2004)"},
    )


def wine() -> Example:
    """Scaler and logistic regression, trained on the cultivars' names: label and ZipMap carry strings."""
    data = datasets.load_wine()
    names = [name.replace("/", "_") for name in data.feature_names]
    cultivar = np.array(["barolo", "grignolino", "barbera"])[data.target]
    train, test, train_label, test_label = split(data.data, cultivar, stratify=cultivar)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, random_state=SEED)).fit(train, train_label)
    graph = skl2onnx.convert_sklearn(
        pipeline,
        name="wine",
        initial_types=[("analysis", FloatTensorType([None, len(names)]))],
        target_opset=OPSETS,
    )
    probabilities = pipeline.predict_proba(test.astype(np.float64))
    return Example(
        name="wine",
        versions={1: graph},
        golden=Golden(
            inputs={"analysis": test},
            rows=named_rows(names, test),
            score=probabilities.max(axis=1),
            label=probabilities.argmax(axis=1),
            outputs={"output_probability": probabilities},
            written=("output_probability",),
        ),
        quality=f"accuracy {accuracy_score(test_label, pipeline.predict(test)):.3f}",
        metadata={"trained_with": SCIKIT_LEARN, "data": "Wine, UCI"},
    )


# One ONNX input a column, in this order.
CHURN_TYPES = {
    "tenure_months": Int64TensorType([None, 1]),
    "plan": StringTensorType([None, 1]),
    "contract": StringTensorType([None, 1]),
    "payment_method": StringTensorType([None, 1]),
    "region": StringTensorType([None, 1]),
    "paperless_billing": BooleanTensorType([None, 1]),
    "monthly_charges": FloatTensorType([None, 1]),
    "data_gb": FloatTensorType([None, 1]),
    "support_calls": Int64TensorType([None, 1]),
    "late_payments": Int64TensorType([None, 1]),
    "satisfaction": FloatTensorType([None, 1]),
}


def churn() -> Example:
    """Mixed columns, one ONNX input each: text, integers, a flag, and a survey answer that may be missing (NaN)."""
    table = churn_table()
    features, churned = table[list(CHURN_TYPES)], table["churned"].to_numpy()
    train, test = slice(0, 40_000), slice(40_000, None)
    columns = ColumnTransformer([
        ("text", OneHotEncoder(handle_unknown="ignore"), ["plan", "contract", "payment_method", "region"]),
        ("counts", StandardScaler(), ["tenure_months", "support_calls", "late_payments"]),
        ("amounts", StandardScaler(), ["monthly_charges", "data_gb"]),
        ("survey", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["satisfaction"]),
        ("flags", "passthrough", ["paperless_billing"]),
    ])
    pipeline = Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=300, random_state=SEED))])
    pipeline.fit(features[train], churned[train])
    graph = skl2onnx.convert_sklearn(
        pipeline,
        name="churn",
        initial_types=list(CHURN_TYPES.items()),
        options={"zipmap": False},
        target_opset=OPSETS,
    )
    held_out = features[test].head(2_000)
    probabilities = pipeline.predict_proba(held_out)
    auc = roc_auc_score(churned[test], pipeline.predict_proba(features[test])[:, 1])
    return Example(
        name="churn",
        versions={1: graph},
        golden=Golden(
            inputs={name: churn_tensor(held_out[name]) for name in CHURN_TYPES},
            rows=[churn_row(row) for row in held_out.to_dict("records")],
            score=probabilities[:, 1],
            label=pipeline.predict(held_out),
            outputs={"probabilities": probabilities},
            written=("probabilities",),
            count=64,
        ),
        quality=f"AUC {auc:.3f}, {churned.mean():.0%} churn",
        metadata={"trained_with": SCIKIT_LEARN, "data": f"generated, seed {SEED}"},
    )


def churn_table(count: int = 50_000) -> pandas.DataFrame:
    """Customers of a telephone company, made up: the same ones on every call."""
    draw = np.random.default_rng(SEED)
    plan = draw.choice(["basic", "standard", "premium"], count, p=[0.45, 0.35, 0.20])
    contract = draw.choice(["monthly", "one_year", "two_year"], count, p=[0.55, 0.27, 0.18])
    payment_method = draw.choice(["card", "bank_transfer", "invoice", "wallet"], count, p=[0.42, 0.31, 0.15, 0.12])
    region = draw.choice(["north", "south", "east", "west"], count, p=[0.30, 0.25, 0.25, 0.20])
    paperless_billing = draw.random(count) < np.where(payment_method == "invoice", 0.35, 0.75)
    tenure_months = np.minimum(draw.gamma(1.4, np.where(contract == "monthly", 14, 26)).astype(np.int64), 120)
    fee = by_name(plan, {"basic": 19.0, "standard": 34.0, "premium": 59.0})
    monthly_charges = np.round(fee * draw.lognormal(0.0, 0.18, count), 2).astype(np.float32)
    data_gb = np.round(draw.gamma(2.0, fee / 6), 1).astype(np.float32)
    support_calls = draw.poisson(np.where(tenure_months < 6, 1.6, 0.8))
    late_payments = draw.poisson(np.where(payment_method == "invoice", 0.9, 0.3))
    mood = 8.0 - 0.7 * support_calls - 0.02 * (monthly_charges - fee) + draw.normal(0, 1.4, count)
    answered = draw.random(count) < 0.6
    satisfaction = np.where(answered, np.clip(np.round(mood), 1, 10), np.nan).astype(np.float32)

    logit = (
        -1.9
        + by_name(contract, {"monthly": 0.9, "one_year": -0.4, "two_year": -1.5})
        + by_name(payment_method, {"card": 0.0, "bank_transfer": -0.2, "invoice": 0.5, "wallet": 0.2})
        + 0.25 * (region == "west")
        + 0.15 * paperless_billing
        - 0.035 * tenure_months
        + 0.022 * (monthly_charges - fee)
        - 0.015 * data_gb
        + 0.40 * support_calls
        + 0.45 * late_payments
        - 0.30 * (mood - 7.5)
        + 0.8 * ((contract == "monthly") & (tenure_months < 4))
    )
    churned = (draw.random(count) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    return pandas.DataFrame({
        "customer_id": np.arange(1, count + 1),
        "tenure_months": tenure_months,
        "plan": plan,
        "contract": contract,
        "payment_method": payment_method,
        "region": region,
        "paperless_billing": paperless_billing,
        "monthly_charges": monthly_charges,
        "data_gb": data_gb,
        "support_calls": support_calls,
        "late_payments": late_payments,
        "satisfaction": satisfaction,
        "churned": churned,
    })


def by_name(names: np.ndarray, values: dict[str, float]) -> np.ndarray:
    return np.array([values[name] for name in names])


def churn_tensor(column: pandas.Series) -> np.ndarray:
    text = isinstance(CHURN_TYPES[column.name], StringTensorType)
    return column.to_numpy(dtype=object if text else None).reshape(-1, 1)


def churn_row(record: dict) -> dict:
    """A row as JSON: what may be NaN is null."""
    return {name: short(value) if isinstance(value, float) else value for name, value in record.items()}


def write_churn_table(path: Path) -> None:
    table = churn_table()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".csv":
        table.to_csv(path, index=False, lineterminator="\n")
    else:
        raise SystemExit(f"{path}: a churn table is written as .csv or .parquet")
    print(f"{path}: {len(table):,} customers")


def split(features: np.ndarray, target: np.ndarray, stratify: np.ndarray | None = None) -> list[np.ndarray]:
    """Train and test features (as float32, which is what the graph sees), train and test target."""
    return train_test_split(
        features.astype(np.float32), target, test_size=0.3, random_state=SEED, stratify=stratify
    )


EXAMPLES = {
    "breast-cancer": breast_cancer,
    "digits": digits,
    "digits-int8": digits_int8,
    "diabetes": diabetes,
    "wine": wine,
    "churn": churn,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", choices=EXAMPLES, help="one of " + ", ".join(EXAMPLES))
    parser.add_argument("--write-churn-table", metavar="FILE", type=Path, help="write the table and no model")
    arguments = parser.parse_args()
    if arguments.write_churn_table:
        write_churn_table(arguments.write_churn_table)
        return
    for name, train in EXAMPLES.items():
        if arguments.only in (None, name):
            train().write()


if __name__ == "__main__":
    main()
