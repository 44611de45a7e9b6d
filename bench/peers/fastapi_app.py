"""FastAPI as many people serve a model by it: one row a POST, the run in the endpoint, one process (uvicorn fastapi_app:app)."""

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel

options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = ort.InferenceSession(os.environ["MODEL_FILE"], options, providers=["CPUExecutionProvider"])
input_name = session.get_inputs()[0].name
output_name = session.get_outputs()[-1].name

app = FastAPI()


class Row(BaseModel):
    features: list[float]


class Score(BaseModel):
    score: float


# Not a plain `def`, which FastAPI hands to a thread: a run is shorter than that.
@app.post("/score")
async def score(row: Row) -> Score:
    scores = session.run([output_name], {input_name: np.array([row.features], dtype=np.float32)})[0]
    return Score(score=float(scores[0, -1]))
