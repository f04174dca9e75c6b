"""The command on data as people have it: what it recognises, what it names, what it refuses, and what it writes."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cli_runs import SCRATCH, notes_of, run_engine, tagged, texts, write_conll, write_rows
from engine.text import read_table


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = [(text, label, str(i)) for i, (text, label) in enumerate(texts(2))]
    write_rows(folder / "train.csv", ("text", "intent", "n"), rows)
    run_engine("train", folder / "train.csv", "-o", folder / "run", *SCRATCH)
    return folder


def rows_of(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=delimiter))


# --- one door ---


def test_all_commands_read_all_formats(place, tmp_path):
    pytest.importorskip("pyarrow")
    write = ("text", "intent", "n"), [(text, label, "7") for text, label in texts(1)]
    write_rows(tmp_path / "a.csv", *write)
    run_engine("check", tmp_path / "a.csv", "--remove", "empty", "-o", tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps([dict(zip(write[0], row)) for row in write[1]]))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    (tmp_path / "b.csv").write_text("sep=;\n" + "\n".join(f'"{text}";{label};7' for text, label in texts(1)))
    expected = run_engine("evaluate", place / "run", tmp_path / "a.csv")
    for name in ("a.parquet", "a.json", "a.csv.gz"):
        assert run_engine("evaluate", place / "run", tmp_path / name) == expected
        assert "12 rows" in run_engine("check", tmp_path / name)
    columns = ("--columns", "text,intent,n")
    assert run_engine("evaluate", place / "run", tmp_path / "b.csv", *columns) == expected
    assert "12 rows" in run_engine("check", tmp_path / "b.csv", *columns)
    answers = run_engine("predict", place / "run", "-i", tmp_path / "a.csv")
    assert run_engine("predict", place / "run", "-i", tmp_path / "b.csv", *columns) == answers
    assert run_engine("predict", place / "run", "-i", tmp_path / "a.parquet") == answers


def test_training_remembers_how_files_are_read(tmp_path):
    rows = "\n".join(f'{label}|"{text}' for text, label in texts(2))  # a quote that is never closed
    (tmp_path / "a.csv").write_text(rows + "\n")
    assert "use --no-quotes" in run_engine(
        "train",
        tmp_path / "a.csv",
        "--columns",
        "kind,text",
        "--label-column",
        "kind",
        "-o",
        tmp_path / "x",
        *SCRATCH,
        code=2,
    )
    how = ("--columns", "kind,text", "--label-column", "kind", "--delimiter", "|", "--no-quotes")
    run_engine("train", tmp_path / "a.csv", *how, "-o", tmp_path / "run", *SCRATCH)
    data = json.loads((tmp_path / "run/run.json").read_text())["data"]
    assert (data["columns"], data["delimiter"], data["quoting"]) == (["kind", "text"], "|", False)
    assert "samples" in run_engine("evaluate", tmp_path / "run", tmp_path / "a.csv")
    assert run_engine("predict", tmp_path / "run", "-i", tmp_path / "a.csv").count("\n") == 24


def test_a_folder_for_each_class_is_trained_on(tmp_path):
    for i, (text, label) in enumerate(texts(2)):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / label / f"{i}.txt").write_text(text)
    run_engine("train", tmp_path / "data", "-o", tmp_path / "run", *SCRATCH)
    record = json.loads((tmp_path / "run/run.json").read_text())
    before = record["data"]["sha256"][str(tmp_path / "data")]
    (tmp_path / "data" / "card" / "0.txt").write_text("changed")
    run_engine("train", tmp_path / "data", "-o", tmp_path / "run", "--overwrite", *SCRATCH)
    assert json.loads((tmp_path / "run/run.json").read_text())["data"]["sha256"][str(tmp_path / "data")] != before


# --- several labels ---


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "b", "a|b"], r"'|' between them, got 'a|b' in line 4 of"),
        (["a", "b", "b,a"], r"',' between them, got 'b,a' in line 4 of"),
        (["a;b", "b;c", "a;c"], r"';' between them, got 'a;b' in line 2 of"),
        (["['a']", "['a', 'b']", "['b']"], "one label in line 3 of"),
        (["[0, 1]", "[1, 1]", "[1, 0]"], "one label in line 3 of"),
    ],
)
def test_combinations_of_labels_are_no_classes(tmp_path, labels, message):
    write_rows(tmp_path / "a.csv", ("text", "labels"), [(f"text {i}", labels[i % 3]) for i in range(12)])
    error = run_engine("train", tmp_path / "a.csv", "-o", tmp_path / "run", *SCRATCH, code=2)
    assert message in error and "the task 'multilabel' learns several labels" in error
    assert not (tmp_path / "run").exists()


def test_names_with_commas_may_be_names(tmp_path):
    write_rows(tmp_path / "a.csv", ("text", "label"), [(f"text {i}", ("a", "b", "a, b")[i % 3]) for i in range(12)])
    run_engine("train", tmp_path / "a.csv", "--label-separator", "", "-o", tmp_path / "run", *SCRATCH)
    assert json.loads((tmp_path / "run/config.json").read_text())["num_labels"] == 3
    error = run_engine("train", tmp_path / "a.csv", "--label-separator", ";", "-o", tmp_path / "x", *SCRATCH, code=2)
    assert "--label-separator: expected ''" in error


def test_several_labels_with_another_separator_are_refused_with_the_way_out(tmp_path):
    write_rows(tmp_path / "a.csv", ("text", "labels"), [(f"text {i}", ("a", "b", "a,b", "")[i % 4]) for i in range(12)])
    task = ("--task", "multilabel", *SCRATCH)
    error = run_engine("train", tmp_path / "a.csv", "-o", tmp_path / "run", *task, code=2)
    assert "got 'a,b' in line 4 of" in error and "',', with --label-separator" in error
    run_engine("train", tmp_path / "a.csv", "--label-separator", ",", "-o", tmp_path / "run", *task)
    assert json.loads((tmp_path / "run/config.json").read_text())["num_labels"] == 2


def test_columns_of_zeros_and_ones_are_labels(tmp_path):
    rows = [(f"text {i}", str(i % 2), str(int(i % 3 == 0))) for i in range(12)]
    write_rows(tmp_path / "a.csv", ("text", "odd", "third"), rows)
    said = notes_of("train", tmp_path / "a.csv", "--task", "multilabel", "-o", tmp_path / "run", *SCRATCH)
    assert any("the columns odd, third of" in note and "are taken as labels" in note for note in said)
    assert json.loads((tmp_path / "run/config.json").read_text())["id2label"] == {"0": "odd", "1": "third"}
    error = run_engine("train", tmp_path / "a.csv", "-o", tmp_path / "x", *SCRATCH, code=2)
    assert "expected a label in line" in error or "expected one label in line" in error


# --- what is named ---


def test_check_leaves_columns_of_zeros_and_ones_as_they_are(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text,toxic,insult\n1,my card,1,0\n2,the weather,0,0\n3,,0,1\n4,your money,1,1\n5,a song,0,1\n")
    kept = "".join(line + "\n" for line in path.read_text().splitlines() if not line.startswith("3"))
    for named in ((), ("--label-column", "toxic,insult")):
        command = ("check", path, *named, "--remove", "empty,missing_label", "--overwrite", "-o", tmp_path / "b.csv")
        said = run_engine(*command)
        assert "1 row removed, 4 written" in said and ("name them with --label-column" in said) == (not named)
        assert (tmp_path / "b.csv").read_text() == kept


def test_odd_labels_are_named_by_check_and_by_training(tmp_path):
    rows = [
        *texts(3),
        ("red", "Card"),
        ("blue", "CARD"),
        ("x", "nan"),
        ("y", "nan"),
        ("text", "intent"),
        ("z", "caf\u00e9"),
        ("w", "cafe\u0301\u200b"),
    ]
    write_rows(tmp_path / "a.csv", ("text", "intent"), rows)
    out = run_engine("check", tmp_path / "a.csv")
    assert "label spelling       2" in out and "line 38 'red' [Card]" in out and "missing label        2" in out
    assert "note: 1 row repeats the header and was left out: line 42 of" in out
    said = notes_of(
        "train",
        tmp_path / "a.csv",
        "-o",
        tmp_path / "run",
        *SCRATCH,
        "--validation-fraction",
        "0",
        "--test",
        tmp_path / "a.csv",
    )
    assert any("'Card' (1, first in line 38 of" in note and "'card' (12)" in note for note in said)
    assert any("missing values" in note and "'nan' (2, first in line 40 of" in note for note in said)
    assert sum("repeats the header" in note for note in said) == 1
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert [f"note: {note}" for note in report["data"]["notices"]] == said
    assert all(f"- {note}" in (tmp_path / "run/report.md").read_text() for note in said)
    assert "are different classes" in (tmp_path / "run/report.html").read_text()
    assert sorted(json.loads((tmp_path / "run/config.json").read_text())["id2label"].values()) == sorted(
        ["card", "Card", "CARD", "login", "money", "nan", "caf\u00e9"]
    )


def test_labels_without_texts_and_texts_without_labels(tmp_path):
    write_rows(tmp_path / "a.csv", ("text", "intent"), [*texts(2), ("", "card"), ("\u200b", "card")])
    said = notes_of(
        "train",
        tmp_path / "a.csv",
        "-o",
        tmp_path / "run",
        *SCRATCH,
        "--validation-fraction",
        "0",
        "--test",
        tmp_path / "a.csv",
    )
    assert any("2 of 26 training texts (7.7%) are empty; the first is in line 26 of" in note for note in said)
    write_rows(tmp_path / "b.csv", ("text", "intent"), [*texts(2), ("a", ""), ("b", " ")])
    error = run_engine("train", tmp_path / "b.csv", "-o", tmp_path / "x", *SCRATCH, code=2)
    assert "expected a label in line 26 of" in error and "got an empty field (2 rows have none)" in error
    assert "missing label        2" in run_engine("check", tmp_path / "b.csv")


def test_cut_and_unknown_texts_are_counted(place, tmp_path):
    write_rows(
        tmp_path / "a.csv", ("text", "intent"), [("the card " * 40, "card"), ("我我", "card"), ("my card", "card")]
    )
    for command in (
        ("evaluate", place / "run", tmp_path / "a.csv"),
        ("predict", place / "run", "-i", tmp_path / "a.csv"),
    ):
        said = notes_of(*command)
        assert any(
            "1 of 3 texts (33.3%) are longer than 24 tokens and were cut: the longest has 82 tokens; the first is in line 2"
            in n
            for n in said
        )
        assert any(
            "1 of 3 texts (33.3%) have only tokens that the vocabulary does not know; the first is in line 3" in n
            for n in said
        )


def test_check_counts_tokens_with_a_model(place, tmp_path):
    write_rows(
        tmp_path / "a.csv", ("text", "intent"), [("the card " * 40, "card"), ("我我", "card"), ("my card", "card")]
    )
    out = run_engine("check", tmp_path / "a.csv", "--model", place / "run")
    assert (
        "the longest 82" in out and "1 of 3 texts (33.3%) are longer than 24 tokens" in out and "does not know" in out
    )
    out = run_engine("check", tmp_path / "a.csv", "--model", place / "run", "--max-length", 100)
    assert "the longest 82" in out and "are longer than" not in out
    assert "--max-length needs --model" in run_engine("check", tmp_path / "a.csv", "--max-length", 9, code=2)


def test_unequal_classes_are_named_with_their_remedy(tmp_path):
    rows = [(f"good {i}", "ham") for i in range(40)] + [("bad", "spam"), ("worse", "spam")]
    write_rows(tmp_path / "a.csv", ("text", "label"), rows)
    said = notes_of(
        "train",
        tmp_path / "a.csv",
        "-o",
        tmp_path / "run",
        *SCRATCH,
        "--validation-fraction",
        "0",
        "--test",
        tmp_path / "a.csv",
    )
    assert any("'ham' has 40 texts (95%), 'spam' has 2; --class-weights balanced" in note for note in said)
    balanced = notes_of(
        "train",
        tmp_path / "a.csv",
        "-o",
        tmp_path / "b",
        *SCRATCH,
        "--class-weights",
        "balanced",
        "--validation-fraction",
        "0",
        "--test",
        tmp_path / "a.csv",
    )
    assert not any("classes are unequal" in note for note in balanced)


# --- tags ---


def conll(path: Path, change: Any) -> Path:
    sentences = ["\n".join(f"{w} {t}" for w, t in zip(words, change(words, tags))) for words, tags in tagged()]
    path.write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    return path


def test_plain_tags_are_learnt_judged_and_predicted(tmp_path):
    data = conll(tmp_path / "a.conll", lambda words, _: ["LONG" if len(word) > 3 else "SHORT" for word in words])
    task = ("--task", "tagging", *SCRATCH)
    said = notes_of("train", data, "-o", tmp_path / "run", *task)
    assert any("mark no spans" in note for note in said)
    figures = json.loads(run_engine("evaluate", tmp_path / "run", data, "--json"))
    assert {"accuracy", "macro_f1"} < figures.keys() and "f1" not in figures
    assert {each["label"] for each in figures["classes"]} == {"LONG", "SHORT"}
    answer = json.loads(run_engine("predict", tmp_path / "run", "fly to berlin", "--json"))
    assert len(answer["tags"]) == 3 and set(answer["tags"]) <= {"LONG", "SHORT"} and "spans" not in answer
    answers = [json.loads(line) for line in run_engine("predict", tmp_path / "run", "-i", data, "--json").splitlines()]
    right = [a == ("LONG" if len(w) > 3 else "SHORT") for each in answers for w, a in zip(each["words"], each["tags"])]
    assert sum(right) / len(right) == pytest.approx(figures["accuracy"])


@pytest.mark.parametrize("end", ["E", "L"])
def test_other_schemes_of_spans(tmp_path, end):
    single = {"E": "S", "L": "U"}[end]

    def change(words: list[str], tags: list[str]) -> list[str]:
        after = [*tags[1:], "O"]
        prefix = {("B", True): "B", ("B", False): single, ("I", True): "I", ("I", False): end}
        return [t if t == "O" else prefix[t[0], n.startswith("I")] + t[1:] for t, n in zip(tags, after)]

    data = conll(tmp_path / "a.conll", change)
    run_engine("train", data, "-o", tmp_path / "run", "--task", "tagging", *SCRATCH, "--epochs", "30")
    figures = json.loads(run_engine("evaluate", tmp_path / "run", data, "--json"))
    assert {each["label"] for each in figures["classes"]} == {"city", "day"} and figures["f1"] > 0.5
    spans = json.loads(run_engine("predict", tmp_path / "run", "fly to new york on monday", "--json"))["spans"]
    assert all(span["type"] in ("city", "day") for span in spans)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda words, tags: ["0" if t == "O" and w == "fly" else t for w, t in zip(words, tags)], "got '0' for the word 'fly' in the sentence at line 1 of"),
        (lambda words, tags: ["city" if t == "B-city" else t for t in tags], "got 'city' for the word 'new' in the sentence at line 1 of"),
        (lambda words, tags: ["_"] * len(words), "at least two different tags, got only '_', first for the word"),
        (lambda words, tags: [f"{w}{i}{len(tags)}" for i, w in enumerate(words)], None),
    ],
)  # fmt: skip
def test_tags_that_cannot_be_are_refused_with_their_line(tmp_path, change, message):
    data = conll(tmp_path / "a.conll", change)
    if message is None:
        data.write_text("\n\n".join(f"word{i} tag{i}" for i in range(80)) + "\n")
        message = "fewer different tags for 80 words, got 80"
    error = run_engine("train", data, "-o", tmp_path / "run", "--task", "tagging", *SCRATCH, code=2)
    assert message in error and not (tmp_path / "run").exists()


def test_another_column_of_tags(tmp_path):
    lines = ["\n".join(f"{w} X {t} _" for w, t in zip(words, tags)) for words, tags in tagged()]
    (tmp_path / "a.conll").write_text("\n\n".join(lines), encoding="utf-8")
    run_engine(
        "train", tmp_path / "a.conll", "--label-column", "3", "-o", tmp_path / "run", "--task", "tagging", *SCRATCH
    )
    assert "B-city" in json.loads((tmp_path / "run/config.json").read_text())["id2label"].values()
    error = run_engine(
        "train",
        tmp_path / "a.conll",
        "--label-column",
        "9",
        "-o",
        tmp_path / "x",
        "--task",
        "tagging",
        *SCRATCH,
        code=2,
    )
    assert "--label-column: expected at most 4, the columns of" in error


def test_words_that_are_cut_off_get_no_tag(tmp_path):
    write_conll(tmp_path / "a.conll")
    run_engine("train", tmp_path / "a.conll", "-o", tmp_path / "run", "--task", "tagging", *SCRATCH)
    words = ["fly"] * 40
    answer = json.loads(run_engine("predict", tmp_path / "run", " ".join(words), "--json"))
    kept = sum(tag is not None for tag in answer["tags"])
    assert 0 < kept < 40 and answer["tags"][kept:] == [None] * (40 - kept)
    assert run_engine("predict", tmp_path / "run", " ".join(words)).split("\t")[0].split()[kept:] == ["_"] * (40 - kept)
    said = notes_of("predict", tmp_path / "run", " ".join(words))
    assert any(f"are longer than 24 tokens and were cut: {40 - kept} words get no tag" in note for note in said)
    (tmp_path / "long.conll").write_text(
        "".join(f"{word} O\n" for word in words) + "\n" + (tmp_path / "a.conll").read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    assert any(
        f"{40 - kept} words get no tag" in note
        for note in notes_of("evaluate", tmp_path / "run", tmp_path / "long.conll")
    )


# --- writing ---


@pytest.mark.parametrize("name", ["o.csv", "o.tsv", "o.jsonl", "o.parquet"])
def test_predictions_keep_the_columns_of_the_input(place, tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    rows = [('=1+1, "quoted"', "card", "1"), ("two words", "money", "-2"), ("", "", "")]
    write_rows(tmp_path / "a.csv", ("n", "text", "intent"), [(n, text, label) for text, label, n in rows])
    assert run_engine("predict", place / "run", "-i", tmp_path / "a.csv", "-o", tmp_path / name, "--top-k", 2) == ""
    table = read_table(tmp_path / name, extra_columns=None, read_labels=False, skip_empty_lines=False)
    assert table.header == (
        "n",
        "text",
        "intent",
        "predicted_label",
        "probability",
        "predicted_label_2",
        "probability_2",
    )
    assert (table.texts, table.columns["n"], table.columns["intent"]) == tuple(
        map(list, ([r[0] for r in rows], [r[2] for r in rows], [r[1] for r in rows]))
    )
    printed = run_engine("predict", place / "run", "-i", tmp_path / "a.csv").splitlines()
    assert table.columns["predicted_label"] == [line.split("\t")[0] for line in printed]
    assert [float(p) for p in table.columns["probability"]] == pytest.approx(
        [float(line.split("\t")[1]) for line in printed], abs=1e-4
    )
    error = run_engine("predict", place / "run", "-i", tmp_path / name, "-o", tmp_path / "again.csv", code=2)
    assert "expected columns of other names than the answers', got 'predicted_label'" in error
    assert not (tmp_path / "again.csv").exists()


def test_files_for_spreadsheets(place, tmp_path):
    texts_ = ["=HYPERLINK(1)", "+1", "-1", "@x", "plain", "'quoted"]
    write_rows(tmp_path / "a.csv", ("text", "n"), [(text, "-1") for text in texts_])
    run_engine("predict", place / "run", "-i", tmp_path / "a.csv", "-o", tmp_path / "o.csv", "--spreadsheet-safe")
    assert [row["text"] for row in rows_of(tmp_path / "o.csv")] == [
        "'=HYPERLINK(1)",
        "'+1",
        "'-1",
        "'@x",
        "plain",
        "'quoted",
    ]
    run_engine("predict", place / "run", "-i", tmp_path / "a.csv", "-o", tmp_path / "p.csv")
    assert [row["text"] for row in rows_of(tmp_path / "p.csv")] == texts_
    for arguments in (("-o", tmp_path / "o.jsonl"), ()):
        assert "--spreadsheet-safe" in run_engine(
            "predict", place / "run", "-i", tmp_path / "a.csv", *arguments, "--spreadsheet-safe", code=2
        )


def test_unknown_endings_are_refused_before_the_work(tmp_path):
    (tmp_path / "run").mkdir()  # no model: the work would fail
    (tmp_path / "a.csv").write_text("text\na\n")
    for command in (
        ("predict", tmp_path / "run", "x"),
        ("check", tmp_path / "a.csv", "--remove", "empty"),
        ("embed", tmp_path / "run", tmp_path / "a.csv"),
    ):
        assert "expected a file name that ends in" in run_engine(*command, "-o", tmp_path / "o.xlsx", code=2)


def test_a_file_appears_whole_or_not_at_all(place, tmp_path):
    (tmp_path / "o.csv").write_text("old")
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": 3}\n')
    run_engine("predict", place / "run", "-i", tmp_path / "a.jsonl", "-o", tmp_path / "o.csv", "--overwrite", code=2)
    assert (tmp_path / "o.csv").read_text() == "old"


def test_control_characters_never_reach_a_terminal(place, tmp_path):
    evil = "\x1b[31mred\x9b31m\x07 card"
    write_rows(tmp_path / "a.csv", ("text", "intent"), [(evil, "\x1b[0mcard"), ("b", "card"), *texts(1)])
    outputs = [
        run_engine("predict", place / "run", evil),
        run_engine("predict", place / "run", evil, "--json"),
        run_engine("check", tmp_path / "a.csv"),
        run_engine("check", tmp_path / "a.csv", "--json"),
        run_engine("evaluate", place / "run", tmp_path / "a.csv", "--label-column", evil, code=2),
        *notes_of("train", tmp_path / "a.csv", "-o", tmp_path / "run", *SCRATCH),
    ]
    for output in outputs:
        assert not any(
            (ord(character) < 32 and character not in "\n\t") or 126 < ord(character) < 160 for character in output
        ), repr(output)
    assert "\\x1b[31mred" in outputs[0]
    assert json.loads(outputs[1])["text"] == evil


# --- words with tags ---

CONLL = "Ann B-PER\nsleeps O\n\nBob B-PER\nsleeps O\n\nAnn O\nsleeps O\n\nAnn B-PER\nsleeps O\n"


def test_tagged_words_in_a_text_file_are_checked_and_trained_on(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(CONLL)
    said = " ".join(run_engine("check", path, "--task", "tagging").split())
    assert "4 rows of" in said and " duplicate 2 " in said and "label conflict 2 " in said
    assert "line 10 'Ann sleeps' = line 1 'Ann sleeps'" in said and "note:" not in said
    run_engine("check", path, "--task", "tagging", "--remove", "label_conflict", "-o", tmp_path / "left.jsonl")
    assert json.loads((tmp_path / "left.jsonl").read_text()) == {"words": ["Bob", "sleeps"], "tags": ["B-PER", "O"]}
    path.write_text((CONLL + "\n") * 5)
    run_engine("train", path, "--task", "tagging", "-o", tmp_path / "run", *SCRATCH)
    assert json.loads((tmp_path / "run/config.json").read_text())["id2label"] == {"0": "B-PER", "1": "O"}
    lines = run_engine("predict", tmp_path / "run", "--input", path, "--format", "conll", "--json").splitlines()
    assert len(lines) == 20 and json.loads(lines[0])["words"] == ["Ann", "sleeps"]


def test_a_file_of_tagged_words_that_is_read_as_texts_is_noticed(tmp_path):
    (tmp_path / "a.txt").write_text(CONLL)
    assert "it looks like a CoNLL file" in run_engine("check", tmp_path / "a.txt")
    error = run_engine("train", tmp_path / "a.txt", "-o", tmp_path / "run", *SCRATCH, code=2)
    assert "use --task tagging" in error
    for text in ("New B-\nYork O\n", "it is B-O\n\nO\n", "a b\n\nc d\n"):
        (tmp_path / "a.txt").write_text(text)
        assert "CoNLL" not in run_engine("check", tmp_path / "a.txt")


def test_check_names_tags_that_training_refuses(tmp_path):
    (tmp_path / "a.conll").write_text(CONLL.replace("O\n", "0\n", 1))
    said = run_engine("check", tmp_path / "a.conll", "--task", "tagging")
    assert "note: training refuses these tags: expected 'O', or B-" in said and "the letter O is meant" in said
    assert "--task tagging reads CoNLL files" in run_engine("check", tmp_path / "a.conll", code=2)
    assert "--label-separator is not used" in run_engine(
        "check", tmp_path / "a.conll", "--task", "tagging", "--label-separator", ",", code=2
    )


def test_check_reads_labels_as_the_task_does(tmp_path):
    write_rows(tmp_path / "a.csv", ("text", "label"), [("one text", "a|b"), ("another", "a"), ("a third", "b")])
    for task, rare in (("classification", 3), ("multilabel", 0), ("regression", 0)):
        said = run_engine("check", tmp_path / "a.csv", "--task", task)
        assert f"rare label {rare}" in " ".join(said.split())
