"""Batches made ahead and texts tokenized on demand: the same batches, errors where they belong, threads that end."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import DataLoader, Dataset, Prefetcher, Subset
from engine.data.dataset import prefetch_of
from engine.text import LazyTextDataset, PackedBatch, TextDataset, Tokenizer

SECONDS = 30  # a thread that takes longer to end does not end


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "engine.data.Prefetcher"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    for thread in threads():
        thread.join(1)
    if threads():
        gc.collect()
    for thread in threads():
        thread.join(SECONDS)
    assert not threads()


def until(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true."""
    end = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


# --- Prefetcher ---


@pytest.mark.parametrize("depth", [1, 2, 7, 100])
@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_the_same_items_in_the_same_order(n: int, depth: int) -> None:
    prefetcher = Prefetcher(range(n), depth)
    assert iter(prefetcher) is prefetcher
    assert list(prefetcher) == list(range(n))
    assert list(prefetcher) == []


def test_items_may_be_anything() -> None:
    items = [None, StopIteration, ValueError("a value, not an error"), (), 0]
    assert list(Prefetcher(items)) == items


def test_it_works_ahead_and_no_further_than_its_depth() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item

    prefetcher = Prefetcher(source(), depth=3)
    assert until(lambda: len(made) == 4)  # three wait in the queue, the fourth for room
    time.sleep(0.05)
    assert len(made) == 4
    assert next(prefetcher) == 0
    assert until(lambda: len(made) == 5)
    time.sleep(0.05)
    assert len(made) == 5
    assert threading.get_ident() not in {thread.ident for thread in threads()}
    prefetcher.close()
    assert list(prefetcher) == []
    assert until(lambda: not threads())


def test_an_error_comes_in_its_place() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise ValueError("the fourth is bad")

    prefetcher = Prefetcher(source(), depth=10)
    assert [next(prefetcher) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth is bad") as caught:
        next(prefetcher)
    assert any(entry.name == "source" for entry in caught.traceback)
    with pytest.raises(StopIteration):
        next(prefetcher)


def test_errors_that_are_no_exceptions_come_too() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise SystemExit(3)

    prefetcher = Prefetcher(source())
    assert next(prefetcher) == 1
    with pytest.raises(SystemExit):
        next(prefetcher)


def test_a_dropped_iterator_ends_its_thread_and_its_source() -> None:
    ended = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            ended.set()

    prefetcher = Prefetcher(source(), depth=2)
    assert next(prefetcher) == 0
    del prefetcher
    assert ended.wait(SECONDS) and until(lambda: not threads())


def test_close_wakes_the_one_who_waits() -> None:
    go_on = threading.Event()

    def source() -> Iterator[int]:
        go_on.wait(SECONDS)
        yield 1

    prefetcher = Prefetcher(source())
    got: list[list[int]] = []
    reader = threading.Thread(target=lambda: got.append(list(prefetcher)))
    reader.start()
    prefetcher.close()
    reader.join(SECONDS)
    assert got == [[]]
    go_on.set()


def test_arguments_of_a_prefetcher() -> None:
    for depth in (0, -1):
        with pytest.raises(ValueError, match=rf"\[Prefetcher\] depth: expected at least 1, got {depth}"):
            Prefetcher([1], depth)
    with pytest.raises(TypeError, match=r"\[Prefetcher\] depth: expected an integer, got 1\.5"):
        Prefetcher([1], 1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"\[Prefetcher\] source: expected an iterable, got int"):
        Prefetcher(3)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_does_not_wait_for_a_thread_it_has_not() -> None:
    code = """
        import os, sys
        from engine.data import Prefetcher
        prefetcher = Prefetcher(iter(range(10**9)), 2)
        assert next(prefetcher) == 0
        child = os.fork()
        if child == 0:
            try:
                next(prefetcher)
            except RuntimeError as error:
                assert "fork" in str(error)
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert next(prefetcher) == 1
        print("done")  # and the process ends though the iterator is still held
    """
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")


# --- DataLoader(prefetch=...) ---


def text_dataset(n: int = 60) -> TextDataset:
    lengths = np.random.default_rng(0).integers(0, 20, size=n)
    return TextDataset([[i] * length for i, length in enumerate(lengths)], labels=list(range(n)))


def rows(batches: Any) -> list[list[int]]:
    return [batch.labels.numpy().tolist() for batch in batches]


OPTIONS: list[dict[str, Any]] = [
    {"batch_size": 8, "shuffle": True},
    {"batch_size": 7},
    {"shuffle": True, "bucket_by_length": True, "batch_size": 4},
    {"shuffle": True, "max_tokens": 100, "drop_last": True},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("prefetch", [1, 3, 1000])
def test_the_same_batches_and_states(options: dict[str, Any], prefetch: int) -> None:
    options = {**options, "seed": 4} if options.get("shuffle") else options
    plain = DataLoader(text_dataset(), **options)
    ahead = DataLoader(text_dataset(), prefetch=prefetch, **options)
    for _ in range(2):
        states: list[list[Any]] = [[], []]
        batches: list[list[PackedBatch]] = [[], []]
        for side, loader in enumerate((plain, ahead)):
            states[side].append(loader.state_dict())
            for batch in loader:
                states[side].append(loader.state_dict())
                batches[side].append(batch)
        assert states[0] == states[1] and len(states[0]) > 3
        for one, other in zip(*batches, strict=True):
            np.testing.assert_array_equal(one.input_ids.numpy(), other.input_ids.numpy())
            np.testing.assert_array_equal(one.cu_seqlens.numpy(), other.cu_seqlens.numpy())
            assert rows([one]) == rows([other])


@pytest.mark.parametrize("taken_ahead", [0, 3])
@pytest.mark.parametrize("resumed_ahead", [0, 3])
def test_resume_at_every_batch(taken_ahead: int, resumed_ahead: int) -> None:
    options: dict[str, Any] = {"batch_size": 8, "shuffle": True, "seed": 4}
    whole = DataLoader(text_dataset(), **options)
    expected = [rows(whole) for _ in range(3)]
    run = DataLoader(text_dataset(), prefetch=taken_ahead, **options)
    list(run)
    for stop in range(1, len(expected[1]) + 1):
        run.set_epoch(1)
        iterator = iter(run)
        done = rows([next(iterator) for _ in range(stop)])
        state = json.loads(json.dumps(run.state_dict()))
        resumed = DataLoader(text_dataset(), prefetch=resumed_ahead, **{**options, "seed": 99})
        resumed.load_state_dict(state)
        assert done + rows(resumed) == expected[1]
        assert resumed.epoch == 2 and rows(resumed) == expected[2]


def test_a_loop_that_is_left_ends_the_thread() -> None:
    loader = DataLoader(text_dataset(), 1, prefetch=2, shuffle=True)
    for batch in loader:
        assert len(batch) == 1
        break
    assert until(lambda: not threads())
    assert loader.epoch == 0 and loader.state_dict()["position"] == 1
    assert len(rows(loader)) == 60 and loader.epoch == 2  # the next loop is the next epoch
    iterator = iter(loader)
    next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    assert until(lambda: not threads())


def test_two_iterators_do_not_disturb_each_other() -> None:
    loader = DataLoader(text_dataset(20), 4, shuffle=True, prefetch=2)
    expected = [rows(loader), rows(loader)]
    loader.set_epoch(0)
    first, second = iter(loader), iter(loader)
    mixed: list[list[list[int]]] = [[], []]
    for _ in range(5):
        mixed[0] += rows([next(first)])
        mixed[1] += rows([next(second)])
    assert mixed == expected and loader.state_dict()["position"] == 5


class Bad(Dataset[int]):
    """Item 5 cannot be read."""

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int, /) -> int:
        if index == 5:
            raise OSError("item 5 cannot be read")
        return index


@pytest.mark.parametrize("prefetch", [0, 1, 9])
def test_an_error_of_the_dataset_comes_at_its_batch(prefetch: int) -> None:
    loader = DataLoader(Bad(), 2, prefetch=prefetch)
    seen: list[list[int]] = []
    with pytest.raises(OSError, match="item 5 cannot be read"):
        for batch in loader:
            seen.append(batch.numpy().tolist())
    assert seen == [[0, 1], [2, 3]] and loader.state_dict()["position"] == 2


def test_batches_are_made_in_another_thread_only_when_asked() -> None:
    for prefetch in (0, 2):
        made_by: set[int] = set()

        def collate(items: list[Any], made_by: set[int] = made_by) -> int:
            made_by.add(threading.get_ident())
            return len(items)

        loader = DataLoader(Subset(Bad(), [0, 1, 2]), 2, collate_fn=collate, prefetch=prefetch)
        assert list(loader) == [2, 1]
        assert (made_by == {threading.get_ident()}) == (prefetch == 0)
        assert not list(DataLoader(Subset(Bad(), []), 2, prefetch=prefetch))


def test_prefetch_is_checked() -> None:
    with pytest.raises(ValueError, match=r"\[DataLoader\] prefetch: expected at least 0, got -1"):
        DataLoader(text_dataset(), prefetch=-1)
    with pytest.raises(TypeError, match="prefetch: expected an integer"):
        DataLoader(text_dataset(), prefetch=0.5)  # type: ignore[arg-type]


# --- LazyTextDataset ---

TEXTS = ["my card has not arrived", "", "我的卡 card", "a card", "my my my my"]
PAIRS = ["why", "card", "", "我", "my card"]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    pytest.importorskip("tokenizers")
    vocab = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "my",
        "card",
        "has",
        "not",
        "arr",
        "##ived",
        "我",
        "的",
        "卡",
        "a",
        "why",
    ]
    (tmp_path / "vocab.txt").write_text("\n".join(vocab), encoding="utf-8")
    return Tokenizer.from_vocab(tmp_path / "vocab.txt")


@pytest.mark.parametrize("pairs", [None, PAIRS])
@pytest.mark.parametrize("max_length", [None, 6])
@pytest.mark.parametrize("prefetch", [0, 2])
def test_lazy_batches_are_those_of_a_text_dataset(
    tokenizer: Tokenizer, pairs: list[str] | None, max_length: int | None, prefetch: int
) -> None:
    labels = [3, 1, 4, 1, 5]
    eager = TextDataset.from_texts(TEXTS, tokenizer, labels, max_length, pairs)
    lazy = LazyTextDataset(TEXTS, tokenizer, labels, pairs, max_length)
    assert len(lazy) == 5 and lazy.labels is not None and lazy.labels.tolist() == labels
    options: dict[str, Any] = {"batch_size": 2, "shuffle": True}
    for one, other in zip(DataLoader(eager, **options), DataLoader(lazy, prefetch=prefetch, **options), strict=True):
        for name in ("input_ids", "cu_seqlens", "position_ids", "token_type_ids", "labels"):
            a, b = getattr(one, name), getattr(other, name)
            assert (a is None) == (b is None)
            if a is not None:
                assert a.dtype is b.dtype
                np.testing.assert_array_equal(a.numpy(), b.numpy())
    for row in (0, 2, -1):
        assert lazy[row].input_ids.tolist() == eager[row].input_ids.tolist() and lazy[row].label == eager[row].label
        assert lazy[row].input_ids.dtype == np.int64
        assert (lazy[row].token_type_ids is None) == (pairs is None)
        if pairs is not None:
            assert np.array_equal(lazy[row].token_type_ids, eager[row].token_type_ids)  # type: ignore[arg-type]
    assert lazy.gather([]).batch_size == 0
    assert rows(DataLoader(Subset(lazy, [4, 2]), 2)) == [[5, 4]]


def test_a_lazy_dataset_tokenizes_what_a_batch_needs(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    encode = tokenizer.encode_flat

    def spy(texts: Any, *rest: Any) -> Any:
        asked.append(list(texts))
        return encode(texts, *rest)

    monkeypatch.setattr(tokenizer, "encode_flat", spy)
    lazy = LazyTextDataset(TEXTS, tokenizer)
    assert asked == []
    lazy.gather([3, 0])
    assert asked == [[TEXTS[3], TEXTS[0]]]


def test_a_dataset_says_whether_its_batches_are_worth_making_ahead(tokenizer: Tokenizer) -> None:
    lazy, ready = LazyTextDataset(["a", "b"], tokenizer), TextDataset([[1], [2]])
    assert prefetch_of(lazy) == prefetch_of(Subset(Subset(lazy, [1, 0]), [0])) == lazy.prefetch > 0
    assert prefetch_of(ready) == prefetch_of(Subset(ready, [0])) == prefetch_of([1, 2]) == 0


def test_lazy_datasets_are_checked_at_once(tokenizer: Tokenizer) -> None:
    op = r"\[LazyTextDataset\] "
    with pytest.raises(TypeError, match=op + "texts: expected strings, got 3 \\(int\\) in texts\\[1\\]"):
        LazyTextDataset(["a", 3], tokenizer)  # type: ignore[list-item]
    with pytest.raises(ValueError, match=op + "labels: expected 1, one for each text, got 2"):
        LazyTextDataset(["a"], tokenizer, [0, 1])
    with pytest.raises(ValueError, match=op + "pairs: expected 1, one for each text, got 0"):
        LazyTextDataset(["a"], tokenizer, pairs=[])
    with pytest.raises(ValueError, match=op + "max_length: expected at least 3, got 2"):
        LazyTextDataset(["a"], tokenizer, max_length=2)
    with pytest.raises(ValueError, match=op + "max_length: expected at least 5, got 4"):
        LazyTextDataset(["a"], tokenizer, pairs=["b"], max_length=4)
    with pytest.raises(TypeError, match=op + "max_length: expected an integer"):
        LazyTextDataset(["a"], tokenizer, max_length=4.5)  # type: ignore[arg-type]
    lazy = LazyTextDataset(["a"], tokenizer)
    for index in (1, -2):
        with pytest.raises(IndexError, match=op + r"index: expected a value in \[-1, 1\)"):
            lazy[index]
    with pytest.raises(IndexError, match=r"gather\] indices: expected values in \[0, 1\), got 1"):
        lazy.gather([1])
    for options in ({"max_tokens": 5}, {"bucket_by_length": True}):
        with pytest.raises(ValueError, match="expected a dataset with lengths"):
            DataLoader(lazy, **options)
    assert repr(lazy) == "LazyTextDataset(1 text)"


# --- from_texts in chunks ---


def test_chunks_give_the_same_dataset_and_tell_how_far_they_are(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TextDataset.from_texts(TEXTS * 3, tokenizer, list(range(15)), 6, PAIRS * 3)
    monkeypatch.setattr("engine.text.tokenizer._CHUNK_TEXTS", 4)
    told: list[tuple[int, int]] = []
    chunked = TextDataset.from_texts(
        iter(TEXTS * 3), tokenizer, list(range(15)), 6, iter(PAIRS * 3), progress=lambda *done: told.append(done)
    )
    assert told == [(4, 15), (8, 15), (12, 15), (15, 15)]
    assert len(chunked) == 15 and repr(chunked) == repr(whole)
    for a, b in zip(map(chunked.__getitem__, range(15)), map(whole.__getitem__, range(15)), strict=True):
        assert a.input_ids.tolist() == b.input_ids.tolist() and a.label == b.label
        assert a.token_type_ids is not None and b.token_type_ids is not None
        assert a.token_type_ids.tolist() == b.token_type_ids.tolist()
    ids, types = tokenizer.encode_pairs(TEXTS, PAIRS, 6)
    assert [item.input_ids.tolist() for item in map(chunked.__getitem__, range(5))] == ids
    kinds = [item.token_type_ids for item in map(chunked.__getitem__, range(5))]
    assert [kind.tolist() for kind in kinds if kind is not None] == types
    with pytest.raises(
        TypeError, match=r"expected strings, got 3 \(int\) in texts\[9\]"
    ):  # of all texts, not of its chunk
        TextDataset.from_texts([*["a"] * 9, 3], tokenizer)  # type: ignore[list-item]
    empty = TextDataset.from_texts([], tokenizer, [], progress=lambda *done: told.append(done))
    assert len(empty) == 0 and len(told) == 4


def test_a_corpus_does_not_hold_the_librarys_objects(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more encodings are alive at once than a chunk has."""
    monkeypatch.setattr("engine.text.tokenizer._CHUNK_TEXTS", 16)
    sizes: list[int] = []
    encode = tokenizer._encodings

    def spy(first: list[str], *rest: Any, **options: Any) -> Any:
        sizes.append(len(first))
        return encode(first, *rest, **options)

    monkeypatch.setattr(tokenizer, "_encodings", spy)
    data = TextDataset.from_texts(TEXTS * 20, tokenizer)
    assert sizes == [16] * 6 + [4] and len(data) == 100
    assert data.nbytes == data.total_tokens * 4 + 101 * 8


def test_long_texts_come_in_smaller_chunks(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.text.tokenizer._CHUNK_CHARACTERS", 20)
    monkeypatch.setattr("engine.text.tokenizer._CHUNK_TEXTS", 3)
    told: list[int] = []
    texts = ["my " * 30, "a", "card " * 3, "a" * 5, "", "", "", "", "why " * 9]
    flat, lengths, _ = tokenizer.encode_flat(texts, progress=lambda done, total: told.append(done))
    assert told == [1, 3, 6, 8, 9]
    assert flat.tolist() == [number for ids in tokenizer.encode_batch(texts) for number in ids]
    assert lengths.tolist() == [32, 3, 5, 3, 2, 2, 2, 2, 11]
