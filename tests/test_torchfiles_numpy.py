"""NumPy's numbers and arrays in files of PyTorch, and what else `torch.save` writes of a script's settings."""

from __future__ import annotations

import argparse
import io
import pickle
import zipfile

import numpy as np
import pytest

from engine import load, save

NUMBERS = [
    np.float64(1.5),
    np.float32(-2),
    np.float16(0.5),
    np.int64(-3),
    np.uint8(200),
    np.bool_(True),
    np.complex64(1 + 2j),
]
ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.arange(6.0, dtype=np.float32).reshape(2, 3).T,
    np.zeros((0, 3)),
    np.array(3.5),
    np.array([True, False]),
    np.array(["a", "bcd"]),
    np.array([b"a", b"bcd"]),
    np.arange(3, dtype=">i4"),
]


def archive(data):
    """The file that `torch.save` makes of an object without tensors: its pickle in a zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", data)
    stream.seek(0)
    return stream


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_numbers_and_arrays(protocol) -> None:
    found = load(archive(pickle.dumps({"numbers": NUMBERS, "arrays": ARRAYS, "again": ARRAYS[0]}, protocol)))
    for have, wanted in zip(found["numbers"], NUMBERS, strict=True):
        assert type(have) is type(wanted) and have == wanted
    for have, wanted in zip(found["arrays"], ARRAYS, strict=True):
        assert type(have) is np.ndarray and have.dtype == wanted.dtype.newbyteorder("=") and have.shape == wanted.shape
        assert np.array_equal(have, wanted)
    assert found["again"] is found["arrays"][0]
    assert found["arrays"][0].flags.writeable


def test_names_before_numpy_2() -> None:
    data = pickle.dumps([np.float64(2.5), np.arange(3)], 2).replace(b"numpy._core", b"numpy.core")
    number, array = load(archive(data))
    assert number == 2.5 and array.tolist() == [0, 1, 2]


def test_dtypes_stay_as_they_are() -> None:
    """An order of bytes that a file asks for is that of its own dtype alone."""
    found = load(archive(pickle.dumps([np.dtype(">f8"), np.dtype("<f8")], 2)))
    assert found == [np.dtype(">f8"), np.dtype("<f8")]
    assert np.dtype("f8").isnative


@pytest.mark.parametrize(
    ("value", "change"),
    [
        (np.array([None]), None),  # objects
        (np.array([(1, 2.0)], "i4,f8"), None),  # records
        (np.array(["2020-01-01"], "M8[D]"), None),  # dates
        (np.ma.masked_array([1.0], [True]), None),  # a subclass
        (np.arange(3), (b"(K\x01K\x03\x85", b"(K\x01K\x04\x85")),  # more elements than bytes
        (np.arange(3), (b"(K\x01K\x03\x85", b"(K\x01J\xff\xff\xff\xff\x85")),  # a negative size
        (np.float64(1), (b"X\x02\x00\x00\x00f8", b"X\x02\x00\x00\x00f4")),  # more bytes than the number has
        (np.array([True]), (b"X\x01\x00\x00\x00\x01", b"X\x01\x00\x00\x00\x02")),  # no boolean
    ],
)
def test_others_are_refused(value, change) -> None:
    data = pickle.dumps(value, 2)
    if change:
        assert data.count(change[0]) == 1
        data = data.replace(*change)
    with pytest.raises(ValueError, match=r"^\[load\] f: "):
        load(archive(data))


def test_each_changed_byte_is_an_error_or_data() -> None:
    data = pickle.dumps([NUMBERS, ARRAYS, argparse.Namespace(lr=0.1)], 2)
    rng = np.random.default_rng(0)
    for position in rng.choice(len(data), 300, replace=False):
        for damaged in (data[:position], data[:position] + bytes([rng.integers(256)]) + data[position + 1 :]):
            try:
                load(archive(damaged))
            except (ValueError, TypeError) as error:
                assert str(error).startswith("["), repr(error)


@pytest.mark.parametrize("protocol", [2, 4])
def test_settings_and_frozen_sets(protocol) -> None:
    wanted = {"args": argparse.Namespace(lr=0.1, layers=[2, 3]), "frozen": frozenset({1, 2}), "empty": b""}
    assert load(archive(pickle.dumps(wanted, protocol))) == wanted
    hides = argparse.Namespace(**{"_get_kwargs": 1})
    with pytest.raises(ValueError, match="attributes of a Namespace"):
        load(archive(pickle.dumps(hides, protocol)))


def test_numbers_of_numpy_are_saved_as_python_has_them() -> None:
    stream = io.BytesIO()
    save({"loss": np.float64(0.25), "step": np.int64(3), "done": np.bool_(False), "name": np.str_("x")}, stream)
    stream.seek(0)
    found = load(stream)
    assert found == {"loss": 0.25, "step": 3, "done": False, "name": "x"}
    assert [type(value) for value in found.values()] == [float, int, bool, str]
    torch = pytest.importorskip("torch")
    stream.seek(0)
    assert torch.load(stream, weights_only=True) == found


def test_files_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    for old in (False, True):
        stream = io.BytesIO()
        saved = {"best": np.float64(0.5), "history": np.arange(3.0), "w": torch.ones(2)}
        torch.save(saved, stream, _use_new_zipfile_serialization=not old)
        stream.seek(0)
        found = load(stream)
        assert found["best"] == 0.5 and found["history"].tolist() == [0, 1, 2] and found["w"].tolist() == [1, 1]
