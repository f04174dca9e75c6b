"""safetensors files: every dtype there and back, other libraries' view of them, damage, and half-written files."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
import safetensors

from engine import _core
from engine.serialization import load_file, replace_file, save_file, write_text
from engine.tensor import Tensor

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool", "bfloat16", "float16")


def make(values, dtype="float32") -> Tensor:
    return Tensor(_core.from_buffer(np.array(values, dtype=np.float32)).cast(getattr(_core, dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back(tmp_path, dtype):
    tensors = {
        "a.weight": make([[0, 1, 2], [3, 1, 0]], dtype),
        "empty": make(np.zeros((0, 3)), dtype),
        "one": make(1, dtype),
    }
    save_file(tensors, tmp_path / "x.safetensors", {"note": "ü"})
    back = load_file(tmp_path / "x.safetensors")
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        assert back[name].shape == tensor.shape and back[name].dtype is tensor.dtype
        assert _core.to_bytes(back[name]._data) == _core.to_bytes(tensor._data)


def test_strided_tensors_are_written_in_order(tmp_path):
    t = make([[0, 1, 2], [3, 4, 5]])
    save_file({"t": Tensor(t._data.transpose(0, 1))}, tmp_path / "x.safetensors")
    assert load_file(tmp_path / "x.safetensors")["t"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_the_library_reads_our_files(tmp_path):
    save_file({"b": make([1.5, -2.0], "bfloat16")}, tmp_path / "x.safetensors", {"format": "pt"})
    with safetensors.safe_open(tmp_path / "x.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"} and list(file.keys()) == ["b"]
    raw = (tmp_path / "x.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    assert header["b"]["dtype"] == "BF16" and header["b"]["shape"] == [2]
    assert raw[-4:] == struct.pack("<HH", 0x3FC0, 0xC000)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(FileNotFoundError, match="expected an existing file"):
        load_file(path)
    save_file({"a": make([1, 2, 3])}, path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:20], whole[:-1], b"\xff" * 64, struct.pack("<Q", 2**60) + b"{}"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="expected a safetensors file"):
            load_file(path)
    header = b'{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0")
    with pytest.raises(ValueError, match="got I8 for 'a'"):
        load_file(path)
    with pytest.raises(TypeError, match="expected a Tensor under 'a'"):
        save_file({"a": np.zeros(1)}, path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.txt"
    write_text(path, "old\n")

    def fail(temporary: str) -> None:
        with open(temporary, "w") as stream:
            stream.write("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, fail)
    assert path.read_text() == "old\n" and os.listdir(tmp_path) == ["x.txt"]
