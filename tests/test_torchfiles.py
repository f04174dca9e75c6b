"""Files of torch.save: both forms read, ours opened by PyTorch, hostile ones refused."""

from __future__ import annotations

import copy
import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import nn
from engine.torchfiles import load, save
from engine.torchfiles.write import _Pickle

# Written by PyTorch 2.13, from the same object: as it writes today, and as it wrote before 1.6.
FILES = [Path(__file__).parent / "torchfiles" / name for name in ("zip.pt", "legacy.pt")]


def equal(found: Any, wanted: Any, dtype: Any) -> None:
    assert found.dtype == dtype and found.tolist() == wanted


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_of_pytorch(path):
    found = load(path)
    equal(found["view"], [[0, 1, 2], [3, 4, 5]], engine.float32)
    equal(found["transposed"], [[0, 3], [1, 4], [2, 5]], engine.float32)
    found["view"][0, 1] = 9
    assert found["transposed"][1, 0].item() == 9  # one memory, as it was
    state = found["state"]
    assert type(state) is OrderedDict and list(state) == ["weight", "bias"] and state._metadata[""] == {"version": 1}
    equal(state["weight"], [[1, 2], [3, 4]], engine.float32)
    assert isinstance(found["parameter"], nn.Parameter) and found["parameter"].requires_grad
    assert found["list"] == [1, -5, 2**40, -(2**70), 1.5, None, True, "ü", (1, 2), ()]
    assert found["dtype"] is engine.float16 and found["device"] == engine.device("cpu") and found["size"] == (2, 3)
    assert found["set"] == {1, 2} and found["bytes"] == b"x\xff" and found[7] == "seven"
    assert found["empty"].shape == (0, 3)
    equal(found["scalar"], 3, engine.int64)
    equal(found["int32"], [1, -2], engine.int32)
    equal(found["bfloat16"], [1.5] * 3, engine.bfloat16)
    equal(found["float16"], [0.5] * 3, engine.float16)
    equal(found["bool"], [True, False], engine.bool)
    equal(found["uint8"], [7], engine.uint8)
    equal(found["double"], [0.1], engine.float64)


def test_what_is_saved_is_loaded(tmp_path):
    found = load(FILES[0])
    save(found, tmp_path / "again.pt")
    again = load(tmp_path / "again.pt")
    assert list(again) == list(found) and repr(again) == repr(found)
    again["view"][0, 0] = 5
    assert again["transposed"][0, 0].item() == 5
    first = (tmp_path / "again.pt").read_bytes()
    save(found, tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == first
    item = [1]
    shared = round_trip([item, item, (item,)])
    assert shared[0] is shared[1] is shared[2][0]


def round_trip(value: Any) -> Any:
    stream = io.BytesIO()
    save(value, stream)
    stream.seek(0)
    return load(stream)


def test_pytorch_opens_ours():
    torch = pytest.importorskip("torch")
    found = load(FILES[0])
    stream = io.BytesIO()
    save(found, stream)
    stream.seek(0)
    opened = torch.load(stream, weights_only=True)
    wanted = torch.load(FILES[0], weights_only=True)
    assert repr(opened["list"]) == repr(wanted["list"]) and opened["set"] == wanted["set"]
    for name, tensor in wanted.items():
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(opened[name], tensor) and opened[name].dtype == tensor.dtype, name
    assert opened["view"].data_ptr() == opened["transposed"].data_ptr()
    assert isinstance(opened["parameter"], torch.nn.Parameter)


class Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a file ran')",))


def archive(data: bytes, compression: int = zipfile.ZIP_STORED, **records: bytes) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        file.writestr("archive/data.pkl", data)
        for name, content in records.items():
            file.writestr(f"archive/data/{name.lstrip('_')}", content)
    stream.seek(0)
    return stream


def tensor_pickle(size: Any, stride: Any, offset: int = 0, count: int = 6) -> bytes:
    """A tensor of a storage of `count` float32, by sizes that may be wrong."""
    writer = _Pickle()
    writer.out += b"\x80\x02"
    writer.name("torch._utils", "_rebuild_tensor_v2")
    writer.out += b"(("
    for text in ("storage", None, "0", "cpu"):
        writer.name("torch", "FloatStorage") if text is None else writer.text(text)
    writer.integer(count)
    writer.out += b"tQ"
    for part in (offset, size, stride, False, None):
        writer.put(part, "", 0)
    return bytes(writer.out + b"tR.")


def test_no_code_of_a_file_runs():
    for protocol in (2, 4, 5):
        with pytest.raises(ValueError, match=r"\[load\] f: .*(exec|instruction)"):
            load(archive(pickle.dumps(Harmful(), protocol)))
    for name in (b"cos\nsystem\n", b"cbuiltins\neval\n", b"ctorch\nload\n", b"cengine.errors\nrequire\n"):
        with pytest.raises(ValueError, match="expected tensors, numbers, strings"):
            load(archive(b"\x80\x02" + name + b"(X\x01\x00\x00\x00xtR."))
    with pytest.raises(ValueError, match="damaged"):  # an item of data is no function
        load(archive(b"\x80\x02}(X\x01\x00\x00\x00xtR."))


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [((7,), (1,), 0), ((2, 3), (3, 2), 0), ((1,), (1,), 6), ((-1,), (1,), 0), ((2,), (-1,), 1), ((2**62, 2), (1, 1), 0),
     ((2, 2), (1,), 0), ((1.5,), (1,), 0), ((1,) * 9, (1,) * 9, 0), ((2,), (2**63,), 0)],
)  # fmt: skip
def test_tensors_beyond_their_storage_are_refused(size, stride, offset):
    with pytest.raises(ValueError, match="load"):
        load(archive(tensor_pickle(size, stride, offset), _0=bytes(24)))


def test_lengths_that_a_file_claims_are_not_believed():
    assert load(archive(tensor_pickle((6,), (1,)), _0=bytes(24))).tolist() == [0] * 6
    for count in (2**40, 5, 7, -1):
        with pytest.raises(ValueError, match="load"):
            load(archive(tensor_pickle((1,), (1,), 0, count), _0=bytes(24)))
    with pytest.raises(ValueError, match="not compressed"):
        load(archive(tensor_pickle((6,), (1,)), zipfile.ZIP_DEFLATED, _0=bytes(24)))
    for data in (
        b"X\xff\xff\xff\xffab.",
        b"\x8a\xffa.",
        b"\x8b\xff\xff\xff\x7f.",
        b"\x8d" + b"\xff" * 8 + b".",
        b"h\x01.",
        b"t.",
        b"(",
    ):
        with pytest.raises(ValueError, match="damaged"):
            load(archive(b"\x80\x02" + data))
    deep = (
        b"\x80\x02" + b")" + b"\x85" * 100_000 + b"q\x00}h\x00Ns0."
    )  # a key of nested tuples: hashing it would overflow the stack
    with pytest.raises(ValueError, match="load"):
        load(archive(deep))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_damaged_files_are_errors(path):
    """Each byte changed, and each length cut: an error, or an object; never anything else."""
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.choice(len(data), 400, replace=False):
        for damaged in (data[:position], data[:position] + bytes([rng.integers(256)]) + data[position + 1 :]):
            try:
                load(io.BytesIO(damaged))
            except (ValueError, TypeError) as error:
                assert str(error).startswith("["), repr(error)


def test_what_cannot_be_saved_is_refused_by_its_place(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(b"old")
    for value, match in [
        ({"a": [1, nn.Linear(2, 2)]}, r"got a Linear at obj\['a'\]\[1\] \(save its state_dict\(\)\)"),
        ((np.arange(2),), r"got a ndarray at obj\[0\]"),
        ({nn.Linear: 1}, "keys that are strings"),
    ]:
        with pytest.raises(TypeError, match=match):
            save(value, path)
    nested: list[Any] = []
    for _ in range(300):
        nested = [nested]
    with pytest.raises(ValueError, match="containers in each other"):
        save(nested, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    cycle: list[Any] = []
    cycle.append(cycle)
    found = round_trip(cycle)
    assert found[0] is found


def test_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(tmp_path / "nowhere.pt")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    for wrong in (3, io.StringIO("text")):
        with pytest.raises(TypeError, match="binary file"):
            load(wrong)
    for content in (b"", b"PK\x03\x04", b"hello", b"\x80\x02K\x01."):
        (tmp_path / "odd.pt").write_bytes(content)
        with pytest.raises(ValueError, match=r"torch\.save"):
            load(tmp_path / "odd.pt")
    assert load(FILES[0], map_location="cpu")["view"].device == engine.device("cpu")


def test_dtypes_that_engine_lacks_are_named():
    torch = pytest.importorskip("torch")
    stream = io.BytesIO()
    torch.save({"x": torch.ones(2, dtype=torch.complex64)}, stream)
    stream.seek(0)
    with pytest.raises(TypeError, match="ComplexFloatStorage"):
        load(stream)


def test_small_integers_and_sizes_cross_both_ways():
    torch = pytest.importorskip("torch")
    stream = io.BytesIO()
    torch.save({"a": torch.tensor([-1, 2], dtype=torch.int8), "b": torch.tensor([300], dtype=torch.int16)}, stream)
    stream.seek(0)
    found = load(stream)
    equal(found["a"], [-1, 2], engine.int8)
    equal(found["b"], [300], engine.int16)
    stream = io.BytesIO()
    save({**found, "size": found["a"].shape}, stream)
    stream.seek(0)
    theirs = torch.load(stream, weights_only=True)
    assert theirs["a"].dtype is torch.int8 and theirs["b"].tolist() == [300]
    assert type(theirs["size"]) is torch.Size and theirs["size"] == (2,)
    stream.seek(0)
    assert type(load(stream)["size"]) is engine.Size


@pytest.mark.parametrize("short_first", [True, False])
def test_tensors_of_one_numpy_array_may_differ_in_length(short_first):
    array = np.arange(8, dtype=np.float32)
    tensors = [engine.from_numpy(array[:3]), engine.from_numpy(array)]
    values = [[0, 1, 2], list(range(8))]
    if not short_first:
        tensors.reverse()
        values.reverse()
    stream = io.BytesIO()
    save(tensors, stream)
    stream.seek(0)
    saved = load(stream)
    for found in (saved, copy.deepcopy(tensors), pickle.loads(pickle.dumps(tensors))):
        assert [x.tolist() for x in found] == values
    saved[0][1] = 9
    assert saved[1][1].item() == 9  # one memory, as long as the longer one
