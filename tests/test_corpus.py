"""Raw text files as batches: what a document is, packing, parts, orders, resuming to the same batches, damaged files."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("tokenizers")

import itertools

from engine.text import TextCorpus, Tokenizer, read_documents, read_texts

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "猫", "坐", "在", "垫", "子", "上", "straße"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([" ".join(WORDS)] * 3, vocab_size=120, min_frequency=1)


def write(path, text):
    path.write_bytes(text.encode())
    return path


def sentences(n, seed=0):
    """Texts of 1 to 12 words, each different by its number of marks at the end."""
    rng = np.random.default_rng(seed)
    return [" ".join([*rng.choice(WORDS, rng.integers(1, 12)), *["mat"] * (i % 7)]) for i in range(n)]


def ids(batch):
    starts = batch.cu_seqlens.tolist()
    flat = batch.input_ids.tolist()
    return [flat[a:b] for a, b in itertools.pairwise(starts)]


def sequences(corpus):
    return [sequence for batch in corpus for sequence in ids(batch)]


def documents(path, *args, **kwargs):
    return [text for text, _, _ in read_documents(path, *args, **kwargs)]


# --- documents -------------------------------------------------------------------------------------------------------


def test_blocks_lines_and_files(tmp_path):
    path = write(tmp_path / "a.txt", "one\ntwo\n\n \nthree\r\nfour\r\n\r\nfünf 猫")
    words = lambda texts: [text.split() for text in texts if text.strip()]  # noqa: E731
    assert words(documents(path)) == [["one", "two"], ["three", "four"], ["fünf", "猫"]]
    assert words(documents(path, "line")) == [["one"], ["two"], ["three"], ["four"], ["fünf", "猫"]]
    assert words(documents(path, "file")) == [["one", "two", "three", "four", "fünf", "猫"]]
    assert documents(write(tmp_path / "empty.txt", "")) == []


def test_json_lines_and_gzip(tmp_path):
    rows = [{"text": "a\n\nb", "x": 1}, {"text": "猫"}]
    text = "\n".join(map(json.dumps, rows)) + "\n\n"
    plain = write(tmp_path / "a.jsonl", text)
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert documents(plain) == documents(packed) == ["a\n\nb", "猫"]
    assert documents(write(tmp_path / "b.ndjson", '{"body": "x"}'), text_key="body") == ["x"]


def test_a_document_goes_on_behind_the_place_of_another(tmp_path):
    path = write(tmp_path / "a.txt", "\ufeffone\ntwo\n\nthree\nfour\n\nfive")
    whole = list(read_documents(path))
    assert whole[0].text == "one\ntwo\n\n"  # without the byte-order mark
    for i, document in enumerate(whole):
        rest = list(read_documents(path, offset=document.offset, line=document.line))
        assert rest == whole[i + 1 :]
    assert whole[-1].offset == path.stat().st_size and whole[-1].line == 7


def test_a_document_without_end_is_cut_at_a_line(tmp_path):
    line = "x" * 999 + "\n"
    texts = documents(write(tmp_path / "a.txt", line * 3000), "file")
    assert len(texts) == 3 and "".join(texts) == line * 3000 and all(text.endswith("\n") for text in texts)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.txt", b"fine\nb\xffd\n", "UTF-8 in line 2 of .*a.txt, got byte 0xff"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a JSON object in line 2 of .*, got invalid JSON"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', "a JSON object in line 2 of .*, got an array"),
        ("a.jsonl", b'{"body": "a"}\n', "the key 'text' in line 1 of .*, got 'body'"),
        ("a.jsonl", b'{"text": 3}\n', "a string at 'text' in line 1 of .*, got a number"),
        ("a.txt.gz", gzip.compress(b"abc\n" * 1000)[:-9], "a whole gzip file, got .*a.txt.gz"),
        ("a.txt.gz", gzip.compress(bytes(range(256)) * 9)[:20] + b"x" * 99, "a whole gzip file, got"),
        ("a.txt.gz", b"no gzip", "a whole gzip file, got .*a.txt.gz"),
    ],
)
def test_damaged_files_name_the_file_and_the_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        documents(tmp_path / name)


def test_bytes_that_are_no_text_may_be_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"b\xffd\n")
    assert documents(tmp_path / "a.txt", errors="replace") == ["b\ufffdd\n"]


# --- packing ---------------------------------------------------------------------------------------------------------


def test_full_sequences_hold_the_documents_back_to_back(tmp_path, tokenizer):
    texts = sentences(50)
    path = write(tmp_path / "a.txt", "\n".join(texts))
    corpus = TextCorpus([path], tokenizer, 16, document="line", shuffle=False, batch_size=4)
    found = sequences(corpus)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    expected, open_ = [], []
    for text in texts:
        tokens = tokenizer.encode(text)[1:-1]
        if open_:  # a separator needs something behind it
            open_ = [*open_, sep] if len(open_) + 1 < 14 else expected.append(open_) or []
        for token in tokens:
            open_.append(token)
            if len(open_) == 14:
                expected.append(open_)
                open_ = []
    expected = [[cls, *inner, sep] for inner in (*expected, open_)]
    assert found == expected
    assert {len(sequence) for sequence in found[:-1]} == {15, 16}
    assert [t for s in found for t in s if t > 4] == [t for x in texts for t in tokenizer.encode(x) if t > 4]


def test_a_sequence_a_document(tmp_path, tokenizer):
    texts = [*sentences(20), "", " ".join(["mat"] * 40)]
    path = write(tmp_path / "a.txt", "\n".join(texts))
    corpus = TextCorpus([path], tokenizer, 16, packing="document", document="line", shuffle=False, batch_size=3)
    expected = []
    for text in texts:
        inner = tokenizer.encode(text)[1:-1]
        expected += [[2, *inner[i : i + 14], 3] for i in range(0, len(inner), 14)]
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id) == (2, 3)
    batches = list(corpus)
    assert [s for batch in batches for s in ids(batch)] == expected
    assert all(batch.batch_size == 3 for batch in batches[:-1]) and batches[0].labels is None


def test_budgets_of_tokens(tmp_path, tokenizer):
    path = write(tmp_path / "a.txt", "\n".join(sentences(80)))
    batches = list(TextCorpus([path], tokenizer, 20, packing="document", document="line", max_tokens=50))
    assert max(batch.total_tokens for batch in batches) <= 50
    for batch, after in itertools.pairwise(batches):
        assert batch.total_tokens + len(ids(after)[0]) > 50  # no batch ends before it must
    both = list(TextCorpus([path], tokenizer, 20, document="line", max_tokens=50, batch_size=2))
    assert {batch.batch_size for batch in both[:-1]} == {2}


def test_texts_are_cleaned(tmp_path):
    path = write(tmp_path / "a.txt", "the\u200b  cat\x00\nsat\n")
    assert list(read_texts([path])) == ["the cat sat"]


# --- orders and parts ------------------------------------------------------------------------------------------------


def corpus_of(tmp_path, tokenizer, **changes):
    paths = [write(tmp_path / f"{i}.txt", "\n".join(sentences(40, seed=i))) for i in range(3)]
    options = {"document": "line", "packing": "document", "batch_size": 4, "shuffle_characters": 600, "seed": 1}
    return TextCorpus(paths, tokenizer, 24, **{**options, **changes})


def test_epochs_hold_the_same_texts_in_other_orders(tmp_path, tokenizer):
    corpus = corpus_of(tmp_path, tokenizer)
    epochs = [[tuple(s) for s in sequences(corpus)] for _ in range(3)]
    assert len({Counter(epoch) == Counter(epochs[0]) for epoch in epochs} | {True}) == 1
    assert len({tuple(epoch) for epoch in epochs}) == 3 and corpus.epoch == 3
    again = corpus_of(tmp_path, tokenizer, prefetch=0)
    assert [[tuple(s) for s in sequences(again)] for _ in range(3)] == epochs
    again.set_epoch(1)
    assert [tuple(s) for s in sequences(again)] == epochs[1]
    other = [tuple(s) for s in sequences(corpus_of(tmp_path, tokenizer, seed=2))]
    assert other != epochs[0] and Counter(other) == Counter(epochs[0])


def test_no_more_than_a_stretch_is_held(tmp_path, tokenizer, monkeypatch):
    corpus = corpus_of(tmp_path, tokenizer, prefetch=0)
    held = []
    sequences_of = corpus._sequences
    monkeypatch.setattr(corpus, "_sequences", lambda texts: held.append(sum(map(len, texts))) or sequences_of(texts))
    list(corpus)
    assert len(held) > 3 and max(held) < 600 + 100


def test_parts_share_no_text(tmp_path):
    path = write(tmp_path / "a.txt", "\n".join(sentences(300) * 2))
    parts = [list(read_texts([path], "line", part=part)) for part in ((0, 0.8), (0.8, 1), (0, 1))]
    assert not set(parts[0]) & set(parts[1])
    assert Counter(parts[0]) + Counter(parts[1]) == Counter(parts[2])
    assert 0.1 < len(set(parts[1])) / len(set(parts[2])) < 0.3


# --- resuming --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["full", "document"])
@pytest.mark.parametrize("prefetch", [0, 3])
def test_resuming_gives_the_batches_that_were_left(tmp_path, tokenizer, packing, prefetch):
    options = {"packing": packing, "prefetch": prefetch}
    corpus = corpus_of(tmp_path, tokenizer, **options)
    whole = [[ids(batch) for batch in corpus] for _ in range(2)]
    n = len(whole[0])
    assert n > 15
    for done in (1, 7, n - 1, n):
        first = corpus_of(tmp_path, tokenizer, **options)
        for count, _ in enumerate(first, start=1):
            if count == done:
                break
        state = json.loads(json.dumps(first.state_dict()))
        second = corpus_of(tmp_path, tokenizer, **options)
        second.load_state_dict(state)
        second.set_epoch(0)  # the same: keeps the place
        assert [ids(batch) for batch in second] == whole[0][done:]
        assert [ids(batch) for batch in second] == whole[1]


def test_states_of_other_corpora_are_refused(tmp_path, tokenizer):
    state = corpus_of(tmp_path, tokenizer).state_dict()
    with pytest.raises(ValueError, match="seed: expected 5 as in this TextCorpus, got 1 in the state"):
        corpus_of(tmp_path, tokenizer, seed=5).load_state_dict(state)
    with pytest.raises(ValueError, match="expected the state of a TextCorpus"):
        corpus_of(tmp_path, tokenizer).load_state_dict({"epoch": 0})


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"packing": "half"}, ValueError, "packing: expected 'full' or 'document', got 'half'"),
        ({"document": "page"}, ValueError, "document: expected"),
        ({"errors": "ignore"}, ValueError, "errors: expected"),
        ({"max_length": 2}, ValueError, "max_length: expected at least 3, got 2"),
        ({"max_length": "8"}, TypeError, "max_length"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, got 0"),
        ({"max_tokens": 100}, ValueError, r"max_tokens: expected at least max_length \(128\), got 100"),
        ({"part": (0.5, 0.5)}, ValueError, "part: expected two numbers"),
        ({"seed": -1}, ValueError, "seed"),
        ({"prefetch": -1}, ValueError, "prefetch"),
    ],
)
def test_settings_out_of_range(tmp_path, tokenizer, options, error, message):
    path = write(tmp_path / "a.txt", "a\n")
    with pytest.raises(error, match=message):
        TextCorpus([path], tokenizer, **options)


def test_paths_that_are_none(tmp_path, tokenizer):
    with pytest.raises(TypeError, match="expected a list of files, got one str"):
        TextCorpus("a.txt", tokenizer)
    with pytest.raises(ValueError, match="at least one file"):
        TextCorpus([], tokenizer)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        TextCorpus([tmp_path / "nowhere"], tokenizer)
    with pytest.raises(IsADirectoryError, match="got the folder"):
        TextCorpus([tmp_path], tokenizer)
    blank = write(tmp_path / "blank.txt", "\n \n\u200b\n")
    with pytest.raises(ValueError, match=r"expected at least one text, got none in .*blank\.txt"):
        list(TextCorpus([blank], tokenizer))


def test_an_error_in_the_thread_reaches_the_loop(tmp_path, tokenizer):
    path = tmp_path / "a.txt"
    path.write_bytes(b"the cat\n" * 5000 + b"\xff\n")
    with pytest.raises(ValueError, match="line 5001 of"):
        list(TextCorpus([path], tokenizer, document="line", shuffle_characters=1000))


@pytest.mark.parametrize("length", [3, 4, 5])
def test_the_shortest_sequences(tmp_path, tokenizer, length):
    path = write(tmp_path / "a.txt", "cat\nthe mat sat\non a\n")
    for packing in ("full", "document"):
        found = sequences(TextCorpus([path], tokenizer, length, packing=packing, document="line", shuffle=False))
        assert [t for s in found for t in s if t > 4] == tokenizer.encode("cat the mat sat on a")[1:-1]
        assert all(s[0] == 2 and s[-1] == 3 and 3 <= len(s) <= length and s[-2] != 3 for s in found)


def test_special_ids(tmp_path, tokenizer):
    corpus = TextCorpus([write(tmp_path / "a.txt", "a")], tokenizer)
    assert corpus.special_ids == (0, 1, 2, 3, 4)
