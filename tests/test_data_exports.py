"""Files as spreadsheets, Kaggle and other programs export them: quotes in TSV, tables named .txt, encodings, a word in each row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.tasks import Columns, Regression, Tagging
from engine.text import TaggedTable, Tokenizer, parse_numbers, read_table, read_tagged, tag_dataset
from engine.text.labels import Labels


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


# --- quotes


def test_fields_in_quotes_in_tsv_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\nplain\tx\n"say ""hi"""\ty\n"more"\ty\n')
    table = read_table(path)
    assert table.texts[1] == '"say ""hi"""'
    assert [n for n in table.notes if "fields in quotes in line 3 of" in n and "later rows" in n and "--quotes" in n]
    assert read_table(path, quoting=False).notes == ()
    table = read_table(path, quoting=True)
    assert table.texts == ["plain", 'say "hi"', "more"] and table.notes == ()
    path = write(tmp_path / "b.tsv", 'text\tlabel\n"a\tb"\tx\n')
    with pytest.raises(
        ValueError, match=r"2 columns in line 2 of .*, got 3 \(if fields are in quotes, use quoting=True\)"
    ):
        read_table(path)
    assert read_table(path, quoting=True).texts == ["a\tb"]


def test_errors_of_quotes_say_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\nfine,x\n"5" pipe,y\n')
    with pytest.raises(
        ValueError, match=r"',' or the end of the line after the quote that ends a field in line 3 of .*"
    ) as caught:
        read_table(path)
    assert 'a quote inside a field in quotes is written twice: ""' in str(caught.value)
    assert "use quoting=False" in str(caught.value)
    path = write(tmp_path / "b.csv", 'text,label\n"open,x\nfine,y\n')
    with pytest.raises(
        ValueError, match=r"a second quote for the field that begins with a quote in line 2 of .*end of the file"
    ):
        read_table(path)


# --- tables by other names


@pytest.mark.parametrize(("mark", "form"), [("\t", "tsv"), (",", "csv"), (";", "csv")])
def test_a_table_named_txt_is_noticed(tmp_path: Path, mark: str, form: str) -> None:
    path = write(tmp_path / "a.txt", f"text{mark}label\nmy card{mark}x\nhello{mark}y\n")
    table = read_table(path, read_labels=False)
    assert len(table) == 3 and f"--format {form}" in table.notes[0]
    assert read_table(path, format=form).labels == ["x", "y"]
    with pytest.raises(ValueError, match=f"a column of labels in .*looks like the header of a table.*--format {form}"):
        Regression.read(str(path), Columns())
    with pytest.raises(
        ValueError,
        match=r"plain lines have no columns, got 'label' \(if the file is a table, name its form with format=",
    ):
        read_table(path, label_column="label")


@pytest.mark.parametrize(
    "text", ["hello, text\nanother line\n", "one line\n", "text\nlabel\n", "my card, class\nb\nc, d, e\n"]
)
def test_plain_lines_are_no_table(tmp_path: Path, text: str) -> None:
    assert read_table(write(tmp_path / "a.txt", text)).notes == ()


def test_an_unknown_ending_needs_a_form(tmp_path: Path) -> None:
    path = write(tmp_path / "a.data", "text,label\na,x\n")
    with pytest.raises(ValueError, match="or name its form with format="):
        read_table(path)
    assert read_table(path, format="csv").texts == ["a"]
    assert Regression.read(str(path), Columns(label="label", format="csv"), labelled=False).texts == ["a"]


# --- encodings


def test_other_encodings_name_the_way_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\ncafé,x\n", "cp1252")
    with pytest.raises(ValueError, match=r"UTF-8 in line 2 of .*\(name its encoding with encoding=, such as cp1252"):
        read_table(path)
    assert read_table(path, encoding="cp1252").texts == ["café"]
    for codec in ("utf-16-le", "utf-16-be"):
        path = write(tmp_path / "b.csv", "text,label\nabc,x\n", codec)
        with pytest.raises(ValueError, match=f"if it is UTF-16 without a byte-order mark, use encoding= {codec}"):
            read_table(path)
        assert read_table(path, encoding=codec).texts == ["abc"]
    path = write(tmp_path / "c.conll", "café O\n", "latin-1")
    with pytest.raises(ValueError, match="name its encoding with encoding="):
        read_tagged(path)
    assert read_tagged(path, encoding="latin-1").words == [["café"]]


# --- a word in each row

KAGGLE = 'Sentence #,Word,POS,Tag\nSentence: 1,Café,NNS,B-geo\n,of,IN,O\n,"""",``,O\nSentence: 2,Families,NNS,O\n,"1,5",CD,B-tim\n'
WORDS, TAGS = [["Café", "of", '"'], ["Families", "1,5"]], [["B-geo", "O", "O"], ["O", "B-tim"]]


def test_sentences_numbered_in_their_first_row(tmp_path: Path) -> None:
    path = write(tmp_path / "ner.csv", KAGGLE, "latin-1")
    table = read_tagged(path, encoding="latin-1")
    assert (table.words, table.tags, table.lines) == (WORDS, TAGS, [2, 5])
    assert table.notes == (f"the tags of {path} are those at 'Tag', not at 'POS'",)
    assert read_tagged(path, encoding="latin-1", tag_column="pos").tags == [["NNS", "IN", "``"], ["NNS", "CD"]]
    with pytest.raises(ValueError, match=r"a column 'other' in line 1 of .*, got 'Sentence #', 'Word', 'POS', 'Tag'"):
        read_tagged(path, encoding="latin-1", tag_column="other")
    read = Tagging.read(str(path), Columns(encoding="latin-1"))
    assert read.tags == TAGS and Tagging.read(str(path), Columns(encoding="latin-1"), labelled=False).words == WORDS


@pytest.mark.parametrize(
    "text",
    [
        "sentence_idx,word,tag\n1,a,O\n1,b,B-x\n2,c,O\n",
        "word;sentence_id;ner\na;7;O\nb;7;B-x\nc;9;O\n",
        "Token,Tag\na,O\nb,B-x\n\nc,O\n",
        "Word,Tag\na,O\nb,B-x\n,\nc,O\n",
    ],
)
def test_other_forms_of_a_word_in_each_row(tmp_path: Path, text: str) -> None:
    table = read_tagged(write(tmp_path / "a.csv", text))
    assert (table.words, table.tags) == ([["a", "b"], ["c"]], [["O", "B-x"], ["O"]])
    tabs = read_tagged(write(tmp_path / "a.tsv", text.replace(",", "\t").replace(";", "\t")))
    assert tabs.words == table.words


def test_what_a_word_in_each_row_needs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"what tells sentences apart in line 2 of .*'Sentence #'"):
        read_tagged(write(tmp_path / "a.csv", "word,tag\na,O\nb,O\n"))
    with pytest.raises(ValueError, match=r"a word and its tag in line 3 of .*, got the word 'b' and the tag ''"):
        read_tagged(write(tmp_path / "a.csv", "sentence,word,tag\n1,a,O\n1,b,\n"))
    assert read_tagged(write(tmp_path / "a.csv", "sentence,word\n1,a\n1,b\n")).tags is None


@pytest.mark.parametrize(
    "row",
    ["a b,O B-x", "\"['a', 'b']\",\"['O', 'B-x']\"", "a b,\"['O', 'B-x']\"", '"[""a"", ""b""]","[""O"", ""B-x""]"'],
)
def test_a_sentence_in_each_row(tmp_path: Path, row: str) -> None:
    table = read_tagged(write(tmp_path / "ner.csv", f"Sentence,Tag\n{row}\n"))
    assert (table.words, table.tags) == ([["a", "b"]], [["O", "B-x"]])


def test_a_word_without_a_token_inside_a_span_has_no_part_in_it(tmp_path: Path) -> None:
    """The tokenizer drops the invisible word: its tag is in no loss and no figure, and no prediction gives it a tag."""
    pytest.importorskip("tokenizers")
    names = Labels(["B-x", "I-x", "O"])
    tokenizer = Tokenizer.train(["new york is big"] * 4, 60)
    table = TaggedTable([["new", "\u200b", "york", "is"]], [["B-x", "I-x", "I-x", "O"]])
    dataset = tag_dataset(table, tokenizer, names)
    tags = dataset.token_labels
    assert tags is not None and sorted(tags[tags >= 0].tolist()) == [0, 1, 2]
    task = Tagging(names)
    logits = np.zeros((dataset.total_tokens, 3), np.float32)
    logits[np.arange(dataset.total_tokens), np.where(tags >= 0, tags, 2)] = 9
    figures = task.report(table, dataset, logits)
    assert figures["f1"] == figures["accuracy"] == 1.0
    (answer,) = task.answers(table, dataset, logits)
    assert answer["tags"] == ["B-x", None, "I-x", "O"]
    assert [(span["start"], span["end"]) for span in answer["spans"]] == [(0, 3)]
    assert task.cells(answer) == ["B-x _ I-x O"] and task.row(answer)["predicted_tags"] == ["B-x", "_", "I-x", "O"]


# --- numbers


def test_decimal_commas_in_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text;label\na;3,5\nb;1,250\nc;2\n")
    table = Regression.read(str(path), Columns())
    assert table.labels == ["3.5", "1.250", "2"] and "'3,5' are read with a decimal comma, as '3.5'" in table.notes[-1]
    table = Regression.read(str(write(tmp_path / "a.csv", "text;label\na;1,500\n")), Columns())
    with pytest.raises(ValueError, match=r"got '1,500' in line 2 of .* \(a number has a point before its decimals"):
        Regression(["label"]).targets(table)
    with pytest.raises(ValueError, match="a number has a point"):
        parse_numbers(["3,5"])


def test_a_regression_of_several_columns_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,x,y\na,1,0\nb,0,1\n")
    with pytest.raises(
        ValueError, match=r"label_column: expected one column of numbers, got several: x,y \(train one model"
    ):
        Regression.read(str(path), Columns(label="x,y"))
    with pytest.raises(ValueError, match="0 or 1 in the column 'x' in line 2"):
        Regression.read(str(write(tmp_path / "b.csv", "text,x,y\na,1.5,0\n")), Columns(label="x,y"))
