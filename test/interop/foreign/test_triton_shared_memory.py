"""System shared memory, made and read by Triton's own helpers."""

import itertools
import os
from contextlib import contextmanager

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from support.server import Server
from tools.simple import addends, inputs_of, is_right

_numbers = itertools.count()


@contextmanager
def region(client, byte_size: int, register: bool = True):
    """Some shared memory under a name and a key of its own."""
    name = f"region_{next(_numbers)}"
    key = f"/scorewire_{os.getpid()}_{name}"
    handle = shm.create_shared_memory_region(name, key, byte_size)
    try:
        if register:
            client.register_system_shared_memory(name, key, byte_size)
        yield name, key, handle
    finally:
        client.unregister_system_shared_memory(name)
        shm.destroy_shared_memory_region(handle)


def in_region(name: str, shape: list[int], region_name: str, byte_size: int, offset: int = 0, data_type: str = "INT32"):
    made = triton.InferInput(name, shape, data_type)
    made.set_shared_memory(region_name, byte_size, offset)
    return made


def into_region(name: str, region_name: str, byte_size: int, offset: int = 0):
    made = triton.InferRequestedOutput(name)
    made.set_shared_memory(region_name, byte_size, offset)
    return made


def refused(call, *arguments, **options) -> InferenceServerException:
    with pytest.raises(InferenceServerException) as raised:
        call(*arguments, **options)
    return raised.value


def test_inputs_and_outputs(client):
    values = addends(2)
    size = values[0].nbytes
    with region(client, 2 * size) as (inputs, _, in_handle), region(client, 2 * size) as (outputs, _, out_handle):
        shm.set_shared_memory_region(in_handle, values)
        result = client.infer(
            "simple",
            [in_region("INPUT0", [2, 16], inputs, size), in_region("INPUT1", [2, 16], inputs, size, size)],
            outputs=[into_region("OUTPUT0", outputs, size), into_region("OUTPUT1", outputs, size, size)],
        )
        for n, expected in enumerate((values[0] + values[1], values[0] - values[1])):
            found = shm.get_contents_as_numpy(out_handle, np.int32, [2, 16], n * size)
            assert np.array_equal(found, expected)
            said = result.get_output(f"OUTPUT{n}")
            assert list(said.shape) == [2, 16]
            assert said.parameters["shared_memory_region"].string_param == outputs
            assert said.parameters["shared_memory_byte_size"].int64_param == size
        assert set(result.get_response().raw_output_contents) <= {b""}


def test_one_input_beside_one_that_is_sent(client):
    """What is sent belongs to the inputs that are in no region."""
    values = addends()
    with region(client, 64) as (name, _, handle):
        for shared in (0, 1):
            shm.set_shared_memory_region(handle, [values[shared]])
            inputs = inputs_of(values)
            inputs[shared] = in_region(f"INPUT{shared}", [1, 16], name, 64)
            assert is_right(client.infer("simple", inputs), values)


def test_one_output_beside_one_that_is_answered(client):
    values = addends()
    with region(client, 64) as (name, _, handle):
        outputs = [into_region("OUTPUT0", name, 64), triton.InferRequestedOutput("OUTPUT1")]
        result = client.infer("simple", inputs_of(values), outputs=outputs)
        assert np.array_equal(shm.get_contents_as_numpy(handle, np.int32, [1, 16]), values[0] + values[1])
        assert np.array_equal(result.as_numpy("OUTPUT1"), values[0] - values[1])


def test_texts(client):
    value = np.array([[b"", b"one", b"\x00two\x00", b"\xff"]], np.object_)
    packed = serialize_byte_tensor(value)
    size = len(packed.item())
    with region(client, size) as (inputs, _, in_handle), region(client, size) as (outputs, _, out_handle):
        shm.set_shared_memory_region(in_handle, [packed])
        client.infer(
            "simple_identity",
            [in_region("INPUT0", [1, 4], inputs, size, data_type="BYTES")],
            outputs=[into_region("OUTPUT0", outputs, size)],
        )
        assert shm.get_contents_as_numpy(out_handle, np.object_, [1, 4]).tolist() == value.tolist()


def test_status_and_unregister(client):
    with region(client, 64) as (first, key, _), region(client, 128) as (second, _, _):
        status = client.get_system_shared_memory_status()
        assert {first, second} <= set(status.regions)
        found = client.get_system_shared_memory_status(first).regions[first]
        assert (found.name, found.key, found.offset, found.byte_size) == (first, key, 0, 64)
        client.unregister_system_shared_memory(first)
        assert first not in client.get_system_shared_memory_status().regions
        error = refused(client.get_system_shared_memory_status, first)
        assert error.message() == f"Unable to find system shared memory region: '{first}'"
        assert error.status() == "StatusCode.NOT_FOUND"
        # Nobody minds.
        client.unregister_system_shared_memory("nothing")
        client.unregister_system_shared_memory()
        assert len(client.get_system_shared_memory_status().regions) == 0


def test_an_offset_into_the_key(client):
    values = addends()
    with region(client, 256, register=False) as (name, key, handle):
        client.register_system_shared_memory(name, key, 128, offset=128)
        shm.set_shared_memory_region(handle, values, offset=128)
        inputs = [in_region("INPUT0", [1, 16], name, 64), in_region("INPUT1", [1, 16], name, 64, 64)]
        assert is_right(client.infer("simple", inputs), values)


def test_what_can_not_be_registered(client):
    with region(client, 64) as (name, key, _):
        for arguments, status, message in (
            (("bad", "//", 64), "INVALID_ARGUMENT", "cannot register shared memory region 'bad' - invalid shm key '//'"),
            (
                ("bad", "/triton_python_backend_shm_region_x", 64),
                "INVALID_ARGUMENT",
                "cannot register shared memory region 'bad' with key '/triton_python_backend_shm_region_x' as the key "
                "contains the reserved prefix 'triton_python_backend_shm_region_'",
            ),
            ((name, key, 64), "ALREADY_EXISTS", f"shared memory region '{name}' already in manager"),
            (("bad", "/test_shm_nobody", 64), "INTERNAL", "Unable to open shared memory region: '/test_shm_nobody'"),
            (("bad", key, 65), "INVALID_ARGUMENT", "failed to register shared memory region 'bad': invalid args"),
            (("bad", key, 64, 1), "INVALID_ARGUMENT", "failed to register shared memory region 'bad': invalid args"),
        ):
            error = refused(client.register_system_shared_memory, *arguments)
            assert error.status() == f"StatusCode.{status}"
            # What is internal has an id behind it, which the log has too.
            assert error.message().startswith(message) if status == "INTERNAL" else error.message() == message


@pytest.mark.parametrize("key", ["/../../etc/passwd", "/a/../../../etc/passwd", "/nested/key"])
def test_keys_that_lead_elsewhere(client, key):
    refused(client.register_system_shared_memory, "elsewhere", key, 16)
    assert "elsewhere" not in client.get_system_shared_memory_status().regions


def test_what_can_not_be_used(client):
    values = addends()
    with region(client, 64) as (name, key, _):
        beside = inputs_of(values)[1]
        for byte_size, offset, message in (
            (64, 64, f"Invalid offset for shared memory region: '{name}'"),
            (64, 32, f"Invalid offset + byte size for shared memory region: '{name}'"),
        ):
            error = refused(client.infer, "simple", [in_region("INPUT0", [1, 16], name, byte_size, offset), beside])
            assert error.message() == message
        error = refused(client.infer, "simple", [in_region("INPUT0", [1, 16], name, 32), beside])
        assert error.message().endswith("input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64, got 32")
        error = refused(client.infer, "simple", inputs_of(values), outputs=[into_region("OUTPUT0", name, 32)])
        assert error.message().startswith(
            "shared memory size specified with the request for output 'OUTPUT0' (32 bytes) should be at least 64 bytes to hold the results"
        )
        # A file that lost its end is an error, and no crash.
        os.truncate(f"/dev/shm{key}", 16)
        refused(client.infer, "simple", [in_region("INPUT0", [1, 16], name, 64), beside])
        assert is_right(client.infer("simple", inputs_of(values)), values)


def test_classes_do_not_go_into_a_region(client):
    with region(client, 64) as (name, _, _):
        output = triton.InferRequestedOutput("OUTPUT0", class_count=1)
        # The client itself refuses this, so that it is put together by hand.
        parameters = output._get_tensor().parameters
        parameters["shared_memory_region"].string_param = name
        parameters["shared_memory_byte_size"].int64_param = 64
        error = refused(client.infer, "simple", inputs_of(addends()), outputs=[output])
        assert error.message() == "output can't set both 'shared_memory_region' and 'classification'"


def test_memory_of_gpus(client):
    """Every example program asks for this first."""
    client.unregister_cuda_shared_memory()
    assert len(client.get_cuda_shared_memory_status().regions) == 0
    error = refused(client.register_cuda_shared_memory, "gpu", b"A" * 64, 0, 64)
    assert error.status() == "StatusCode.INVALID_ARGUMENT"
    assert error.message().startswith("failed to register CUDA shared memory region: 'gpu'")


def test_nobody_registers_where_nobody_allowed_it(repositories):
    with Server(models=repositories / "explicit") as closed, triton.InferenceServerClient(closed.address) as client:
        assert len(client.get_system_shared_memory_status().regions) == 0
        client.unregister_system_shared_memory()
        error = refused(client.register_system_shared_memory, "any", "/any", 64)
        assert error.status() == "StatusCode.UNIMPLEMENTED"
        assert error.message().startswith("Client shared memory is disabled.")
        assert closed.stop() == 0
