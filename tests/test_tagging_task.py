"""The task of tags: words without a token, plain tags, and what marks a span."""

from __future__ import annotations

import numpy as np
import pytest

from engine.metrics import mark_spans
from engine.tasks import Tagging
from engine.tasks.text import Columns
from engine.text import Labels, TaggedTable, Tokenizer


def logits_of(dataset, targets: dict[int, int], classes: int) -> np.ndarray:
    """Logits that choose the label of each token, or another one at some tokens."""
    labels = dataset.token_labels.copy()
    labels[labels < 0] = 0
    for place, label in targets.items():
        labels[place] = label
    return np.eye(classes, dtype=np.float32)[labels] * 5


def test_a_word_without_a_token_inside_of_a_span_is_ignored() -> None:
    table = TaggedTable(
        [["to", "new", "\u200b", "york"], ["\u200b"]], [["O", "B-city", "I-city", "I-city"], ["B-city"]]
    )
    task = Tagging(Labels(["B-city", "I-city", "O"]))
    tokenizer = Tokenizer.train(["to new york"] * 3, vocab_size=60)
    dataset = task.dataset(table, tokenizer, 16)
    counted = dataset.token_labels >= 0
    assert counted.sum() == 3  # no loss where there is no token
    logits = logits_of(dataset, {}, 3)
    figures = task.report(table, dataset, logits)
    assert (figures["f1"], figures["accuracy"]) == (1.0, 1.0)
    assert [each["support"] for each in figures["classes"]] == [1]
    first, second = task.answers(table, dataset, logits)
    assert first["tags"] == ["O", "B-city", None, "I-city"] and second["tags"] == [None] and second["spans"] == []
    assert first["spans"] == [{"type": "city", "start": 1, "end": 4, "text": "new \u200b york"}]
    assert task.cells(first) == ["O B-city _ I-city"] and task.row(first)["predicted_tags"] == [
        "O",
        "B-city",
        "_",
        "I-city",
    ]
    worse = logits_of(dataset, {int(np.flatnonzero(counted)[2]): 2}, 3)  # york is O
    assert task.report(table, dataset, worse)["f1"] == 0.0


def test_words_beyond_the_limit_count_in_no_figure() -> None:
    words = ["new"] * 6
    table = TaggedTable([words], [["B-city"] + ["I-city"] * 5])
    task = Tagging(Labels(["B-city", "I-city", "O"]))
    dataset = task.dataset(table, Tokenizer.train(["new york"] * 3, vocab_size=60), 5)
    assert dataset.cut_words().tolist() == [3]
    figures = task.report(table, dataset, logits_of(dataset, {}, 3))
    assert figures["f1"] == 1.0
    assert task.answers(table, dataset, logits_of(dataset, {}, 3))[0]["tags"] == [
        "B-city",
        "I-city",
        "I-city",
        None,
        None,
        None,
    ]


def test_plain_tags_are_judged_one_by_one() -> None:
    table = TaggedTable([["a", "b", "c"]], [["NN", "VB", "NN"]])
    task = Tagging(Labels(["NN", "VB"]))
    assert (task.metric, task.metrics) == ("macro_f1", ("loss", "accuracy", "macro_f1"))
    assert Tagging(Labels(["B-x", "O"])).metric == "f1"
    dataset = task.dataset(table, Tokenizer.train(["a b c"] * 3, vocab_size=60), 16)
    figures = task.report(table, dataset, logits_of(dataset, {2: 0}, 2))  # b is taken for NN
    assert figures["accuracy"] == pytest.approx(2 / 3) and figures["macro_f1"] == pytest.approx(0.4)
    assert [(each["label"], each["support"]) for each in figures["classes"]] == [("NN", 2), ("VB", 1)]
    answer = task.answers(table, dataset, logits_of(dataset, {}, 2))[0]
    assert answer == {"words": ["a", "b", "c"], "tags": ["NN", "VB", "NN"]}


@pytest.mark.parametrize(
    ("tags", "marks"),
    [
        (["O", "B-x"], True), (["O", "B", "I"], True), (["O", "E-x", "S-x"], True), (["O", "U-x", "L-x"], True), (["I-x"], True),
        (["O"], False), (["NN", "VB", "O"], False), (["B", "C"], False), (["O", "X"], False), (["B-"], False), (["S", "E"], False),
    ],
)  # fmt: skip
def test_what_marks_spans(tags: list[str], marks: bool) -> None:
    assert mark_spans(tags) is marks


def test_tags_that_fit_no_scheme_name_their_line() -> None:
    table = TaggedTable([["a"], ["b", "c"]], [["B-x"], ["O", "o"]], source="f.conll", lines=[1, 3])
    with pytest.raises(
        ValueError,
        match=r"tags: expected 'O', or B-.*, got 'o' for the word 'c' in the sentence at line 3 of f\.conll \(the letter O",
    ):
        Tagging.collect([table], Columns())
