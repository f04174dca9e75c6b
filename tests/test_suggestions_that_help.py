"""Errors and notices suggest only what helps the reader who gets them, and call things by their names."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import engine
from cli_runs import notes_of
from engine.entries import read_json
from engine.inference import Predictor
from engine.models import TransformerClassifier, TransformerConfig
from engine.runs import TextData
from engine.runs.plan import counted_labels
from engine.runs.text import TextRun
from engine.serialization import load_file
from engine.tasks import Classification, Regression, Tagging
from engine.text import Tokenizer, read_table
from engine.train import TrainerConfig

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 90868376\n"


def file(path, contents):
    path.write_bytes(contents)
    return path


def test_a_row_of_csv_that_is_too_long_may_lack_quotes(tmp_path):
    hint = "a field with ',' inside is written in double quotes"
    with pytest.raises(ValueError, match=rf"2 columns in line 2 of .*, got 3 \({hint}\)"):
        read_table(file(tmp_path / "a.csv", b"text,label\nhello, there,x\n"))
    with pytest.raises(ValueError, match=r"2 columns in line 2 of .*, got 1$"):
        read_table(file(tmp_path / "b.csv", b"text,label\nhello\n"))
    with pytest.raises(ValueError, match=r"2 columns in line 2 of .*, got 3$"):  # TSV has no quotes
        read_table(file(tmp_path / "c.tsv", b"text\tlabel\nhello\tthere\tx\n"))


def test_rows_inside_of_an_object_of_json_are_named(tmp_path):
    rows = b'{"version": 1, "data": [{"text": "a", "label": "b"}]}'
    with pytest.raises(ValueError, match=r"rows in 'data' \(save only the array that is in 'data'\)"):
        read_table(file(tmp_path / "a.json", rows))
    columns = b'{"text": ["a", "b"], "label": ["c", "d"]}'
    with pytest.raises(ValueError, match=r"for each column \(pandas writes such files"):
        read_table(file(tmp_path / "b.json", columns))


@pytest.mark.parametrize(
    ("name", "read"),
    [("model.safetensors", load_file), ("config.json", read_json), ("a.csv", read_table), ("a.parquet", read_table)],
)
def test_pointers_of_git_lfs_are_no_files(tmp_path, name, read):
    path = file(tmp_path / name, POINTER)
    with pytest.raises(ValueError, match=rf"got .*{name}, which is a pointer of Git LFS \(`git lfs pull`"):
        read(path)


def test_a_missing_label_has_a_way_out_in_every_file(tmp_path):
    way = "`engine check --remove missing_label --output FILE` writes a copy"
    with pytest.raises(ValueError, match=rf"--clean missing_label leaves such rows out of the training texts; {way}"):
        read_table(file(tmp_path / "a.csv", b"text,label\nhello,\nthere,x\n"))


def test_settings_of_several_values_are_shown_as_they_are_typed():
    with pytest.raises(ValueError, match=r"columns: expected no value, got 'word,tag' \(why\)"):
        TextData(("a.csv",), columns=("word", "tag")).refuse("why", "columns")


def test_the_name_of_a_file_is_no_table():
    with pytest.raises(
        TypeError, match=r"texts: expected a list of texts, or a table, got one string or path \(.*read_table"
    ):
        engine.train.fit("train.csv")


def test_a_remark_on_tags_counts_spans_and_types():
    classes = [{"label": name, "support": 2, "recall": float(name == "city")} for name in ("city", "name")]
    report = {"training": {"epochs": 1, "best_step": 1, "steps": 1}, "test": {"classes": classes}}
    for tags, said in (
        (
            ["O", "B-city", "I-city", "B-name"],
            "No span of 1 of the 2 types was recognised: name. More texts with these types",
        ),
        (["city", "name"], "No word of 1 of the 2 tags was recognised: name. More texts with these tags"),
    ):
        (sentence,) = TextRun.advice(SimpleNamespace(task=Tagging(tags), trainer=TrainerConfig()), report)
        assert sentence.startswith(said)


def test_only_tasks_with_labels_count_them():
    assert counted_labels(Classification(["a", "b"])) == ["2 labels"]
    assert counted_labels(Tagging(["O", "B-a", "I-a"])) == ["3 tags"]
    assert counted_labels(Regression(["label"])) == []


def test_predict_notes_a_text_that_is_the_name_of_a_file(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    tokenizer = Tokenizer.train(["hello there", "good bye"], vocab_size=50)
    config = TransformerConfig(vocab_size=tokenizer.vocab_size, num_labels=2, max_position_embeddings=16, **sizes)
    predictor = Predictor(TransformerClassifier(config), tokenizer)
    assert repr(predictor) == "Predictor(classification, 2 labels, texts of at most 16 tokens)"
    predictor.save_pretrained(tmp_path / "run")
    table = file(tmp_path / "a.csv", b"text\nhello\n")
    note, *_ = notes_of("predict", tmp_path / "run", table, "hello")
    assert note.endswith(f"is also the name of a file; --input {table} labels the texts in it")
