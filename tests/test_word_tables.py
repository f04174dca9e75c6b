"""Tables with one word in each row under names for many words, as Simple Transformers has them."""

from __future__ import annotations

import pytest

from engine.tasks.tagging import Columns, Tagging
from engine.text import read_tagged

WORDS = [["Ann", "runs"], ["Berlin"], ["is", "big"]]
TAGS = [["B-PER", "O"], ["B-LOC"], ["O", "O"]]


def _file(folder, header, numbers=(7, 8, 9), name="words.csv"):
    rows = [
        f"{n},{w},{t}" for n, words, tags in zip(numbers, WORDS, TAGS) for w, t in zip(words, tags)
    ]  # fmt: skip
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    "header",
    [
        "sentence_id,words,labels",
        "sentence_id,words,tags",
        "doc_id,tokens,tags",
        "id,tokens,ner_tags",
        "Doc,Words,Labels",
    ],
)
def test_words_are_grouped_by_the_column_of_numbers(tmp_path, header):
    table = read_tagged(_file(tmp_path, header))
    assert table.words == WORDS and table.tags == TAGS


def test_words_that_nothing_groups_are_refused(tmp_path):
    path = tmp_path / "words.csv"
    path.write_text("words,tags\nAnn,B-PER\nruns,O\n")
    with pytest.raises(ValueError, match="tells sentences apart"):
        read_tagged(path)
    path.write_text("id,words,tags\n1,Ann,B-PER\n2,runs,O\n")
    with pytest.raises(ValueError, match="tells sentences apart"):
        read_tagged(path)


def test_a_number_for_each_word_groups_nothing(tmp_path):
    path = tmp_path / "words.csv"
    path.write_text("id,word,tag\n1,Ann,B-PER\n2,runs,O\n\n3,Berlin,B-LOC\n")
    assert read_tagged(path).words == [["Ann", "runs"], ["Berlin"]]


def test_whole_sentences_in_each_row_stay_so(tmp_path):
    path = tmp_path / "sentences.csv"
    path.write_text("id,words,tags\n1,Ann runs,B-PER O\n2,Berlin,B-LOC\n")
    assert read_tagged(path).words == [["Ann", "runs"], ["Berlin"]]


def test_prediction_groups_the_words_too(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("sentence_id,words\n1,Ann\n1,runs\n2,Berlin\n")
    assert Tagging.read(str(path), Columns(), labelled=False).words == [["Ann", "runs"], ["Berlin"]]
