"""Labels that read like missing values, labels in several spellings, and whole numbers with decimals: named by `check` and by training."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, notes_of, run_engine, write_rows
from engine.runs.textdata import TextData
from engine.tasks import TaskConfig
from engine.text import Labels, find_problems, parse_numbers, read_table
from engine.text.decimals import decimal_points
from engine.text.label_problems import doubtful_names, missing_names, name_remarks

PLAN = (*(o for o in SCRATCH if o != "--no-progress"), "--dry-run")


def table_of(path, labels):
    return write_rows(path, ("text", "label"), [(f"text {i} of many", label) for i, label in enumerate(labels)])


@pytest.mark.parametrize(
    "label", ["?", "-", "N/A", "n/a", "null", "NULL", "NaN", "nan", "<NA>", "None", "#N/A", "--", "\u2014", "\\N"]
)
def test_marks_of_a_missing_value(label):
    assert missing_names(["a", "b", label]) == {label} and not doubtful_names(["a", label])


@pytest.mark.parametrize("label", ["none", "NONE", "na", "NA", "nil", "missing", "undefined"])
def test_names_that_may_be_those_of_classes(label):
    assert doubtful_names(["a", label]) == {label} and not missing_names(["a", label])


@pytest.mark.parametrize("names", [["+", "-"], [".", ",", "NN"], ["a", "nano", "no", "0", "-1", "unknown", "c-"]])
def test_names_that_are_names(names):
    assert not missing_names(names) and not doubtful_names(names)


LABELS = ["?"] * 8 + ["-"] * 4 + ["none"] * 8 + ["a", "b"] * 10


def test_check_and_training_name_them_with_number_and_line(tmp_path):
    path = table_of(tmp_path / "a.csv", LABELS)
    expected = (
        f"20 labels read like missing values, but are taken as classes: '?' (8, first in line 2 of {path}), '-' (4, first in line 10 of "
        f"{path}), 'none' (8, first in line 14 of {path}); --clean missing_label (clean=[\"missing_label\"]) leaves out rows with '?', '-'"
    )
    out = run_engine("check", path)
    assert f"  note: {expected}" in out and "missing label       12" in out
    assert expected in json.loads(run_engine("check", path, "--json"))["notes"]
    assert f"note: {expected}" in notes_of("train", path, *PLAN)  # of all rows, although some are held out


def test_a_class_called_none_stays_one(tmp_path):
    path = table_of(tmp_path / "a.csv", [*LABELS, ""])
    parts = TextData((str(path),), clean=("missing_label",)).read(TaskConfig())
    assert parts.task.labels.names == ("a", "b", "none") and parts.cleaning["missing_label"] == 13
    table = read_table(path, empty_labels=True)
    assert {p.label for p in find_problems(table).of("missing_label")} == {"?", "-", ""}
    said = name_remarks(table, [(label,) for label in table.labels if label == "none"])
    assert (
        said[0].startswith("8 labels read like missing values, but are taken as a class: 'none' (8,")
        and "--clean" not in said[0]
    )


def test_blank_labels_are_refused_with_the_way_out_and_check_says_so(tmp_path):
    path = table_of(tmp_path / "a.csv", ["a", "b", " "] * 9)
    assert "--clean missing_label leaves such rows out" in run_engine("train", path, *PLAN, code=2)
    out = run_engine("check", path)
    assert "note: training refuses these labels: expected a label in line 4 of" in out and "(9 rows have none)" in out
    assert "missing label        9" in out


def test_a_file_of_tests_with_a_missing_label(tmp_path):
    train, test = table_of(tmp_path / "a.csv", "ab" * 9 + "?"), table_of(tmp_path / "b.csv", "ab?")
    error = run_engine("train", train, "--test", test, "--clean", "missing_label", *PLAN, code=2)
    assert (
        "got '?' in line 4 of" in error and "`engine check --remove missing_label --output FILE` writes a copy" in error
    )


def test_numbers_that_are_missing(tmp_path):
    labels = [str(i / 4) for i in range(40)] + ["?", "NaN"]
    path, task = table_of(tmp_path / "a.csv", labels), ("--task", "regression")
    assert (
        "got '?' in line 42 of" in (error := run_engine("train", path, *task, *PLAN, code=2))
        and "--clean missing_label" in error
    )
    out = run_engine("check", path, *task)
    assert (
        "training refuses these numbers: expected a finite float32 number, got '?'" in out
        and "missing label        2" in out
    )
    assert "data: 36 training texts" in run_engine("train", path, *task, "--clean", "missing_label", *PLAN)
    with pytest.raises(ValueError, match="--clean missing_label"):
        parse_numbers(["1", "nan"])
    assert decimal_points(["1,5", "2", "?"])[0] == ["1.5", "2", "?"]


def test_numbers_are_not_judged_as_names(tmp_path):
    path = table_of(tmp_path / "a.csv", ["1", "1.0", "2", "3.5"] * 5)
    out = run_engine("check", path, "--task", "regression")
    assert "label spelling       0" in out and "note:" not in out
    assert "label spelling       5" in run_engine("check", path)


def test_spellings_are_named_with_number_and_line(tmp_path):
    path = table_of(tmp_path / "a.csv", ["Card", *["card"] * 5, "top-up", *["top_up"] * 3])
    out = run_engine("check", path)
    assert f"'Card' (1, first in line 2 of {path}) and 'card' (5)" in out
    assert f"'top-up' (1, first in line 8 of {path}) and 'top_up' (3)" in out


def test_whole_numbers_with_decimals(tmp_path):
    path, other = table_of(tmp_path / "a.csv", ["1.0", "2.0"] * 9), table_of(tmp_path / "b.csv", ["1", "2"])
    said = "labels such as '1.0' are names that keep their decimals: '1' in another file is another label"
    assert f"note: {said}" in run_engine("check", path) and f"note: {said}" in notes_of("train", path, *PLAN)
    error = run_engine("train", path, "--test", other, *PLAN, code=2)
    assert "got '1' in line 2 of" in error and "('1.0' is known, which differs only in spelling)" in error
    assert not name_remarks(read_table(other), [("1",), ("2",)])
    with pytest.raises(ValueError, match="'Card' is known, which differs only in spelling"):
        Labels([*map(str, range(20)), "Card"]).encode(["card"])


def test_tags_that_are_missing_or_spelled_otherwise(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Ann B-PER\nin O\n\nBob B-per\nis O\n\n" * 9)
    out = run_engine("check", path, "--task", "tagging")
    assert "'B-per' (9, first in line 4 of" in out or "'B-PER' (9, first in line 1 of" in out
    path.write_text("Ann NN\nin IN\n\nBob nan\nis IN\n\n" * 9)
    notes = notes_of("train", path, "--task", "tagging", *PLAN)
    assert any("9 labels read like missing values" in note and "--clean" not in note for note in notes)
    assert not any("--clean" in note for note in notes)  # tagging has no cleaning


def test_several_labels(tmp_path):
    path = write_rows(
        tmp_path / "a.csv", ("text", "labels"), [(f"t {i}", ("a|?", "a|b", "")[i % 3]) for i in range(30)]
    )
    out = run_engine("check", path, "--task", "multilabel")
    assert "10 labels read like missing values, but are taken as a class: '?' (10" in out
    assert out == run_engine("check", path, "--label-separator", "|")


# --- notices once, with commas


def test_a_notice_is_said_once_and_kept_in_the_report(tmp_path, capfd):
    path = table_of(tmp_path / "a.csv", ["a", "b", "?"] * 9)
    out = run_engine("train", path, *SCRATCH, "-o", tmp_path / "run")
    assert "read like missing values" not in out
    assert "read like missing values" in (tmp_path / "run/report.md").read_text()
    assert "read like missing values" in json.loads((tmp_path / "run/report.json").read_text())["data"]["notices"][0]


def test_numbers_in_notices_have_commas(tmp_path):
    path = write_rows(
        tmp_path / "a.csv", ("text", "label"), [(f"text {i}", "?" if i % 2 else "a") for i in range(2400)]
    )
    assert "1,200 labels read like missing values" in " ".join(notes_of("train", path, *PLAN))
    assert str(find_problems(read_table(path), similarity=1.0)).startswith("2,400 rows of")
