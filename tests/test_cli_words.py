"""The command speaks the user's words: lines of the input, options that were typed, no names from inside."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, WORDS, _run, run_engine, write_encoder

RUNS = Path(__file__).parent / "runs-0.1"
LONG = "word " * 400


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "a.csv"
    rows = [f"{text} {i},{label}" for label, texts in WORDS.items() for text in texts for i in range(5)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("task", ["classification", "tagging"])
def test_notes_on_standard_input_name_the_line(task):
    lines = ["a card"] * 300
    lines[199] = lines[260] = LONG
    _, err = _run(["predict", RUNS / task, "--batch-size", "64"], 0, "\n".join(lines).encode())
    assert "2 of 300 texts" in err and "the first is in line 200 of standard input" in err


def test_other_places_of_texts(tmp_path):
    _, err = _run(["predict", RUNS / "classification", "a card", LONG], 0, b"")
    assert "the first is in text 2 of the command line" in err
    (tmp_path / "a.txt").write_text("a\n" * 200 + LONG + "\n")
    _, err = _run(["predict", RUNS / "classification", "--input", tmp_path / "a.txt"], 0, b"")
    assert f"the first is in line 201 of {tmp_path / 'a.txt'}" in err
    assert "UTF-8 in line 3" in run_engine("predict", RUNS / "classification", stdin=b"a\nb\n\xff\n", code=2)


def test_targets_of_lora(data, tmp_path):
    write_encoder(tmp_path / "encoder")
    begin = ("train", data, "--init", tmp_path / "encoder", "--output", tmp_path / "run", "--lora-rank", "2")
    line = run_engine(*begin, "--lora-targets", "qury", code=2)
    assert "--lora-targets: expected names of Linear layers, got 'qury'" in line
    assert "attention.self.query" in line and "modules_to_save" not in line
    assert "--lora-dropout: expected" in run_engine(*begin, "--lora-dropout", "2", code=2)
    assert "--lora-alpha: expected" in run_engine(*begin, "--lora-alpha", "-1", code=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--validation-fraction", "0.001"), "--validation-fraction: expected two parts"),
        (("--validation-fraction", "3"), "--validation-fraction: expected a number in [0, 1)"),
        (("--augment", "deletion=7"), "--augment: expected"),
        (("--clean", "dirt"), "--clean: expected"),
        (("--tokenizer", "{folder}"), "--tokenizer: expected a folder with tokenizer.json"),
        (("--label-column", "kind"), "--label-column: expected one of the columns"),
        (("--encoding", "klingon"), "--encoding: expected a known encoding"),
        (("--format", "klingon"), "--format: expected 'csv'"),
        (("--task", "ranking"), "--task: expected one of"),
        (("--dim", "10", "--heads", "3"), "--dim: expected a multiple"),
        (("--max-length", "2"), "--max-length: expected at least 3"),
        (("--freeze-layers", "9"), "--freeze-layers: expected at most"),
        (("--metric", "f7"), "--metric: expected"),
        (("--label-column", "text"), "expected a column other than the text's"),
        (("--task", "regression"), "labels: expected a finite float32 number"),
    ],
)
def test_errors_name_options(data, tmp_path, options, said):
    given = [each.format(folder=tmp_path) for each in options]
    line = run_engine("train", data, *SCRATCH, *given, "--output", tmp_path / "run", code=2)
    assert said in line and ": [" not in line.replace("in [0, 1)", "")


def test_errors_of_files_begin_with_what_is_wrong(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"open,x\nb,y\n')
    line = run_engine("train", tmp_path / "a.csv", "--output", tmp_path / "run", code=2)
    assert line.startswith("engine train: expected a second quote for the field that begins with a quote in line 2 of")
    assert "use --no-quotes" in line
    (tmp_path / "b.tsv").write_text('text\tlabel\n"a\tb"\tx\n')
    assert "use --quotes)" in run_engine("train", tmp_path / "b.tsv", "--output", tmp_path / "run", code=2)
    (tmp_path / "c.csv").write_bytes("text,label\ncafé,x\n".encode("latin-1"))
    for task in ("classification", "tagging"):
        line = run_engine("train", tmp_path / "c.csv", "--task", task, "--output", tmp_path / "run", code=2)
        assert "name its encoding with --encoding, such as cp1252" in line


def test_thresholds_are_for_several_labels(data):
    for command in (("predict", RUNS / "classification", "a"), ("evaluate", RUNS / "classification", data)):
        assert "--threshold is for several labels a text" in run_engine(*command, "--threshold", "0.3", code=2)


def test_the_forms_of_files_can_be_named(data, tmp_path):
    copy = tmp_path / "a.data"
    copy.write_bytes(data.read_bytes())
    assert "or name its form with --format" in run_engine("check", copy, code=2)
    named, plain = (run_engine("check", *given).split("\n", 1)[1] for given in ((copy, "--format", "csv"), (data,)))
    assert named == plain
    (tmp_path / "table.txt").write_text("text\tlabel\na card\tx\n")
    _, err = _run(["predict", RUNS / "classification", "--input", tmp_path / "table.txt"], 0, b"")
    assert "looks like the header of a table; if it is one, use --format tsv" in err
    out, err = _run(["predict", RUNS / "classification", "--input", tmp_path / "table.txt", "--format", "tsv"], 0, b"")
    assert out.count("\n") == 1 and "header" not in err
