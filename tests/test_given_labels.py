"""Labels from memory in all forms: the caller's own objects come back, and messages name the argument and the element."""

from __future__ import annotations

import importlib
import unicodedata

import numpy as np
import pytest

pytest.importorskip("tokenizers")

import engine
from cli_runs import texts
from engine.inference import TextClassifier
from engine.runs.given import Names, given
from engine.text.decimals import decimal_points
from engine.text.label_forms import label_sets

TEXTS, LABELS = map(list, zip(*texts(2)))
CODES = [sorted(set(LABELS)).index(label) for label in LABELS]
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
FIT = {**SMALL, "epochs": 1, "batch_size": 8, "max_length": 16}


def small() -> TextClassifier:
    return TextClassifier(epochs=4, batch_size=8, max_length=16, settings=SMALL)


def table(task, labels, n=None):
    return given(task, [f"text {i}" for i in range(len(labels) if n is None else n)], labels, None, "|", Names())


# Labels that reading rewrites, each as it comes back.
REWRITTEN = [unicodedata.normalize("NFD", "café"), "zero\u200bwidth", " a "]


@pytest.mark.parametrize("names", [REWRITTEN, ["[1]", "[2]", "[3]"], [3, 1, 2], [True, False, False]])
def test_predictions_are_the_callers_labels(names):
    y = [names[code] for code in CODES]
    classifier = small().fit(TEXTS, y)
    assert classifier.classes_.tolist() == sorted(set(names))
    found = classifier.predict(TEXTS)
    assert set(found.tolist()) <= set(names) and found.dtype == np.asarray(y).dtype
    assert classifier.score(TEXTS, y) == np.mean(found == np.array(y))
    answers = classifier.answer(TEXTS, top_k=2)
    assert [answer["label"] for answer in answers] == found.tolist()
    assert all(type(each["label"]) is type(names[0]) for answer in answers for each in answer["top"])


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.float32, object])
def test_classes_have_the_dtype_of_the_array(dtype):
    y = np.array(CODES, dtype)
    classifier = small().fit(TEXTS, y)
    assert classifier.classes_.dtype == y.dtype == classifier.predict(TEXTS[:2]).dtype


def test_two_spellings_of_a_name_are_one_class_and_that_is_said(caplog):
    first, second = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    y = [(first, second)[row % 2] if code else "x" for row, code in enumerate(CODES)]
    classifier = small().fit(TEXTS, y)
    assert len(classifier.classes_) == 2 and "are one" in caplog.text
    right = [a == b or {a, b} == {first, second} for a, b in zip(classifier.predict(TEXTS).tolist(), y)]
    assert classifier.score(TEXTS, y) == np.mean(right)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (["a", 1], ValueError, r"got 1 \(int\) in y\[1\]"),
        ([0.5, 1.0], ValueError, r"got 0.5 \(float\) in y\[0\] \(regression has engine.train.fit"),
        ([1.0, float("nan")], ValueError, r"expected a label for each text, got nan in y\[1\]"),
        (["a", None], ValueError, r"got None in y\[1\]"),
        (["a", "\u200b"], ValueError, r"invisible, in y\[1\]"),
        ([[0, 2], [1, 0]], ValueError, "at least"),
        (np.array([[0, 2], [1, 0]]), ValueError, r"y: expected 0 or 1 in the column 1, got 2 in y\[0\]"),
        (np.array([[0, 0.5], [1, 0]]), ValueError, r"got 0.5 in y\[0\]"),
    ],
)
def test_the_classifier_names_the_label(y, error, message):
    if message == "at least":  # numbers that are no columns are names
        assert table("multilabel", y).table.labels == ["0|2", "1|0"]
        return
    with pytest.raises(error, match=message):
        small().fit(["one", "two"], y)


# --- several labels

MATRIX = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0]])


def forms():
    yield "array", MATRIX, [0, 1, 2]
    yield "bool", MATRIX.astype(bool), [0, 1, 2]
    yield "float", MATRIX.astype(float), [0, 1, 2]
    yield "lists", MATRIX.tolist(), [0, 1, 2]
    yield "a dict of columns", {"x": MATRIX[:, 0], "y": MATRIX[:, 1], "z": MATRIX[:, 2]}, ["x", "y", "z"]


@pytest.mark.parametrize(
    ("name", "y", "columns"), list(forms()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_columns_of_0_and_1(name, y, columns):
    found = label_sets("fit", "labels", y)
    assert found.columns == columns
    assert found.sets == [[columns[0], columns[2]], [columns[2]], [columns[1]], []]
    assert (found.guess is not None) == (name == "lists")


def test_tables_and_sparse_matrices():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    sparse = pytest.importorskip("scipy.sparse")
    names = ["x", "y", "z"]
    for y in (
        pandas.DataFrame(MATRIX, columns=names),
        polars.DataFrame({n: MATRIX[:, i] for i, n in enumerate(names)}),
    ):
        assert label_sets("fit", "labels", y).sets == [["x", "z"], ["z"], ["y"], []]
    for y in (sparse.csr_matrix(MATRIX), sparse.csc_array(MATRIX)):
        assert label_sets("fit", "labels", y).sets == [[0, 2], [2], [1], []]


def test_lists_sets_and_strings_of_names():
    for y in ([["b", "a"], [], ["a"]], [("b", "a"), (), ("a",)], [np.array(["b", "a"]), [], np.array(["a"])]):
        found = table("multilabel", y)
        assert found.table.labels == ["b|a", "", "a"]
    assert table("multilabel", [{"b", "a"}, set(), frozenset({"a"})]).table.labels == ["a|b", "", "a"]
    assert table("multilabel", ["a|b", "", "b"]).table.labels == ["a|b", "", "b"]
    assert table("multilabel", [[1, 2], [2], [10]]).own == {"1": 1, "2": 2, "10": 10}
    with pytest.raises(ValueError, match=r"got None in labels\[1\] \(a text without a label has an empty list\)"):
        table("multilabel", [["a"], None])
    with pytest.raises(ValueError, match=r"got nan in labels\[1\]\[0\]"):
        table("multilabel", [["a"], [float("nan")]])
    with pytest.raises(ValueError, match=r"labels without the separator '\|' in labels\[0\], got 'a\|b'"):
        table("multilabel", [["a|b"], ["c"]])


def test_a_classifier_of_several_labels_answers_in_the_form_it_was_given():
    y = np.stack([np.array(CODES) == 0, np.array(CODES) != 0, np.zeros(len(CODES))], 1).astype(int)
    classifier = small().fit(TEXTS, y)
    found, p = classifier.predict(TEXTS), classifier.predict_proba(TEXTS)
    assert found.shape == p.shape == y.shape and not found[:, 2].any() and not p[:, 2].any()
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert (found == (p >= classifier.predictor_.task.threshold))[:, :2].all()
    assert classifier.score(TEXTS, y) == np.mean((found == y).all(1))
    names = [{"a", "all"} if code else {"all"} for code in CODES]
    classifier = small().fit(TEXTS, names)
    found = classifier.predict(TEXTS)
    assert found.shape == (len(TEXTS),) and set(found[0]) <= {"a", "all"}
    assert classifier.classes_.tolist() == ["a", "all"]
    assert classifier.score(TEXTS, names) == np.mean([set(a) == b for a, b in zip(found, names)])


def test_one_label_a_text_is_not_learned_from_several_columns():
    for y in (MATRIX, {"x": [1, 0], "y": [0, 1]}):
        with pytest.raises(
            TypeError, match=r"one label for each text, got an array or a table.*task='multilabel' takes"
        ):
            table("classification", y, 4)
    with pytest.raises(TypeError, match=r"got \['a', 'b'\] in labels\[1\] \(task='multilabel' takes"):
        table("classification", ["a", ["a", "b"]])


def test_numbers():
    found = table("regression", [1, 2.5, "3"])
    assert [float(each) for each in found.table.labels] == [1.0, 2.5, 3.0]
    found = table("regression", ["3,5", "1,25", "2"])
    assert [row["label"] for row in found.rows] == [3.5, 1.25, 2.0] and "decimal comma" in found.table.notes[0]
    for y, message in (
        ([1.0, float("nan")], r"finite numbers, got nan in labels\[1\]"),
        ([1.0, None], r"got None in labels\[1\]"),
        ([1.0, float("inf")], r"got inf in labels\[1\]"),
        (["1", "x"], r"numbers, got 'x' in labels\[1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            table("regression", y)
    for y in (np.ones((2, 3)), [[1.0, 2.0], [3.0, 4.0]]):
        with pytest.raises(TypeError, match=r"one number for each text.*train one model for each"):
            table("regression", y)


def test_decimal_commas():
    assert decimal_points(["3,5", "-1,25", "4"])[0] == ["3.5", "-1.25", "4"]
    assert decimal_points(["0,125", "12,345"])[0] == ["0.125", "12.345"]
    for doubtful in (["1,500", "2,000"], ["3,5", "1.5"], ["3,5", "x"], ["1", "2.5"], []):
        assert decimal_points(doubtful) == (doubtful, None)


# --- messages


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (["a", "b"] * 3, ["x"] * 6, "at least two different labels"),
        (["a", "b", "c", "d"], ["x|y", "x", "y", "y"], r"got 'x\|y' in texts\[0\]"),
        (["", "  "], ["x", "y"], "texts that are not empty"),
    ],
)
def test_messages_name_no_file(x, y, message, caplog):
    with pytest.raises(ValueError, match=message) as caught:
        engine.train.fit(x, y, **FIT)
    assert "jsonl" not in str(caught.value) + caplog.text and "/" not in str(caught.value)


def test_notices_name_the_element(caplog):
    found = list(TEXTS)
    found[17] = "word " * 200
    engine.train.fit(found, LABELS, validation_fraction=0.0, **{**FIT, "max_length": 64})
    assert "the first is in texts[17]" in caplog.text and "jsonl" not in caplog.text


def test_what_is_resumed_reads_the_same_labels(tmp_path):
    """The file beside the run folder gives the table that the run was trained on."""
    textdata, tasks = importlib.import_module("engine.runs.textdata"), importlib.import_module("engine.tasks")
    for task, y in (
        ("classification", [REWRITTEN[code] for code in CODES]),
        ("classification", [f"[{code}]" for code in CODES]),
        ("multilabel", [[code, "all"] for code in CODES]),
        ("multilabel", np.eye(3, dtype=int)[CODES]),
        ("regression", [code / 3 for code in CODES]),
    ):
        folder = tmp_path / f"{task}{len(list(tmp_path.iterdir()))}"
        engine.train.fit(TEXTS, y, task=task, output=folder, **FIT)
        path = f"{folder}-data.jsonl"
        read = textdata.TextData((path,), text_column="text", label_column="label").read(tasks.TaskConfig(task))
        known = given(task, TEXTS, y, None, "|", Names())
        again = [(text, label) for part in read.tables.values() for text, label in part]
        assert sorted(again) == sorted(known.table)
    surrogate = engine.train.fit([*TEXTS, "half \ud800"], [*LABELS, LABELS[0]], **FIT)
    assert surrogate.answer(["half \ud800"])
