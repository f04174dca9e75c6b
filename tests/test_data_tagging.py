"""Tagged sentences: files, tokens and back to words; labels a token in datasets and packed batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import Tensor
from engine.data import DataLoader, Subset, default_collate
from engine.data._arrays import from_numpy
from engine.nn import functional as F
from engine.text import (
    Labels,
    PackedBatch,
    TagDataset,
    TaggedTable,
    TextDataset,
    TextItem,
    Tokenizer,
    read_tagged,
    tag_dataset,
)

SNIPS = Path(__file__).parent.parent / "examples" / "snips"


def labels_of(batch: PackedBatch) -> list[int]:
    assert batch.labels is not None and batch.labels.dtype is engine.int64
    values: list[int] = batch.labels.numpy().tolist()
    return values


# --- labels a token ---


def test_labels_a_token_in_datasets_and_batches() -> None:
    tags = [[-100, 3, -100], [], [7], [1, 2]]
    data = TextDataset([[2, 5, 3], [], [6], [8, 9]], token_labels=tags)
    assert [
        item.token_labels.tolist() for item in map(data.__getitem__, range(4)) if item.token_labels is not None
    ] == tags
    assert data[0].label is None and data.labels is None
    assert data.token_labels is not None and data.token_labels.tolist() == [-100, 3, -100, 7, 1, 2]
    assert "token labels" in repr(data) and data.nbytes == 6 * 4 + 5 * 8 + 6 * 4
    batch = data.gather([3, 1, 0])
    assert labels_of(batch) == [1, 2, -100, 3, -100] and batch.batch_size == 3
    assert labels_of(default_collate([data[3], data[1], data[0]])) == labels_of(batch)
    assert labels_of(data.gather([])) == []
    assert [labels_of(batch) for batch in DataLoader(Subset(data, [2, 0]), 1)] == [[7], [-100, 3, -100]]
    with pytest.raises(ValueError, match="token_labels: expected one in every item or in none, got 1 without"):
        default_collate([data[0], TextItem(np.array([1]))])


def test_labels_a_token_from_sequences() -> None:
    batch = PackedBatch.from_sequences([[1, 2], [3]], token_labels=[[0, -100], np.array([5], np.int8)])
    assert labels_of(batch) == [0, -100, 5]
    wide = TextDataset([[1]], token_labels=[[-(2**31) - 1]])
    assert labels_of(wide.gather([0])) == [-(2**31) - 1]


@pytest.mark.parametrize("make", [TextDataset, PackedBatch.from_sequences])
def test_wrong_labels_a_token(make: Any) -> None:
    with pytest.raises(ValueError, match=r"token_labels: expected only one of labels and token_labels, got both"):
        make([[1]], labels=[0], token_labels=[[0]])
    with pytest.raises(ValueError, match=r"token_labels: expected length 2 in row 1, as in \w+, got 1"):
        make([[1], [1, 2]], token_labels=[[0], [0]])
    with pytest.raises(ValueError, match=r"2 sequences, as many as .*, got 1"):
        make([[1], [1, 2]], token_labels=[[0]])
    with pytest.raises(TypeError, match=r"token_labels: expected integers in row 0, got float64"):
        make([[1]], token_labels=[[0.5]])
    with pytest.raises(TypeError, match=r"token_labels: expected integers in row 0"):
        make([[1]], token_labels=[["B-x"]])


def packed(labels: np.ndarray) -> PackedBatch:
    return PackedBatch.from_flat(np.array([1, 2, 3]), np.array([2, 1]), labels=from_numpy(labels))


def test_a_batch_checks_labels_of_either_kind() -> None:
    assert labels_of(packed(np.array([1, 2]))) == [1, 2]
    assert labels_of(packed(np.array([1, -100, 2]))) == [1, -100, 2]
    assert packed(np.zeros((2, 3), np.float32)).labels is not None
    for labels in (
        np.zeros(4, np.int64),
        np.zeros((3, 1), np.int64),
        np.zeros(1, np.int64),
        np.zeros((1, 2), np.int64),
    ):
        with pytest.raises(
            ValueError, match=r"labels: expected 2 rows, one for each sequence, or shape \(3,\), one for each token"
        ):
            packed(labels)
    for dtype in ("float32", "int32"):
        with pytest.raises(TypeError, match=f"labels: expected int64, one for each token, got {dtype}"):
            packed(np.zeros(3, dtype))
    with pytest.raises(ValueError, match="expected 2 rows"):
        packed(np.array(3))


def test_labels_a_token_from_a_rectangle() -> None:
    ids, mask = np.array([[5, 6, 0], [0, 7, 8]]), np.array([[1, 1, 0], [0, 1, 1]])
    tags = np.array([[1, -100, -100], [9, 2, 3]], np.int32)
    batch = PackedBatch.from_padded(ids, mask, token_labels=tags, token_type_ids=from_numpy(ids + 1))
    assert labels_of(batch) == [1, -100, 2, 3] and batch.input_ids.numpy().tolist() == [5, 6, 7, 8]
    assert batch.token_type_ids is not None and batch.token_type_ids.numpy().tolist() == [6, 7, 8, 9]
    assert labels_of(PackedBatch.from_padded(ids, mask, token_labels=from_numpy(tags))) == labels_of(batch)
    with pytest.raises(ValueError, match=r"token_labels: expected shape \(2, 3\), got \(2, 2\)"):
        PackedBatch.from_padded(ids, mask, token_labels=tags[:, 1:])
    with pytest.raises(ValueError, match="token_labels: expected only one of labels and token_labels, got both"):
        PackedBatch.from_padded(ids, mask, labels=[0, 1], token_labels=tags)
    with pytest.raises(TypeError, match="token_labels: expected integers, got float64"):
        PackedBatch.from_padded(ids, mask, token_labels=tags * 1.0)


def test_cross_entropy_leaves_out_what_has_no_tag() -> None:
    batch = PackedBatch.from_sequences([[1, 2], [3]], token_labels=[[-100, 1], [0]])
    logits = np.array([[9.0, -9.0], [0.5, 1.5], [2.0, -1.0]], np.float32)
    assert batch.labels is not None
    loss = F.cross_entropy(from_numpy(logits), batch.labels).item()
    rows = logits[1:].astype(np.float64)
    expected = np.mean(np.log(np.exp(rows).sum(1)) - rows[[0, 1], [1, 0]])
    assert loss == pytest.approx(expected, rel=1e-6)


# --- tables ---


def table(n: int = 4) -> TaggedTable:
    words = [[f"w{i}"] * (i + 1) for i in range(n)]
    tags = [[f"B-{i}"] * (i + 1) for i in range(n)]
    return TaggedTable(words, tags, [f"intent{i}" for i in range(n)], "some.conll", list(range(10, 10 + n)))


def test_a_table_is_cut_and_asked() -> None:
    whole = table()
    assert len(whole) == 4 and whole[1] == (["w1", "w1"], ["B-1", "B-1"])
    part = whole.select([2, 0])
    assert (part.labels, part.lines, part.tags) == (["intent2", "intent0"], [12, 10], [["B-2"] * 3, ["B-0"]])
    assert whole[1:3].lines == [11, 12] and [tags for _, tags in whole[:2]] == [["B-0"], ["B-1", "B-1"]]
    assert part.where(0) == "line 12 of some.conll" and TaggedTable([["a"]]).where(0) == "row 0"
    assert whole.tag_labels().names == ("B-0", "B-1", "B-2", "B-3")
    assert repr(whole) == "TaggedTable(4 sentences, 10 words, 4 tags, source='some.conll')"
    assert TaggedTable([["a"]])[0] == (["a"], None) and len(TaggedTable([])) == 0
    for rows, error in (([4], IndexError), ([-1], IndexError), ([0.5], TypeError)):
        with pytest.raises(error, match=r"\[TaggedTable.select\] rows"):
            whole.select(rows)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a table with tags"):
        TaggedTable([["a"]]).tag_labels()


def test_a_split_is_random_and_repeats() -> None:
    whole = table(40)
    rest, held_out = whole.split(0.25, seed=3)
    assert (len(rest), len(held_out)) == (30, 10)
    assert rest.lines is not None and held_out.lines is not None
    assert sorted(rest.lines + held_out.lines) == whole.lines and rest.lines == sorted(rest.lines)
    assert whole.split(0.25, seed=3)[1].lines == held_out.lines != whole.split(0.25, seed=4)[1].lines
    for fraction in (0.0, 1.0, 0.001, -1):
        with pytest.raises(ValueError, match="fraction: expected"):
            whole.split(fraction)


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="tags: expected 2 entries, one for each row, got 1"):
        TaggedTable([["a"], ["b"]], [["O"]])
    with pytest.raises(ValueError, match="tags: expected 2, one for each word, got 1 in line 7 of f"):
        TaggedTable([["a", "b"]], [["O"]], source="f", lines=[7])
    with pytest.raises(ValueError, match="lines: expected 1 entry"):
        TaggedTable([["a"]], lines=[])
    with pytest.raises(TypeError, match="words: expected lists of strings, got one string in row 0"):
        TaggedTable(["a b"])  # type: ignore[list-item]


# --- files ---


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_conll_columns(tmp_path: Path, end: str) -> None:
    text = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\n \nPeter NNP B-NP B-PER\n-DOCSTART- -X- O O\n# X Y O"
    read = read_tagged(written(tmp_path, "train.txt", "\ufeff" + text.replace("\n", end)))
    assert read.words == [["EU", "rejects"], ["Peter"], ["#"]]
    assert read.tags == [["B-ORG", "O"], ["B-PER"], ["O"]]
    assert read.lines == [3, 8, 10] and read.source == str(tmp_path / "train.txt") and read.labels is None


def test_conll_with_tabs_and_odd_words(tmp_path: Path) -> None:
    read = read_tagged(written(tmp_path, "a.conll", "New York\tB-城市\n我\tO\n\na\u00a0b\tO\n\u2028\tO\n"))
    assert read.words == [["New York", "我"], ["a\u00a0b", "\u2028"]]
    assert read.tags == [["B-城市", "O"], ["O", "O"]]
    spaced = read_tagged(written(tmp_path, "b.conll", "a\u00a0b  O\n\u3000 B-x\n"))
    assert spaced.words == [["a\u00a0b", "\u3000"]] and spaced.tags == [["O", "B-x"]]


def test_conll_of_words_alone_has_no_tags(tmp_path: Path) -> None:
    read = read_tagged(written(tmp_path, "a.conll", "a\nb\n\nc\n"))
    assert read.words == [["a", "b"], ["c"]] and read.tags is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a O\nb\n", "expected 2 columns in line 2 of .*a.conll, got 1"),
        (b"a\n\nb O\n", "expected 1 column in line 3 of .*a.conll, got 2"),
        (b"a\tO\n\tO\n", "expected a word and a tag in line 2 of .*, got an empty field"),
        (b"a\tO\nb\t\n", "expected a word and a tag in line 2 of .*, got an empty field"),
        (b"a O\n\xff O\n", "expected UTF-8 in line 2 of .*, got byte 0xff"),
        (b"", "expected at least one sentence, got none in .*a.conll"),
        (b"\n-DOCSTART- O\n\n", "expected at least one sentence"),
    ],
)
def test_wrong_conll(tmp_path: Path, text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r"\[read_tagged\] path: " + message):
        read_tagged(written(tmp_path, "a.conll", text))


def test_json_lines(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"tokens": ["a", "我"], "tags": ["O", "B-x"]}, {"words": ["b"], "labels": ["I-x"]}]
    text = "\n\n".join(json.dumps(row) for row in rows)
    read = read_tagged(written(tmp_path, "a.jsonl", text))
    assert read == TaggedTable([["a", "我"], ["b"]], [["O", "B-x"], ["I-x"]], None, str(tmp_path / "a.jsonl"), [1, 3])
    text = '{"tokens": ["a"], "label": "greet"}\n{"tokens": [], "intent": "nothing"}'
    read = read_tagged(written(tmp_path, "b.txt", text), format="jsonl")
    assert (read.words, read.tags, read.labels) == ([["a"], []], None, ["greet", "nothing"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "expected a JSON object in line 2 of .*, got invalid JSON"),
        ("[1]", "expected a JSON object in line 2 of .*, got an array"),
        ("{}", "expected the key 'tokens' or 'words' in line 2 of .*, got no keys"),
        ('{"tokens": "a b", "tags": ["O"]}', "expected a list of strings at 'tokens' in line 2"),
        ('{"tokens": ["a"], "tags": [3]}', "expected a list of strings at 'tags' in line 2"),
        ('{"tokens": ["a"], "tags": [""]}', "expected tags at 'tags' in line 2 .* got an empty string"),
        ('{"tokens": ["a", "b"], "tags": ["O"]}', "expected 2 tags, one for each word in line 2 of .*, got 1"),
        ('{"tokens": ["a"]}', "expected tags in all sentences or in none in line 2 of .*, got none"),
        (
            '{"tokens": ["a"], "tags": ["O"], "label": "x"}',
            "expected a label in all sentences or in none in line 2 of .*, got .x.",
        ),
        ('{"tokens": ["a"], "tags": ["O"], "label": 3}', "expected a string at 'label' or 'intent' in line 2"),
    ],
)
def test_wrong_json_lines(tmp_path: Path, row: str, message: str) -> None:
    path = written(tmp_path, "a.jsonl", '{"tokens": ["a"], "tags": ["O"]}\n' + row + "\n")
    with pytest.raises(ValueError, match=r"\[read_tagged\] path: " + message):
        read_tagged(path)


def folder(root: Path, words: str, tags: str | None = None, labels: str | None = None) -> Path:
    written(root, "data/seq.in", words)
    for name, text in (("seq.out", tags), ("label", labels)):
        if text is not None:
            written(root, f"data/{name}", text)
    return root / "data"


def test_a_folder_of_lines(tmp_path: Path) -> None:
    path = folder(tmp_path, "play  x \nrate this\u00a0book\n\n", "O B-song\nO O\n", "PlayMusic\nRateBook\n")
    read = read_tagged(path)
    assert read.words == [["play", "x"], ["rate", "this\u00a0book"]] and read.tags == [["O", "B-song"], ["O", "O"]]
    assert (read.labels, read.lines, read.source) == (["PlayMusic", "RateBook"], [1, 2], str(path))
    (path / "seq.out").unlink()
    (path / "label").unlink()
    assert read_tagged(path).tags is None and read_tagged(path, "folder").labels is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("a b\nc\n", "O O\n"), r"expected 2 lines in .*seq\.out, as in seq\.in, got 1"),
        (("a b\nc\n", "O\nO\n"), r"expected 2 tags, one for each word in line 1 of .*seq\.out, got 1"),
        (("a\n\nb\n", "O\n\nO\n"), r"expected words in line 2 of .*seq\.in, got none"),
        (("a\nb\n", "O\nO\n", "x\n"), r"expected 2 lines in .*label, as in seq\.in, got 1"),
        (("a\nb\n", "O\nO\n", "\nx\n"), r"expected a label in line 1 of .*label, got an empty label"),
        (("",), "expected at least one sentence"),
    ],
)
def test_wrong_folders(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=r"\[read_tagged\] path: " + message):
        read_tagged(folder(tmp_path, *files))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected an existing file, got .*none\.conll"):
        read_tagged(tmp_path / "none.conll")
    with pytest.raises(FileNotFoundError, match=r"expected a folder with the file seq\.in"):
        read_tagged(tmp_path)
    with pytest.raises(ValueError, match=r"format: expected 'conll', 'jsonl', 'folder', .* got 'xml'"):
        read_tagged(tmp_path, "xml")  # type: ignore[arg-type]


def test_a_table_with_a_sentence_a_line(tmp_path: Path) -> None:
    text = "\ufefftext\tintent\ttags\nplay  我\tPlayMusic\tO B-歌\n\n# \tX\tO\n"
    read = read_tagged(written(tmp_path, "train.tsv", text))
    assert read.words == [["play", "我"], ["#"]] and read.tags == [["O", "B-歌"], ["O"]]
    assert (read.labels, read.lines) == (["PlayMusic", "X"], [2, 4])
    alone = written(tmp_path, "alone.tsv", "n\tsentence\n1\tplay it\n")
    assert read_tagged(alone, "tsv").words == [["play", "it"]] and read_tagged(alone, "tsv").tags is None
    columns = written(tmp_path, "columns.tsv", "text\tO\ntags\tB-x\n")  # not a header: words and their tags
    assert read_tagged(columns).words == [["text", "tags"]]
    both = written(tmp_path, "both.tsv", "text\ttags\n")
    assert read_tagged(both, "conll").words == [["text"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text\ttags\n", "expected at least one sentence, got none in"),
        ("text\ttags\na b\tO\n", "expected 2 tags, one for each word in line 2 of .*a.tsv, got 1"),
        ("text\ttags\na\n", "expected 2 columns in line 2 of .*, got 1"),
        ("text\ttags\n\tO\n", "expected words in line 2 of .*, got none"),
        ("text\ttags\tlabel\na\tO\t \n", "expected a label in line 2 of .*, got an empty label"),
        ("a\ttags\nb\tO\n", "expected a header with 'text' or .* in line 1 of .*, got 'a', 'tags'"),
        ("", "expected at least one sentence, got none in .*"),
    ],
)
def test_wrong_tables_of_sentences(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"\[read_tagged\] path: " + message):
        read_tagged(written(tmp_path, "a.tsv", text), "tsv")


@pytest.mark.parametrize(("part", "sentences"), [("train", 13_084), ("valid", 700), ("test", 700)])
def test_snips_is_read_whole(part: str, sentences: int) -> None:
    read = read_tagged(SNIPS / f"{part}.tsv")
    assert len(read) == sentences and read.labels is not None and len(set(read.labels)) == 7
    assert len(read.tag_labels()) == (72 if part == "train" else 70)


# --- tokens and back ---


def tokenizer(folder: Path) -> Tokenizer:
    pytest.importorskip("tokenizers")
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##s", "york", "new", "-", "我", "们"]
    return Tokenizer.from_vocab(written(folder, "vocab.txt", "\n".join(vocab)))


def test_the_first_token_of_a_word_has_its_tag(tmp_path: Path) -> None:
    sentences = TaggedTable(
        [["Playing", "new-york", "", "我们"], [], ["plays"]],
        [["B-a", "B-b", "O", "I-b"], [], ["O"]],
    )
    labels = Labels(["O", "B-a", "B-b", "I-b"])
    data = tag_dataset(sentences, tokenizer(tmp_path), labels)
    assert isinstance(data, TagDataset)
    # [CLS] play ##ing new - york 我 们 [SEP] | [CLS] [SEP] | [CLS] play ##s [SEP]
    assert data[0].input_ids.tolist() == [2, 4, 5, 8, 9, 7, 10, 11, 3]
    assert data[0].token_labels is not None
    assert data[0].token_labels.tolist() == [-100, 1, -100, 2, -100, -100, 3, -100, -100]
    assert data.word_ids.tolist() == [-1, 0, 0, 1, 1, 1, 3, 3, -1, -1, -1, -1, 0, 0, -1]
    assert data.num_words.tolist() == [4, 0, 1]
    assert np.flatnonzero(data.first_tokens).tolist() == [1, 3, 6, 12]
    assert data.token_labels is not None
    np.testing.assert_array_equal(data.token_labels >= 0, data.first_tokens)
    assert labels_of(data.gather([2, 0]))[:4] == [-100, 0, -100, -100]


def test_predictions_come_back_to_the_words(tmp_path: Path) -> None:
    labels = Labels(["O", "B-a", "I-a"])
    sentences = TaggedTable([["playing", "new-york", "", "我们"], [], ["plays"]])
    data = tag_dataset(sentences, tokenizer(tmp_path), labels)
    assert data.token_labels is None and data.gather([0]).labels is None
    numbers = np.zeros(data.total_tokens, np.int64)
    numbers[[1, 3, 6, 12]] = [1, 2, 1, 2]
    numbers[[0, 2, 4, 8]] = 2  # at other tokens: of no account
    expected = [["B-a", "I-a", None, "B-a"], [], ["I-a"]]  # the tokenizer has no token for the empty word
    assert data.word_tags(numbers, labels) == expected
    assert data.word_tags(from_numpy(numbers), labels) == expected
    assert data.word_tags(numbers.tolist(), labels, outside="X")[0] == ["B-a", "I-a", "X", "B-a"]
    assert data.word_tags(numbers[11:], labels, indices=[2]) == expected[2:]
    swapped = np.concatenate([numbers[11:], numbers[:9]])
    assert data.word_tags(swapped, labels, indices=[2, 0]) == [expected[2], expected[0]]
    assert data.word_tags([], labels, indices=[]) == []
    with pytest.raises(ValueError, match=r"predictions: expected shape \(15,\), one for each token, got \(14,\)"):
        data.word_tags(numbers[1:], labels)
    with pytest.raises(TypeError, match="predictions: expected integers, got float64"):
        data.word_tags(np.zeros(15), labels)
    with pytest.raises(IndexError, match=r"expected values in \[0, 3\), got 3"):
        data.word_tags(np.full(15, 3), labels)


@pytest.mark.parametrize("length", range(3, 12))
def test_words_that_are_cut_off_have_no_tag(tmp_path: Path, length: int) -> None:
    labels = Labels(["O", "B-a"])
    words = ["playing", "new-york", "我们"]
    data = tag_dataset(TaggedTable([words], [["B-a"] * 3]), tokenizer(tmp_path), labels, max_length=length)
    whole = [2, 4, 5, 8, 9, 7, 10, 11, 3]
    assert data[0].input_ids.tolist() == [*whole[:-1][: length - 1], 3]
    kept = sum(place < min(length - 1, 8) for place in (1, 3, 6))
    assert data.word_tags(np.ones(data.total_tokens, np.int64), labels) == [["B-a"] * kept + [None] * (3 - kept)]
    assert data.cut_words().tolist() == [3 - kept]
    assert data.token_labels is not None and (data.token_labels == 1).sum() == kept


def test_unknown_tags_and_wrong_words(tmp_path: Path) -> None:
    labels = Labels(["O"])
    with pytest.raises(
        ValueError, match=r"\[tag_dataset\] labels: expected one of 1 known tags, got 'B-a' in line 9 of f"
    ):
        tag_dataset(TaggedTable([["a"]], [["B-a"]], source="f", lines=[9]), tokenizer(tmp_path), labels)
    with pytest.raises(ValueError, match="max_length: expected at least 3, got 2"):
        tag_dataset(TaggedTable([["a"]]), tokenizer(tmp_path), labels, max_length=2)
    with pytest.raises(TypeError, match=r"sentences\[1\]: expected strings, got 3 \(int\) in sentences\[1\]\[0\]"):
        tokenizer(tmp_path).encode_words([["a"], [3]])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"sentences\[0\]: expected a list of strings, got one str"):
        tokenizer(tmp_path).encode_words(["a b"])
    with pytest.raises(TypeError, match=r"sentences\[0\]: expected a list of strings, got one string"):
        tokenizer(tmp_path).encode_words("ab")
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        tokenizer(tmp_path).encode_words([["\ud800"]])
    assert tokenizer(tmp_path).encode_words([]) == ([], [])


def test_word_ids_are_checked() -> None:
    def make(word_ids: Any, num_words: Any) -> TagDataset:
        return TagDataset([[1, 2], [3]], word_ids, num_words)

    assert make([[None, 0], [0]], [1, 1]).first_tokens.tolist() == [False, True, True]
    with pytest.raises(ValueError, match="word_ids: expected 2 sequences, as many as sequences, got 1"):
        make([[None, 0]], [1, 1])
    with pytest.raises(ValueError, match="word_ids: expected length 1 in row 1, as in sequences, got 2"):
        make([[None, 0], [0, 0]], [1, 1])
    with pytest.raises(ValueError, match="num_words: expected 2, one for each sentence, got 1"):
        make([[None, 0], [0]], [1])
    with pytest.raises(ValueError, match="word_ids: expected values below 1 in row 1, got 1"):
        make([[None, 0], [1]], [1, 1])


def test_a_tagger_learns_its_tags(tmp_path: Path) -> None:
    """The whole way: table, tokens, a step of training, words."""
    labels = Labels(["O", "B-a"])
    sentences = TaggedTable([["playing", "york"], ["york", "new", "york"]] * 4, [["B-a", "O"], ["O", "O", "O"]] * 4)
    data = tag_dataset(sentences, tokenizer(tmp_path), labels)
    engine.manual_seed(0)
    table = engine.nn.Embedding(12, 2)
    optimizer = engine.optim.Adam(table.parameters(), lr=0.3)
    for _ in range(20):
        for batch in DataLoader(data, 4, prefetch=1):
            assert isinstance(batch.labels, Tensor)
            loss = F.cross_entropy(table(batch.input_ids), batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    numbers = table(data.gather(np.arange(len(data))).input_ids).detach().numpy().argmax(1)
    assert data.word_tags(numbers, labels) == sentences.tags


# --- other files of tags ---


def test_tags_are_cleaned(tmp_path: Path) -> None:
    read = read_tagged(written(tmp_path, "a.conll", "a B-cafe\u0301\n\ufeffb B-caf\u00e9\u200b\n"))
    assert read.tags == [["B-caf\u00e9", "B-caf\u00e9"]] and read.words == [["a", "b"]]


def test_another_column_of_tags(tmp_path: Path) -> None:
    path = written(tmp_path, "a.conll", "a X B-x\nb Y O\n")
    assert read_tagged(path, tag_column="2").tags == [["X", "Y"]]
    for wrong in ("0", "x", "4"):
        with pytest.raises(ValueError, match="tag_column: expected"):
            read_tagged(path, tag_column=wrong)
    rows = '{"tokens": ["a"], "ner_tags": ["O"], "pos_tags": ["NN"]}\n'
    read = read_tagged(written(tmp_path, "a.jsonl", rows))
    assert read.tags == [["O"]] and "are those at 'ner_tags', not at 'pos_tags'" in read.notes[0]
    read = read_tagged(tmp_path / "a.jsonl", tag_column="pos_tags")
    assert read.tags == [["NN"]] and read.notes == ()
    table = written(tmp_path, "a.csv", 'words,kinds\n"a, b",O B-x\n')
    assert read_tagged(table, tag_column="kinds").words == [["a,", "b"]]
    with pytest.raises(ValueError, match=r"a header with .* and 'kind' for tags in line 1"):
        read_tagged(table, tag_column="kind")


def test_universal_dependencies(tmp_path: Path) -> None:
    rest = "\t_" * 6
    text = (
        f"# sent_id = 1\n1-2\tdu\t_\t_{rest}\n1\tde\tde\tADP{rest}\n2\tle\tle\tDET{rest}\n\n# x\n1\t#\t#\tSYM{rest}\n"
    )
    read = read_tagged(written(tmp_path, "a.conllu", text))
    assert read.words == [["de", "le"], ["#"]] and read.tags == [["ADP", "DET"], ["SYM"]] and read.lines == [3, 7]
    assert "UPOS" in read.notes[0]


def test_arrays_and_arrow_files_of_tags(tmp_path: Path) -> None:
    rows = [{"tokens": ["a", "b"], "tags": ["O", "B-x"]}, {"tokens": ["c"], "tags": ["O"]}]
    read = read_tagged(written(tmp_path, "a.json", json.dumps(rows, indent=1)))
    assert read.tags == [["O", "B-x"], ["O"]] and read.lines == [2, 12]
    datasets = pytest.importorskip("datasets")
    tags = datasets.Sequence(datasets.ClassLabel(names=["O", "B-x"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": tags})
    data = datasets.Dataset.from_dict({"tokens": [["a", "b"], ["c"]], "ner_tags": [[0, 1], [0]]}, features=features)
    data.save_to_disk(str(tmp_path / "saved"), num_shards=2)
    data.to_parquet(tmp_path / "a.parquet")
    for path in (tmp_path / "saved", tmp_path / "a.parquet"):
        read = read_tagged(path)
        assert (read.words, read.tags) == ([["a", "b"], ["c"]], [["O", "B-x"], ["O"]])
        assert read.where(0).startswith("row 0 of")


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        ("['fly', 'to']", "['O', 'B-x']"),
        ('["fly", "to"]', '["O", "B-x"]'),
        ("fly to", "['O', 'B-x']"),
        ("['fly', 'to']", "O B-x"),
        ("fly to", "('O', 'B-x')"),
    ],
)
@pytest.mark.parametrize("name", ["tags", "ner_tags"])
def test_lists_in_the_cells_of_tables(tmp_path: Path, words: str, tags: str, name: str) -> None:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    path = tmp_path / "a.csv"
    path.write_text(f"text,{name}\n{cell(words)},{cell(tags)}\n{cell(words)},{cell(tags)}\n")
    table = read_tagged(path)
    assert (table.words, table.tags) == ([["fly", "to"]] * 2, [["O", "B-x"]] * 2)


def test_lists_in_cells_that_are_none_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for second, message in (
        ("['O' 'O']", "a list of tags such as .* in line 3 of .*a.csv"),
        ("[O, O]", "a list of tags such as .* in line 3 of .*a.csv"),
        ("O O", "a list of tags such as .* in line 3 of .*a.csv"),
        ("[0, 1]", "a list of strings as tags in line 3 .*need their names"),
        ("['O']", "2 tags, one for each word in line 3"),
    ):
        path.write_text(f"text,tags\nfly to,\"['O', 'O']\"\nfly to,\"{second}\"\n")
        with pytest.raises(ValueError, match=message):
            read_tagged(path)
    path.write_text("text,tags\n[laughs] yes [sic],O O [O]\n[a],[O]\n")  # brackets that are characters
    table = read_tagged(path)
    assert table.words == [["[laughs]", "yes", "[sic]"], ["[a]"]] and table.tags == [["O", "O", "[O]"], ["[O]"]]
