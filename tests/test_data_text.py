"""Cleaning, duplicate removal, splits, label names."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter

import numpy as np
import pytest

from engine.text import (
    Labels,
    TextTable,
    clean_text,
    parse_numbers,
    remove_duplicates,
    split_labels,
    train_test_split,
)

# --- clean_text ---


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("", ""),
        ("  a \t\r\n b\u3000c\xa0d\u2028e\x1cf ", "a b c d e f"),
        ("a\x00b\x7fc\x85d", "abc d"),
        ("\ufeffso\xadft\u200bware\u2060", "software"),
        ("cafe\u0301", "caf\xe9"),
        ("e\u200b\u0301", "\xe9"),  # what stood between base and accent goes first
        ("我的 卡！", "我的 卡！"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("a\ud800b", "a\ufffdb"),
        ("ﬁ Ａ①", "ﬁ Ａ①"),
    ],
)
def test_clean_text(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


def test_clean_text_forms() -> None:
    assert clean_text("ﬁ Ａ①！", "NFKC") == "fi A1!"
    assert clean_text("é", "NFD") == "e\u0301"
    assert clean_text("e\u0301", None) == "e\u0301"
    assert clean_text(" a\n\tb ", collapse_whitespace=False) == " a\n\tb "
    with pytest.raises(ValueError, match="form"):
        clean_text("a", "NFX")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"\[clean_text\] text: expected a string, got int"):
        clean_text(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["NFC", "NFKC", "NFD", "NFKD"])
def test_clean_text_is_idempotent_and_normal(form: str) -> None:
    rng = random.Random(0)
    ranges = [(0, 0x250), (0x300, 0x370), (0x1E00, 0x2100), (0x2000, 0x2070), (0x3000, 0x3100), (0xAC00, 0xAC80),
              (0xD7F0, 0xD810), (0xFB00, 0xFB10), (0xFE00, 0x10000), (0x1F600, 0x1F610)]  # fmt: skip
    for _ in range(3000):
        text = "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(rng.randrange(12)))
        once = clean_text(text, form)  # type: ignore[arg-type]
        assert clean_text(once, form) == once  # type: ignore[arg-type]
        assert unicodedata.is_normalized(form, once)
        assert once == once.strip() and "  " not in once
        assert all(unicodedata.category(character) not in ("Cc", "Cs") for character in once)


# --- remove_duplicates ---


def test_duplicates_are_compared_after_normalisation_and_kept_as_they_were() -> None:
    table = TextTable(
        ["a  b", "c", "a b ", "Ａ b", "A B", "c"], ["x", "y", "x", "x", "x", "y"], lines=[2, 3, 4, 5, 6, 7]
    )
    kept, report = remove_duplicates(table)
    assert kept.texts == ["a  b", "c", "Ａ b", "A B"]
    assert kept.labels == ["x", "y", "x", "x"]
    assert kept.lines == [2, 3, 5, 6]
    assert (report.kept, report.removed, report.conflicts) == (4, (2, 5), ())
    kept, report = remove_duplicates(table, ignore_case=True)
    assert kept.texts == ["a  b", "c"]
    assert report.removed == (2, 3, 4, 5)


def test_conflicting_labels() -> None:
    table = TextTable(["a", "b", "a ", "a"], ["x", "y", "x", "z"], source="f.csv", lines=[2, 3, 4, 9])
    kept, report = remove_duplicates(table)
    assert kept.labels == ["x", "y"]
    (conflict,) = report.conflicts
    assert (conflict.text, conflict.labels, conflict.rows) == ("a", ("x", "x", "z"), (0, 2, 3))
    kept, report = remove_duplicates(table, on_conflict="drop")
    assert kept.texts == ["b"] and kept.lines == [3]
    assert report.removed == (0, 2, 3)
    with pytest.raises(ValueError, match=r"'x' in line 2 of f\.csv and 'z' in line 9 of f\.csv"):
        remove_duplicates(table, on_conflict="error")
    with pytest.raises(ValueError, match="on_conflict"):
        remove_duplicates(table, on_conflict="last")  # type: ignore[arg-type]


def test_duplicates_without_labels_and_of_nothing() -> None:
    kept, report = remove_duplicates(TextTable(["a", "a"]))
    assert kept.texts == ["a"] and not report.conflicts
    kept, report = remove_duplicates(TextTable([]))
    assert len(kept) == 0 and report.removed == ()


# --- TextTable ---


def test_table_access() -> None:
    table = TextTable(["a", "b", "c"], ["x", "y", "x"], source="f", lines=[2, 3, 4])
    assert len(table) == 3
    assert table[1] == ("b", "y")
    assert table[-1] == ("c", "x")
    assert table[1:].lines == [3, 4]
    assert list(table) == [("a", "x"), ("b", "y"), ("c", "x")]
    assert table.label_counts() == {"x": 2, "y": 1}
    assert table.select(np.array([2, 0])).texts == ["c", "a"]
    assert TextTable(["a"])[0] == ("a", None)
    assert TextTable([" a"], ["x"]).clean() == TextTable(["a"], ["x"])
    with pytest.raises(IndexError, match="select"):
        table.select([3])
    with pytest.raises(TypeError, match=r"\[TextTable.select\] rows: expected an integer, got 1.5"):
        table.select([1.5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="labels: expected 1 entry"):
        TextTable(["a"], [])
    with pytest.raises(ValueError, match="label_counts"):
        TextTable(["a"]).label_counts()


PAIRS = TextTable(
    ["a", "b", "a ", "a"],
    ["x", "y", "x", "z"],
    lines=[2, 3, 4, 5],
    pairs=["p", "q", " p", "r"],
    columns={"city": ["k", "l", "m", "n"], "时": ["1", "2", "3", "4"]},
)


def test_pairs_and_columns_go_with_their_rows() -> None:
    chosen = PAIRS.select([3, 1])
    assert (chosen.texts, chosen.labels, chosen.lines, chosen.pairs) == (["a", "b"], ["z", "y"], [5, 3], ["r", "q"])
    assert chosen.columns == {"city": ["n", "l"], "时": ["4", "2"]}
    assert PAIRS[2:].columns["city"] == ["m", "n"]
    assert PAIRS.clean().pairs == ["p", "q", "p", "r"] and PAIRS.clean().columns == PAIRS.columns
    assert (PAIRS.pair_column, TextTable(["a"]).pair_column) == ("pair", None)
    rest, held_out = PAIRS.split(0.5, seed=1, stratify=False)
    for part in (rest, held_out):
        at = [PAIRS.columns["city"].index(city) for city in part.columns["city"]]
        assert part == PAIRS.select(at)
    assert len(rest) == len(held_out) == 2
    assert PAIRS.columns["city"] == ["k", "l", "m", "n"]  # the table itself is as it was
    assert repr(PAIRS) == "TextTable(4 texts in 'text', pairs in 'pair', 3 labels in 'label', columns 'city', '时')"


def test_lists_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[TextTable\] pairs: expected 1 entry, one for each row, got 2"):
        TextTable(["a"], pairs=["b", "c"])
    with pytest.raises(ValueError, match=r"\[TextTable\] columns\['city'\]: expected 1 entry, one for each row, got 0"):
        TextTable(["a"], columns={"city": []})


def test_duplicates_of_pairs_are_equal_in_both_texts() -> None:
    kept, report = remove_duplicates(PAIRS)
    assert report.removed == (2,) and not report.conflicts
    assert (kept.pairs, kept.columns["city"]) == (["p", "q", "r"], ["k", "l", "n"])
    table = TextTable(["a", "A", "ab", "a"], ["x", "y", "x", "x"], pairs=["B", "b", "", "c"])
    kept, report = remove_duplicates(table, ignore_case=True)
    (conflict,) = report.conflicts
    assert (conflict.text, conflict.pair, conflict.labels, conflict.rows) == ("a", "B", ("x", "y"), (0, 1))
    assert report.removed == (1,)
    assert remove_duplicates(TextTable(["a", "a"], ["x", "y"]))[1].conflicts[0].pair is None


# --- splits ---


def table_of(sizes: dict[str, int]) -> TextTable:
    labels = [name for name, size in sizes.items() for _ in range(size)]
    random.Random(1).shuffle(labels)
    return TextTable([f"text {i}" for i in range(len(labels))], labels)


def test_stratified_split_holds_out_each_label_in_proportion() -> None:
    sizes = {"a": 100, "b": 37, "c": 13, "d": 2, "e": 1}
    table = table_of(sizes)
    rest, held_out = train_test_split(table, 0.1, seed=3)
    assert sorted(rest.texts + held_out.texts) == sorted(table.texts)
    assert len(held_out) == 15
    counts = Counter(held_out.labels)
    for name, size in sizes.items():
        assert abs(counts[name] - size * 0.1) < 1.0, name
    assert set(rest.labels or []) == set(sizes)
    order = [int(text.split()[1]) for text in held_out.texts]
    assert order == sorted(order)


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("stratify", [True, False])
def test_split_sizes(fraction: float, stratify: bool) -> None:
    table = table_of({"a": 60, "b": 40, "c": 50})
    rest, held_out = table.split(fraction, seed=0, stratify=stratify)
    assert len(rest) + len(held_out) == 150
    # At 0.99 each of the three labels keeps a row in the rest.
    assert len(held_out) == min(int(150 * fraction + 0.5), 147 if stratify else 150)


def test_split_depends_on_the_seed_alone() -> None:
    table = table_of({"a": 60, "b": 40})
    assert table.split(0.2, seed=5) == table.split(0.2, seed=5)
    assert table.split(0.2, seed=5) != table.split(0.2, seed=6)
    # A fixed expectation: the same on every machine and NumPy version.
    texts = TextTable([str(i) for i in range(10)]).split(0.5, seed=0)[1].texts
    assert texts == ["2", "4", "6", "7", "8"]


def test_random_split_is_uniform() -> None:
    table = TextTable([str(i) for i in range(20)])
    counts: Counter[str] = Counter()
    for seed in range(2000):
        counts.update(table.split(0.25, seed=seed)[1].texts)
    assert len(counts) == 20
    assert all(abs(count - 500) < 5 * 19.4 for count in counts.values())  # 5 standard deviations


def test_remainders_fall_on_random_labels() -> None:
    table = table_of(dict.fromkeys("abcdefghij", 15))  # each wants 1.5
    favoured: Counter[str] = Counter()
    for seed in range(200):
        favoured.update(name for name, n in table.split(0.1, seed)[1].label_counts().items() if n > 1)
    assert len(favoured) == 10 and min(favoured.values()) > 50


def test_split_errors() -> None:
    table = table_of({"a": 5, "b": 5})
    for fraction in (0.0, 1.0, -0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            table.split(fraction)
    with pytest.raises(ValueError, match="at least one row"):
        table.split(0.01)
    with pytest.raises(ValueError, match="stratify=True"):
        TextTable(["a", "b"], ["x", "y"]).split(0.5)
    with pytest.raises(ValueError, match="at least one row"):
        TextTable([]).split(0.5)
    with pytest.raises(ValueError, match="seed"):
        table.split(0.5, seed=-1)
    with pytest.raises(TypeError, match="seed"):
        table.split(0.5, seed=0.5)  # type: ignore[arg-type]


# --- Labels ---


def test_labels_encode_and_decode() -> None:
    labels = Labels.from_labels(["b", "a", "b", "类"])
    assert labels.names == ("a", "b", "类")
    encoded = labels.encode(["类", "a", "b"])
    assert encoded.dtype == np.int64 and encoded.tolist() == [2, 0, 1]
    assert labels.decode(encoded) == ["类", "a", "b"]
    assert labels.encode([]).shape == (0,)
    assert "a" in labels and "c" not in labels and len(labels) == 3
    assert labels == Labels(["a", "b", "类"]) and labels != Labels(["b", "a", "类"])


def test_integer_names_sort_as_numbers() -> None:
    assert Labels.from_labels(["10", "9", "0"]).names == ("0", "9", "10")
    assert Labels.from_labels(["10", "9", "x"]).names == ("10", "9", "x")


def test_unknown_labels_name_label_and_place() -> None:
    labels = Labels(["ham", "spam"])
    with pytest.raises(
        ValueError, match=r"\[Labels.encode\] labels: expected one of 'ham', 'spam', got 'egg' in row 1"
    ):
        labels.encode(["ham", "egg"])
    table = TextTable(["a", "b"], ["ham", "egg"], source="x.csv", lines=[2, 7])
    with pytest.raises(ValueError, match=r"got 'egg' in line 7 of x\.csv"):
        table.encode_labels(labels)
    many = Labels([f"label_{i}" for i in range(20)])
    with pytest.raises(
        ValueError, match=r"one of 20 known labels, got 'label_3x' in row 0 \(the nearest known label is 'label_3"
    ):
        many.encode(["label_3x"])
    with pytest.raises(ValueError, match="a table with labels"):
        TextTable(["a"]).encode_labels(labels)


def test_label_errors() -> None:
    with pytest.raises(ValueError, match="'a' twice"):
        Labels(["a", "b", "a"])
    with pytest.raises(ValueError, match="non-empty"):
        Labels(["a", ""])
    with pytest.raises(TypeError, match="one string"):
        Labels("abc")
    with pytest.raises(TypeError, match=r"1 \(int\) in names\[1\]"):
        Labels(["a", 1])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="one string"):
        Labels(["a"]).encode("a")
    with pytest.raises(TypeError, match=r"\[Labels.from_labels\] labels: expected a list of strings, got one string"):
        Labels.from_labels("abc")
    for label in (1, None, ["a"]):
        with pytest.raises(TypeError, match=r"\[Labels.from_labels\] labels: expected strings, got .* in labels\[1\]"):
            Labels.from_labels(["a", label])  # type: ignore[list-item]
    for number in (-1, 2):
        with pytest.raises(IndexError, match=f"got {number} at position 1"):
            Labels(["a", "b"]).decode([0, number])
    with pytest.raises(TypeError, match=r"\[Labels.decode\] ids: expected an integer, got 0.5"):
        Labels(["a", "b"]).decode([0.5])  # type: ignore[list-item]


# --- several labels a text, and numbers ---


def test_split_labels_and_encode_many() -> None:
    rows = split_labels(["sport|news", "", " news ", "类 | sport|类", "  "])
    assert rows == [("sport", "news"), (), ("news",), ("类", "sport"), ()]
    assert split_labels(["a, b|c"], ",") == [("a", "b|c")]
    assert split_labels([]) == []
    encoded = Labels(["news", "sport", "类"]).encode_many(rows)
    assert encoded.dtype == np.float32
    assert encoded.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert Labels(["a"]).encode_many([]).shape == (0, 1)
    assert Labels(["a", "b"]).encode_many([["b", "b"], iter(["a"])]).tolist() == [[0, 1], [1, 0]]


def test_split_labels_and_encode_many_errors() -> None:
    for label in ("a||b", "|a", "a|", "|"):
        with pytest.raises(
            ValueError, match=r"\[split_labels\] labels: expected a name on each side of '\|', got .* row 1"
        ):
            split_labels(["a", label])
    with pytest.raises(ValueError, match=r"in line 7 of f\.csv"):
        split_labels(["a|"], source="f.csv", lines=[7])
    with pytest.raises(ValueError, match="separator"):
        split_labels(["a"], "")
    with pytest.raises(TypeError, match="got one string"):
        split_labels("ab")
    with pytest.raises(TypeError, match=r"expected strings, got 3 \(int\) in labels\[0\]"):
        split_labels([3])  # type: ignore[list-item]
    labels = Labels(["ham", "spam"])
    with pytest.raises(
        ValueError, match=r"\[Labels.encode_many\] rows: expected one of 'ham', 'spam', got 'egg' in row 1"
    ):
        labels.encode_many([["ham"], ["spam", "egg"]])
    with pytest.raises(ValueError, match=r"got 'egg' in line 9 of f\.csv"):
        labels.encode_many([["egg"]], source="f.csv", lines=[9])
    with pytest.raises(
        TypeError, match=r"\[Labels.encode_many\] rows\[0\]: expected a list of strings, got one string"
    ):
        labels.encode_many(["ham"])
    with pytest.raises(TypeError, match="got one string"):
        labels.encode_many("ham")


def test_parse_numbers() -> None:
    numbers = parse_numbers(["1", " -2.5 ", "1e3", "0x"[:1], "+.5", "3.4e38"])
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, np.array([1, -2.5, 1000, 0, 0.5, 3.4e38], np.float32))
    assert parse_numbers([]).shape == (0,)
    for wrong in ("", "abc", "nan", "inf", "-Infinity", "1,5", "1_000", "0x10", "3.5e38", "-1e999", "一"):
        with pytest.raises(
            ValueError, match=r"\[parse_numbers\] labels: expected a finite float32 number, got '.*' in row 1"
        ):
            parse_numbers(["1", wrong])
    with pytest.raises(ValueError, match=r"got 'x' in line 4 of f\.csv"):
        parse_numbers(["1", "x"], source="f.csv", lines=[2, 4])
    with pytest.raises(TypeError, match=r"expected strings, got 1.0 \(float\) in labels\[0\]"):
        parse_numbers([1.0])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="got one string"):
        parse_numbers("12")
