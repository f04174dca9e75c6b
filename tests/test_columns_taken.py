"""Which columns of a file are taken for what: said by the plan and by `check`, chosen by options, and refused where one is taken twice."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("tokenizers")

import engine.train
from cli_runs import SCRATCH, _run, run_engine, tagged, write_conll, write_rows, write_texts
from engine.text import read_table, read_tagged

PLAN = (*(o for o in SCRATCH if o != "--no-progress"), "--dry-run")
TAGS = ("--task", "tagging")


def plan(*arguments):
    """The columns in the plan of a training."""
    first = next(line for line in run_engine("train", *arguments, *PLAN).splitlines() if line.startswith("data: "))
    return first.partition("; columns: ")[2]


def write_words(path, header=None, sentences=None):
    """A word in each row: the number of its sentence, the word, its tag."""
    rows = [(str(i), *pair) for i, (words, tags) in enumerate(sentences or tagged(6)) for pair in zip(words, tags)]
    path.write_text("".join(",".join(row) + "\n" for row in ([header] if header else []) + rows), encoding="utf-8")
    return path


# --- said


def test_the_plan_and_check_say_the_columns(tmp_path):
    write_texts(tmp_path / "a.csv", 6)
    write_texts(tmp_path / "b.csv", 6, ("question", "topic"))
    assert plan(tmp_path / "a.csv") == "text 'text', label 'intent'"
    said = plan(tmp_path / "a.csv", "--test", tmp_path / "b.csv")
    assert said == "text 'text', label 'intent'; of the test texts text 'question', label 'topic'"
    said, notes = _run(("train", tmp_path / "a.csv", tmp_path / "b.csv", *PLAN), 0, b"")
    assert f"columns of {tmp_path}/b.csv: text 'question', label 'topic'; of {tmp_path}/a.csv: text 'text'" in notes
    said = run_engine("check", tmp_path / "a.csv", "--test", tmp_path / "b.csv").splitlines()
    assert said[1] == "columns: text 'text', label 'intent'"
    assert f"  note: columns of {tmp_path}/b.csv: text 'question', label 'topic'" in said
    report = json.loads(run_engine("check", tmp_path / "b.csv", "--json"))
    assert report["columns"] == {"text": "question", "label": "topic"}


def test_columns_of_conll_files_have_numbers(tmp_path):
    path = write_conll(tmp_path / "a.conll", 6)
    assert plan(path, *TAGS) == "words in column 1, tags in column 2"
    three = tmp_path / "b.conll"
    three.write_text("".join(f"{line} X\n" if line else "\n" for line in path.read_text().splitlines()))
    assert plan(three, *TAGS, "--label-column", "2") == "words in column 1, tags in column 2"
    assert plan(three, *TAGS, "--columns", "word,ner,kind") == "words 'word', tags 'ner'"
    said = run_engine("check", three, *TAGS, "--label-column", "2").splitlines()
    assert said[1] == "columns: words in column 1, tags in column 2"
    assert read_tagged(three).taken == {"words": 1, "tags": 3}
    assert (
        read_tagged(three, read_tags=False).taken == {"words": 1} and read_tagged(three, read_tags=False).tags is None
    )


@pytest.mark.parametrize(
    ("name", "text", "taken"),
    [
        ("a.jsonl", '{"words": ["a"], "ner_tags": ["O"], "id": 1}\n', {"words": "words", "tags": "ner_tags"}),
        ("a.csv", "Sentence #,Word,Tag\n1,a,O\n", {"words": "Word", "tags": "Tag"}),
        ("a.csv", "text,tags\na b,O O\n", {"words": "text", "tags": "tags"}),
        ("a.conllu", "# x\n1" + "\ta" * 9 + "\n", {"words": 2, "tags": 4}),
        ("a.conll", "a\nb\n", {"words": 1}),
    ],
)
def test_columns_of_tagged_words(tmp_path, name, text, taken):
    (tmp_path / name).write_text(text)
    assert read_tagged(tmp_path / name).taken == taken


def test_folders_of_tagged_words_name_their_files(tmp_path):
    (tmp_path / "seq.in").write_text("a b\n")
    (tmp_path / "seq.out").write_text("O O\n")
    assert read_tagged(tmp_path).taken == {"words": "seq.in", "tags": "seq.out"}
    assert read_tagged(tmp_path, read_tags=False).tags is None


# --- tables of tagged words without a header


def test_tagged_words_without_a_header(tmp_path):
    path, names = write_words(tmp_path / "a.csv"), ("--columns", "sentence,word,tag")
    expected = [words for words, _ in tagged(6)]
    assert read_tagged(path, columns=("sentence", "word", "tag")).words == expected
    with pytest.raises(ValueError, match=r"expected what tells sentences apart .* call that column so"):
        read_tagged(path, columns=("n", "w", "t"), word_column="w", tag_column="t")
    said = run_engine("train", path, *TAGS, *PLAN, code=2)
    assert "a file without a header with --columns" in said
    assert plan(path, *TAGS, *names) == "words 'word', tags 'tag'"
    assert "columns: words 'word', tags 'tag'" in run_engine("check", path, *TAGS, *names)
    run_engine("train", path, *TAGS, *names, *SCRATCH, "-o", tmp_path / "run")
    assert "F1" in run_engine("evaluate", tmp_path / "run", path)  # read as the training's
    lines = run_engine("predict", tmp_path / "run", "--input", path).splitlines()
    assert [line.split("\t")[1] for line in lines] == [" ".join(words) for words in expected]
    write_words(tmp_path / "b.csv", sentences=[(["fly", "home"], ["?", "?"])])
    said = run_engine("predict", tmp_path / "run", "--input", tmp_path / "b.csv")  # its tags are not read
    assert said.endswith("\tfly home\n")
    (tmp_path / "c.csv").write_text("1,fly\n1,home\n")
    assert run_engine("predict", tmp_path / "run", "-i", tmp_path / "c.csv", "--columns", "sentence,word") == said


def test_sentences_without_a_header_other_delimiters_and_names(tmp_path):
    sentences = tmp_path / "a.txt.csv"
    sentences.write_text("".join(f"{' '.join(words)};{' '.join(tags)}\n" for words, tags in tagged(6)))
    assert plan(sentences, *TAGS, "--columns", "text,tags") == "words 'text', tags 'tags'"
    table = read_tagged(sentences, columns=("a", "b"), word_column="a", tag_column="b", delimiter=";")
    assert table.words == [words for words, _ in tagged(6)]
    named = write_words(tmp_path / "b.csv", header=("sentence", "Wort", "Etikett"))
    columns = ("--text-column", "Wort", "--label-column", "Etikett")
    assert plan(named, *TAGS, *columns) == "words 'Wort', tags 'Etikett'"
    tabs = tmp_path / "c.tsv"
    tabs.write_text(named.read_text().partition("\n")[2].replace(",", "\t"))
    assert read_tagged(tabs, columns=("sentence", "word", "tag")).tags == [tags for _, tags in tagged(6)]
    quote = tmp_path / "d.csv"
    quote.write_text('sentence,word,tag\n1,",O\n1,a,O\n')
    assert read_tagged(quote, quoting=False).words == [['"', "a"]]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("a.conll", {"columns": ("word", "tag")}, "columns: expected 3 names, one for each column"),
        ("a.conll", {"columns": "word,tag"}, "columns: expected a list of names, got one string"),
        ("a.conll", {"word_column": "3"}, "tag_column: expected a column other than the words'"),
        ("a.conll", {"word_column": "x"}, "word_column: expected the number of a column"),
        (
            "a.conll",
            {"quoting": True, "format": "conll"},
            "quoting: expected None, because files of the format 'conll'",
        ),
        ("a.jsonl", {"columns": ("word", "tag")}, "columns: expected None, because files of the format 'jsonl'"),
        ("a.csv", {"word_column": "x"}, "expected a column 'x' in line 1"),
        ("a.csv", {"word_column": "tag"}, "tag_column: expected a column other than the words'"),
    ],
)
def test_columns_that_do_not_fit(tmp_path, name, given, message):
    (tmp_path / "a.conll").write_text("a X O\nb X O\n")
    (tmp_path / "a.jsonl").write_text('{"words": ["a"], "tags": ["O"]}\n')
    (tmp_path / "a.csv").write_text("sentence,word,tag\n1,a,O\n1,b,O\n")
    with pytest.raises((ValueError, TypeError), match=message):
        read_tagged(tmp_path / name, **given)


def test_a_run_keeps_the_number_of_its_columns(tmp_path):
    path = tmp_path / "a.conll"
    rows = [f"{w} {t} {'XY'[i % 2]}\n" for words, tags in tagged(6) for i, (w, t) in enumerate(zip(words, tags))]
    path.write_text("".join(row + "\n" * (i % 5 == 4) for i, row in enumerate(rows)))
    run_engine("train", path, *TAGS, "--label-column", "2", *SCRATCH, "-o", tmp_path / "run")
    assert "F1" in run_engine("evaluate", tmp_path / "run", path)
    assert len(run_engine("predict", tmp_path / "run", "-i", path, "--format", "conll").splitlines()) > 1


# --- taken twice


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--group-column", "label"), "--group-column: expected a column other than the label's, got 'label' (name the column of the labels with --label-column; a report has the figures of each label"),
        (("--group-column", "text"), "--group-column: expected a column other than the text's, got 'text' (name the column of the texts with --text-column)"),
        (("--group-column", "lang", "--label-column", "lang"), "'lang', the column of the labels (a report has the figures of each label without it)"),
        (("--group-column", "lang", "--text-column", "lang"), "'lang', the column of the texts (name another one)"),
        (("--group-column", "lang", "--pair-column", "lang"), "'lang', the column of the second texts (name another one)"),
        (("--pair-column", "label"), "--pair-column: expected a column other than the label's, got 'label'"),
        (("--pair-column", "text"), "--pair-column: expected a column other than the text's, got 'text'"),
        (("--pair-column", "text", "--text-column", "text"), "--pair-column: expected a column other than the text's and the label's"),
        (("--label-column", "text"), "--label-column: expected a column other than the text's, got 'text' (name the column of the texts with --text-column)"),
        (("--label-column", "label", "--text-column", "label"), "--label-column: expected a column other than the text's, got 'label' (name the column of the texts with --text-column)"),
        (("--label-column", "text,label"), "--label-column: expected a column other than the text's, got 'text'"),
    ],
)  # fmt: skip
def test_a_column_is_taken_for_one_thing(tmp_path, options, message):
    path = write_rows(
        tmp_path / "a.csv", ("text", "label", "lang", "n"), [("a", "x", "de", "1"), ("b", "y", "en", "2")] * 9
    )
    assert message in run_engine("train", path, *options, *PLAN, code=2)


def test_a_group_may_be_any_other_column(tmp_path):
    path = write_rows(tmp_path / "a.csv", ("text", "label", "lang"), [("a", "x", "de"), ("b", "y", "en")] * 9)
    assert plan(path, "--group-column", "lang") == "text 'text', label 'label'"
    assert read_table(path, extra_columns=["label"]).columns == {
        "label": ["x", "y"] * 9
    }  # a reader gives what is asked for


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": "label"}, "label: expected a column other than that of text, got 'label'"),
        ({"text": "a", "label": "a"}, "label: expected a column other than that of text, got 'a'"),
        ({"pairs": "text"}, "pairs: expected a column other than that of text, got 'text'"),
        ({"pairs": "label"}, "pairs: expected a column other than that of label, got 'label'"),
    ],
)
def test_a_column_of_a_table_in_memory_is_taken_for_one_thing(columns, message):
    table = {name: ["x", "y"] * 9 for name in ("text", "label", "a")}
    with pytest.raises(ValueError, match=message):
        engine.train.fit(table, **columns)
