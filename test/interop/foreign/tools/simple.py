"""Calls of the models add_sub makes, with Triton's client."""

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import np_to_triton_dtype


def addends(rows: int = 1, shift: int = 0) -> list[np.ndarray]:
    first = np.arange(rows * 16, dtype=np.int32).reshape(rows, 16) + shift
    return [first, np.full((rows, 16), 3, np.int32)]


def tensor(name: str, value: np.ndarray) -> triton.InferInput:
    made = triton.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
    made.set_data_from_numpy(value)
    return made


def inputs_of(values: list[np.ndarray]) -> list[triton.InferInput]:
    return [tensor(f"INPUT{n}", value) for n, value in enumerate(values)]


def is_right(result, values: list[np.ndarray], offset: int = 0) -> bool:
    first, second = values
    return np.array_equal(result.as_numpy("OUTPUT0"), first + second + offset) and np.array_equal(
        result.as_numpy("OUTPUT1"), first - second + offset
    )


def raw_request(model: str = "simple", rows: int = 1, **fields) -> pb.ModelInferRequest:
    """A good call as it goes over the wire."""
    values = addends(rows)
    return pb.ModelInferRequest(
        model_name=model,
        inputs=[
            pb.ModelInferRequest.InferInputTensor(name=f"INPUT{n}", datatype="INT32", shape=value.shape)
            for n, value in enumerate(values)
        ],
        raw_input_contents=[value.tobytes() for value in values],
        **fields,
    )


def typed_request(model: str = "simple") -> pb.ModelInferRequest:
    request = raw_request(model)
    for declared, value in zip(request.inputs, addends()):
        declared.contents.int_contents.extend(value.ravel().tolist())
    del request.raw_input_contents[:]
    return request
