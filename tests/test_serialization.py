"""safetensors files: every dtype there and back, other libraries' view of them, damage, and half-written files."""

from __future__ import annotations

import json
import os
import resource
import signal
import struct

import numpy as np
import pytest
import safetensors

from engine import _core
from engine.serialization import load_file, replace_file, save_file, write_text
from engine.tensor import Tensor

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool", "bfloat16", "float16", "int8", "int16")


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
    header = b'{"a":{"dtype":"U16","shape":[1],"data_offsets":[0,2]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    with pytest.raises(ValueError, match="got U16 for 'a'"):
        load_file(path)
    with pytest.raises(IsADirectoryError, match=r"\[load_file\] filename: expected a file, got the folder"):
        load_file(tmp_path)


def test_arguments_of_other_types_are_named(tmp_path):
    one = make([1])
    for arguments, text in (
        (({"a": np.zeros(1)},), "tensors: expected a Tensor under 'a', got ndarray"),
        (([one],), "tensors: expected a mapping from names to values, got list"),
        (({3: one},), "tensors: expected names that are strings, got 3"),
        (({"a": one}, "pt"), "metadata: expected a mapping from names to values, got str"),
        (({"a": one}, {"step": 3}), "metadata: expected a string under 'step', got int"),
    ):
        with pytest.raises(TypeError, match=rf"\[save_file\] {text}"):
            save_file(arguments[0], tmp_path / "x.safetensors", *arguments[1:])
    assert not os.listdir(tmp_path)


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


def test_links_are_followed_and_modes_kept(tmp_path):
    file, link = tmp_path / "real" / "x.safetensors", tmp_path / "link"
    file.parent.mkdir()
    link.symlink_to("real/x.safetensors")
    save_file({"a": make([1])}, link)  # the link's target need not be there yet
    assert file.stat().st_mode & 0o777 == 0o666 & ~(mask := os.umask(0)) and os.umask(mask) == 0
    file.chmod(0o600)
    for write in (lambda path: save_file({"a": make([2])}, path), lambda path: write_text(path, "text")):
        for path in (link, file):
            write(path)
            assert link.is_symlink() and not file.is_symlink() and file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == "text" and os.listdir(tmp_path / "real") == ["x.safetensors"]


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "folder", "link"):
        with pytest.raises(
            OSError, match=r"\[save_file\] filename: expected a regular file or a new name, got the .*" + name
        ):
            save_file({"a": make([1])}, tmp_path / name)
        with pytest.raises(OSError, match=r"\[write_text\] filename: expected a regular file"):
            write_text(tmp_path / name, "text")
    assert (tmp_path / "pipe").is_fifo() and sorted(os.listdir(tmp_path)) == ["folder", "link", "pipe"]


def test_a_full_disk_is_an_oserror_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": make([1])}, path)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(
            OSError, match=r"\[save_file\] filename: expected a file that can be written, got .*x.safetensors"
        ):
            save_file({"a": make(np.zeros(1000))}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert load_file(path)["a"].tolist() == [1] and os.listdir(tmp_path) == ["x.safetensors"]
