"""Scores a Parquet file of customers with pandas and onnxruntime, as people do it without a server: read, one input a column,
run in batches, write. usage: score_table.py MODEL.onnx INPUT.parquet OUTPUT.parquet"""

import sys

import numpy as np
import onnxruntime
import pandas

BATCH = 4096
model, source, target = sys.argv[1:4]

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
DTYPES = {"tensor(int64)": np.int64, "tensor(float)": np.float32, "tensor(bool)": bool, "tensor(string)": object}

frame = pandas.read_parquet(source)
scores = np.empty(len(frame), np.float32)
for start in range(0, len(frame), BATCH):
    part = frame.iloc[start : start + BATCH]
    feeds = {i.name: part[i.name].to_numpy(DTYPES[i.type]).reshape(-1, 1) for i in session.get_inputs()}
    scores[start : start + BATCH] = session.run(["probabilities"], feeds)[0][:, 1]
labels = (scores > np.float32(0.5)).astype(np.int32)
segments = np.select([scores < np.float32(0.3), scores < np.float32(0.6)], ["Low", "Medium"], "High")
pandas.DataFrame({
    "entity_id": frame["customer_id"].astype(str), "score": scores, "label": labels, "segment": segments, "model": "churn",
    "version": 1, "scored_at": pandas.Timestamp.now(tz="UTC"), "error": None,
}).to_parquet(target, index=False)
