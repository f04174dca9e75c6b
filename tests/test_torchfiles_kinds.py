"""What `load` and `save` take beside tensors, and PyTorch's arguments of both."""

from __future__ import annotations

import argparse
import io
import pickle
import zipfile
from collections import Counter, OrderedDict, defaultdict

import pytest

import engine
from engine import load, save

DATA = {
    "counter": Counter({2: 3, 7: 1}),
    "no counts": Counter(),
    "bytearray": bytearray(b"\x00\xff"),
    "complex": 1.5 - 2j,
    2 + 1j: "a complex key",
    "set": {1, "a"},
    "ordered": OrderedDict(b=1, a=2),
}


def stream_of(write, *arguments, **options):
    stream = io.BytesIO()
    write(*arguments, stream, **options)
    stream.seek(0)
    return stream


def same(found, wanted):
    assert found == wanted
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in wanted.items()}


@pytest.mark.parametrize("old", [False, True])
def test_data_both_ways_with_pytorch(old):
    torch = pytest.importorskip("torch")
    form = {"_use_new_zipfile_serialization": not old}
    same(load(stream_of(torch.save, DATA, **form)), DATA)
    same(load(stream_of(save, DATA, **form)), DATA)
    same(torch.load(stream_of(save, DATA, **form), weights_only=True), DATA)


def test_what_pytorch_reads_with_weights_only_false_alone():
    torch = pytest.importorskip("torch")
    wanted = {"a": defaultdict(list, x=[1]), "b": frozenset({1, 2}), "c": defaultdict(None), "d": defaultdict(set)}
    found = load(stream_of(torch.save, wanted), weights_only=False)
    same(found, wanted)
    assert found["a"]["new"] == [] and found["d"]["new"] == set()


def test_tensors_with_attributes():
    torch = pytest.importorskip("torch")
    tensor, parameter = torch.ones(2), torch.nn.Parameter(torch.zeros(3))
    tensor.tag, parameter.tag = "a", [1, 2]
    for form in (True, False):
        found = load(stream_of(torch.save, [tensor, parameter], _use_new_zipfile_serialization=form))
        assert found[0].tag == "a" and found[0].tolist() == [1, 1]
        assert found[1].tag == [1, 2] and isinstance(found[1], engine.nn.Parameter)
    tensor.__dict__["_data"] = 3
    with pytest.raises(ValueError, match="attribute '_data'"):
        load(stream_of(torch.save, [tensor]))


def test_weights_only_changes_nothing_for_data():
    x = {"x": engine.ones(2), "n": 1}
    for chosen in (True, False, None):
        assert load(stream_of(save, x), weights_only=chosen)["x"].tolist() == [1, 1]


class Mine:
    pass


@pytest.mark.parametrize("chosen", [True, False])
def test_other_objects_are_named_all_of_them(chosen):
    torch = pytest.importorskip("torch")
    stream = stream_of(torch.save, {"args": argparse.ArgumentParser, "mine": Mine(), "again": Mine(), "x": Counter()})
    with pytest.raises(ValueError) as error:
        load(stream, weights_only=chosen)
    said = str(error.value)
    assert "argparse.ArgumentParser, " in said and said.count(".Mine") == 1 and "Counter" not in said
    assert "runs no code" in said


def test_many_other_names_are_cut():
    stream = b"\x80\x02" + b"".join(b"cmodule\nname%d\n" % i for i in range(50)) + b"."
    with pytest.raises(ValueError, match=r"module\.name19 and 30 more"):
        load(io.BytesIO(_zip_of(stream)))


def _zip_of(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return stream.getvalue()


@pytest.mark.parametrize(
    "call",
    [
        b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",  # two gigabytes of zeros
        b"ccollections\nCounter\nX\x02\x00\x00\x00ab\x85R.",
        b"ccollections\ndefaultdict\nctorch\nTensor\n\x85R.",
        b"cbuiltins\nint\nX\x01\x00\x00\x001\x85R.",
        b"ctorch\nTensor\n)R.",
        b"cbuiltins\ncomplex\nX\x02\x00\x00\x001j\x85R.",
    ],
)
def test_calls_that_data_do_not_need(call):
    with pytest.raises(ValueError, match="damaged"):
        load(io.BytesIO(_zip_of(b"\x80\x02" + call)))


def saved_on(location):
    """A file of PyTorch whose tensor was there."""
    torch = pytest.importorskip("torch")
    data = stream_of(torch.save, {"x": torch.tensor([1.0, 2.0])}, _use_new_zipfile_serialization=False).getvalue()
    short, long = b"X\x03\x00\x00\x00cpu", b"X" + len(location).to_bytes(4, "little") + location.encode()
    assert data.count(short) == 1
    return io.BytesIO(data.replace(short, long))


@pytest.mark.parametrize(
    "where",
    [
        None, "cpu", engine.device("cpu"), {"cuda:0": "cpu"}, {"cuda:0": engine.device("cpu")}, {"cuda:3": "cuda:1"}, {},
        lambda storage, location: storage, lambda storage, location: storage.cpu(), lambda storage, location: None,
    ],
)  # fmt: skip
def test_map_location(where):
    found = load(saved_on("cuda:0"), map_location=where)
    assert found["x"].tolist() == [1, 2] and found["x"].device == engine.device("cpu")


def test_a_function_sees_the_location():
    seen = []
    load(saved_on("cuda:1"), lambda storage, location: seen.append((storage.tolist(), location)))
    assert seen == [([1.0, 2.0], "cuda:1")]


def test_map_location_moves_to_a_device(cuda):
    for where in ("cuda:0", {"cuda:1": "cuda:0"}, lambda storage, location: storage.cuda(0)):
        assert load(saved_on("cuda:1"), map_location=where)["x"].device == engine.device("cuda:0")


@pytest.mark.parametrize(
    "where", ["nowhere", {"cpu": "nowhere"}, lambda storage, location: 3, lambda s, location: s[:1]]
)
def test_a_wrong_map_location(where):
    with pytest.raises((TypeError, ValueError), match=r"map_location|device"):
        load(saved_on("cpu"), map_location=where)


def test_arguments_that_change_nothing(tmp_path):
    x = {"x": engine.ones(2)}
    plain, other = tmp_path / "a" / "x.pt", tmp_path / "b" / "x.pt"
    for path in (plain, other):
        path.parent.mkdir()
    save(x, plain)
    save(x, other, pickle, pickle_protocol=4)
    assert plain.read_bytes() == other.read_bytes()
    assert load(plain, "cpu", pickle, mmap=True, encoding="latin1")["x"].tolist() == [1, 1]
    with pytest.raises(TypeError, match="encoding"):
        load(plain, encoding=3)


def test_the_old_form_of_a_file(tmp_path):
    torch = pytest.importorskip("torch")
    whole = engine.arange(6, dtype=engine.float32)
    saved = {
        "part": whole[2:4],
        "whole": whole,
        "p": engine.nn.Parameter(engine.ones(2, 2)),
        "n": engine.tensor([1, 2]),
    }
    path = tmp_path / "old.pt"
    save(saved, path, _use_new_zipfile_serialization=False)
    assert path.read_bytes()[:2] != b"PK" and list(tmp_path.iterdir()) == [path]
    theirs, mine = torch.load(path, weights_only=True), load(path)
    for found in (theirs, mine):
        assert {name: found[name].tolist() for name in saved} == {name: saved[name].tolist() for name in saved}
        found["whole"][2] = 9
        assert found["part"].tolist() == [9, 3]  # one memory
    assert isinstance(theirs["p"], torch.nn.Parameter) and theirs["n"].dtype is torch.int64
