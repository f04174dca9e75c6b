"""Batch: named arrays with layouts, of any modality; plain structures beside it; what the host knows of one on a device."""

from __future__ import annotations

import copy
import pickle
from typing import NamedTuple

import numpy as np
import pytest

import engine
from engine.data import Batch, DataLoader, TensorDataset, size_of, to_device
from engine.data.batch import named_tensors
from engine.layout import Layout
from engine.text import PackedBatch


def picture_batch() -> Batch:
    """Two pictures of 4 and 2 patches, with 0 and 3 boxes, a kind a box, a caption of 2 and 1 ids, a class a picture."""
    boxes = Layout.from_lengths([0, 3])
    return Batch(
        {
            "pixels": np.arange(18.0, dtype=np.float32).reshape(6, 3),
            "boxes": engine.ones(3, 4),
            "kinds": np.array([4, 5, -100]),
            "caption": engine.tensor([7, 8, 9]),
            "labels": np.array([1, 0]),
        },
        {
            "pixels": Layout.from_lengths([4, 2]),
            "boxes": boxes,
            "kinds": boxes,
            "caption": Layout.from_lengths([2, 1]),
        },
    )


def test_fields_and_sizes() -> None:
    batch = picture_batch()
    assert batch.batch_size == len(batch) == 2 and (batch.num_positions, batch.num_cells) == (6, 8)
    assert batch.pixels.shape == (6, 3) and batch["kinds"].tolist() == [4, 5, -100]
    assert list(batch.fields) == ["pixels", "boxes", "kinds", "caption", "labels"]
    assert batch.layout is batch.layout_of("pixels") and batch.layout.lengths.tolist() == [4, 2]
    assert batch.layout_of("kinds") is batch.layout_of("boxes") and batch.layout_of("labels") is None
    assert repr(batch) == "Batch(batch_size=2, pixels=6x3, boxes=3x4, kinds=3, caption=3, labels=2)"
    with pytest.raises(AttributeError, match="frames"):
        batch.frames  # noqa: B018
    for read in (batch.layout_of, batch.host, batch.__getitem__):
        with pytest.raises(KeyError, match="frames"):
            read("frames")
    bare = Batch({"x": engine.ones(3, 2)})
    assert bare.labels is None and bare.layout is None
    assert (bare.batch_size, bare.num_positions, bare.num_cells) == (3, 3, 3)


def test_a_field_shares_the_layout_that_fits() -> None:
    layout = Layout.from_lengths([2, 3])
    batch = Batch({"tokens": engine.arange(5), "tags": engine.arange(5), "score": engine.ones(2)}, {"tokens": layout})
    assert batch.layout_of("tags") is layout and batch.layout_of("score") is None


def test_changing_fields() -> None:
    batch = picture_batch()
    other = batch.replace(labels=None, boxes=engine.zeros(3, 4), weight=np.array([0.5, 2.0]))
    assert other.labels is None and "labels" not in other.fields and batch.labels is not None
    assert other.layout_of("boxes") is batch.layout_of("boxes") and not other.boxes.any().item()
    assert batch.boxes.all().item() and other.weight.tolist() == [0.5, 2.0] and other.batch_size == 2
    batch.labels = engine.tensor([3, 3])
    assert batch.labels.tolist() == [3, 3]
    batch.labels = None
    assert batch.labels is None and batch.batch_size == 2
    with pytest.raises(ValueError, match="x: expected a Tensor or an array, because it is the only field, got None"):
        Batch({"x": engine.ones(2)}).replace(x=None)
    assert type(PackedBatch.from_sequences([[1]]).replace(labels=np.array([0]))) is PackedBatch


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(again) -> None:
    for batch in (picture_batch(), PackedBatch.from_sequences([[1, 2], [3]], labels=[1, 0])):
        twin = again(batch)
        assert type(twin) is type(batch) and list(twin.fields) == list(batch.fields) and twin.layout == batch.layout
        assert all(twin[name].tolist() == value.tolist() for name, value in batch.fields.items())


@pytest.mark.parametrize(
    ("fields", "layouts", "error", "message"),
    [
        ({}, {}, ValueError, "fields: expected at least one, got none"),
        ({"x": [1, 2]}, {}, TypeError, "x: expected a Tensor or an array, got list"),
        ({"x": engine.tensor(1)}, {}, ValueError, "x: expected at least one dimension"),
        ({"to": engine.ones(1)}, {}, ValueError, "identifiers that Batch does not use itself, got 'to'"),
        ({"x y": engine.ones(1)}, {}, ValueError, "does not use itself, got 'x y'"),
        ({"x": None}, {}, ValueError, "fields: expected at least one, got none"),
        ({"_x": engine.ones(1)}, {}, ValueError, "does not use itself, got '_x'"),
        ({"x": engine.ones(2)}, {"y": Layout.from_lengths([2])}, TypeError, "by the names of fields, got 'y'"),
        ({"x": engine.ones(2)}, {"x": [0, 2]}, TypeError, "expected Layouts .* got list for x"),
        (
            {"x": engine.ones(2)},
            {"x": Layout.from_lengths([3])},
            ValueError,
            r"x: expected 3 rows, one for each position, got",
        ),
        (
            {"x": engine.ones(2), "y": engine.ones(3)},
            {},
            ValueError,
            r"y: expected 2 rows, one for each sample, got shape \(3,\)",
        ),
        (
            {"x": engine.ones(3), "y": engine.ones(4)},
            {"x": Layout.from_lengths([2, 1])},
            ValueError,
            "y: expected 2 rows, one for each sample, or 3, one for each position, got",
        ),
        (
            {"x": engine.ones(3), "y": engine.ones(3)},
            {"x": Layout.from_lengths([2, 1]), "y": Layout.from_lengths([1, 1, 1])},
            ValueError,
            "y: expected a layout of 2 sequences",
        ),
    ],
)
def test_what_does_not_fit(fields, layouts, error, message) -> None:
    with pytest.raises(error, match=rf"^\[Batch\] .*{message}"):
        Batch(fields, layouts)


# ---- devices


def waits() -> int:
    return engine.cuda.memory_stats()["host_waits"]


def test_a_batch_moves(cuda) -> None:
    batch = picture_batch()
    before = waits()
    there = batch.to(cuda, non_blocking=True)
    assert there.device == engine.device("cuda:0") and there.to(cuda) is there and batch.cpu() is batch
    assert all(value.is_cuda for value in there.fields.values())
    assert there.layout_of("kinds") is there.layout_of("boxes")  # shared there, too
    assert there.layout.cu_seqlens.is_cuda and there.layout.lengths.tolist() == [4, 2]
    assert (there.batch_size, there.num_positions, there.num_cells) == (2, 6, 8)
    assert there.host("labels").tolist() == [1, 0]
    assert waits() == before
    back = there.cpu()
    assert all(back[name].tolist() == value.tolist() for name, value in batch.fields.items())
    pinned = batch.pin_memory()
    assert all(value.is_pinned() for value in pinned.fields.values()) and pinned.layout.cu_seqlens.is_pinned()
    with pytest.raises(ValueError, match=r"\[Batch\] labels: expected a tensor on cuda:0, got one on cpu"):
        there.replace(labels=engine.tensor([0, 1]))


def test_one_copy_of_what_is_shared(cuda) -> None:
    there = PackedBatch.from_sequences([[1, 2], [3]]).cuda()
    assert there.position_ids is there.layout.positions


def test_the_host_knows_the_labels_of_a_batch_that_moved(cuda) -> None:
    here = PackedBatch.from_sequences([[1, 2], [3]], token_labels=[[-100, 5], [6]])
    there = here.to(cuda)
    here.labels[1] = 0  # the batch that moved has labels of its own
    before = waits()
    assert there.host("labels").tolist() == [-100, 5, 6] and there.replace().host("labels").tolist() == [-100, 5, 6]
    changed = there.replace(labels=np.array([1, 2, -100]))
    assert changed.labels.is_cuda and changed.host("labels").tolist() == [1, 2, -100]
    assert waits() == before
    there.labels[0] = 9  # written there: read again
    assert there.host("labels").tolist() == [9, 5, 6] and waits() > before
    before = waits()
    assert there.host("labels").tolist() == [9, 5, 6] and waits() == before
    there.labels = engine.tensor([7, 7, 7], device=cuda)  # another field
    assert there.host("labels").tolist() == [7, 7, 7]
    assert there.host("input_ids").tolist() == [1, 2, 3]  # not kept, read


# ---- plain structures


class Pair(NamedTuple):
    x: object
    y: object


def test_sizes_of_plain_structures() -> None:
    x, y = engine.ones(5, 2), engine.zeros(5)
    for batch in (x, (x, y), [x, y], {"a": {"b": [x]}, "n": 3}, Pair("names", x), ("name", [1, {"x": x}])):
        assert size_of(batch) == (5, 5, 5)
    assert size_of(picture_batch()) == (2, 6, 8)
    assert size_of(PackedBatch.from_sequences([[1, 2], [3]])) == (2, 3, 4)

    class Own:
        batch_size = 3

    assert size_of(Own()) == (3, 3, 3)
    for odd in ([], "text", (1, {"x": 2}), engine.tensor(1.0)):
        with pytest.raises(TypeError, match=r"\[size_of\] batch: expected a Batch, or a structure of Tensors"):
            size_of(odd)
    (batch,) = DataLoader(TensorDataset(np.ones((4, 3)), np.arange(4)), 4)
    assert size_of(batch).samples == 4


def test_plain_structures_move(device) -> None:
    class Own:
        where = "cpu"

        def to(self, device):
            self.where = device
            return self

    x, own, batch = engine.ones(5, 2), Own(), picture_batch()
    there = to_device({"a": [x, (x, 3, "s")], "p": Pair(x, None), "own": own, "batch": batch}, device)
    assert there["a"][0].device.type == there["p"].x.device.type == there["batch"].device.type == device
    assert type(there["a"][1]) is tuple and there["a"][1][1:] == (3, "s") and type(there["p"]) is Pair
    assert there["own"] is own and own.where == device and to_device("text", device) == "text"
    if device == "cpu":
        assert there["a"][0] is x and there["batch"] is batch


def test_a_batch_lists_its_fields_and_guards_them():
    batch = Batch({"values": np.ones((2, 3), np.float32), "labels": np.arange(2)})
    assert list(batch) == ["values", "labels"] and "labels" in batch and "other" not in batch
    with pytest.raises(ValueError, match="read-only"):
        batch.host("labels")[0] = 5
    del batch.labels
    assert list(batch) == ["values"]
    with pytest.raises(AttributeError, match="labels"):
        del batch.labels
    with pytest.raises(ValueError, match="only field"):
        del batch.values


def test_tensors_of_a_batch_have_names():
    one, two = engine.ones(2), engine.zeros(3)
    boxes, pixels = Layout.from_lengths([1, 2]), Layout.from_lengths([2, 0])
    batch = Batch({"pixels": one, "boxes": two, "kinds": two}, {"pixels": pixels, "boxes": boxes})
    names = dict(named_tensors(({"a": one, "b": [two]}, batch, "a word")))
    expected = {"0.a": one, "0.b.0": two, "1.pixels": one, "1.boxes": two, "1.kinds": two}
    expected |= {"1.pixels.cu_seqlens": pixels.cu_seqlens, "1.boxes.cu_seqlens": boxes.cu_seqlens}
    assert {name: tensor.tolist() for name, tensor in names.items()} == {n: t.tolist() for n, t in expected.items()}
    assert [name for name, _ in named_tensors(one)] == ["batch"]
