"""Spans of tags and their scores: by hand, and against seqeval on every short sequence and on random ones."""

from __future__ import annotations

import itertools
import json
import random
import warnings
from typing import Any

import pytest

from engine.metrics import Span, span_scores, tag_spans


def span_list(text: str) -> list[tuple[str, int, int]]:
    return [(span.type, span.start, span.end) for span in tag_spans(text.split())]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O", []),
        ("O O O", []),
        ("B-a", [("a", 0, 1)]),
        ("B-a I-a O B-b", [("a", 0, 2), ("b", 3, 4)]),
        ("B-a B-a", [("a", 0, 1), ("a", 1, 2)]),
        ("I-a I-a O", [("a", 0, 2)]),  # IOB1, or a tagger that forgot the B
        ("I-a B-a I-a", [("a", 0, 1), ("a", 1, 3)]),
        ("B-a I-b", [("a", 0, 1), ("b", 1, 2)]),
        ("B-a I-b I-b O I-b", [("a", 0, 1), ("b", 1, 3), ("b", 4, 5)]),
        ("B-a I-a E-a S-a S-b O", [("a", 0, 3), ("a", 3, 4), ("b", 4, 5)]),
        ("B-a E-a I-a", [("a", 0, 2), ("a", 2, 3)]),
        ("S-a I-a E-a", [("a", 0, 1), ("a", 1, 3)]),
        ("E-a E-a", [("a", 0, 1), ("a", 1, 2)]),
        ("B-a I-a L-a U-b", [("a", 0, 3), ("b", 3, 4)]),  # BILOU
        ("B I O S", [("_", 0, 2), ("_", 3, 4)]),
        ("B-a-b I-a-b I-a", [("a-b", 0, 2), ("a", 2, 3)]),
        ("B-城市 I-城市 O", [("城市", 0, 2)]),
    ],
)
def test_spans_by_hand(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert span_list(tags) == expected


def test_a_span_cuts_the_words_it_names() -> None:
    (span,) = tag_spans(["O", "B-city", "I-city"])
    assert span == Span("city", 1, 3) and ["to", "New", "York"][span.start : span.end] == ["New", "York"]


@pytest.mark.parametrize("tag", ["PER", "", "X-a", "B-", "o", "b-a", "-a", "B_a", "BI-a"])
def test_other_tags_are_refused(tag: str) -> None:
    with pytest.raises(ValueError, match=r"\[tag_spans\] tags: expected 'O', or B- .* at position 1"):
        tag_spans(["O", tag])
    with pytest.raises(ValueError, match=r"\[span_scores\] tags"):
        span_scores([["O", "O"]], [["O", tag]])


def test_wrong_kinds_are_refused() -> None:
    for tag in (None, 3, b"O", float("nan")):
        with pytest.raises(TypeError, match=r"expected strings, got .* at position 0"):
            tag_spans([tag])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="expected a list of strings, got one str"):
        tag_spans("OOO")
    with pytest.raises(ValueError, match="pred: expected 2 sentences, got 1"):
        span_scores([["O"], ["O"]], [["O"]])
    with pytest.raises(ValueError, match="pred: expected 2 tags in sentence 1, got 1"):
        span_scores([["O"], ["O", "O"]], [["O"], ["O"]])


def test_scores_by_hand() -> None:
    true = [["B-a", "I-a", "O", "B-b"], ["B-a", "O"], [], ["O", "B-c"]]
    pred = [["B-a", "I-a", "O", "B-a"], ["B-a", "I-a"], [], ["B-d", "O"]]
    scores = span_scores(true, pred)
    # True: a(0,2) b(3,4) a(0,1) c(1,2). Predicted: a(0,2) a(3,4) a(0,2) d(0,1). Right: the first.
    assert (scores.support, scores.predicted, scores.correct) == (4, 4, 1)
    assert (scores.precision, scores.recall, scores.f1) == (0.25, 0.25, 0.25)
    assert list(scores.types) == ["a", "b", "c", "d"]
    a, b, c, d = scores.types.values()
    assert (a.precision, a.recall, a.f1, a.support) == (1 / 3, 1 / 2, 0.4, 2)
    assert (b.precision, b.recall, b.f1, b.support, b.predicted) == (0, 0, 0, 1, 0)
    assert (c.f1, c.support, d.f1, d.support, d.predicted) == (0, 1, 0, 0, 1)
    assert scores.macro_f1 == pytest.approx(0.1)
    assert scores.accuracy == 4 / 8
    figures = json.loads(json.dumps(scores.as_dict()))
    assert figures["f1"] == 0.25 and figures["types"]["a"]["support"] == 2 and figures["macro_f1"] == scores.macro_f1
    table = str(scores).splitlines()
    assert len(table) == 6 and table[1].split() == ["a", "0.3333", "0.5000", "0.4000", "2"]
    assert table[-1].split() == ["all", "0.2500", "0.2500", "0.2500", "4"]


@pytest.mark.parametrize("tags", [[], [[]], [["O", "O"]]])
def test_nothing_to_find_scores_zero(tags: list[list[str]]) -> None:
    scores = span_scores(tags, tags)
    assert (scores.precision, scores.recall, scores.f1, scores.macro_f1, scores.types) == (0, 0, 0, 0, {})
    assert scores.accuracy == (1.0 if tags and tags[0] else 0.0)


def test_spans_do_not_reach_over_the_end_of_a_sentence() -> None:
    scores = span_scores([["B-a"], ["I-a"]], [["B-a"], ["I-a"]])
    assert scores.support == 2


# --- the definition, in conlleval's own words ---


def reference(tags: list[str]) -> list[tuple[str, int, int]]:
    """Two rules, as the shared task's script has them: where a chunk ends, and where one begins."""
    found, start = [], None
    before, kind = "O", ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        ends = before != "O" and (before in "ES" or prefix in "BSO" or name != kind)
        begins = prefix in "BS" or (prefix in "IE" and (before in "OES" or name != kind))
        if ends and start is not None:
            found.append((kind, start, place))
            start = None
        if begins:
            start = place
        before, kind = prefix, name
    return found


ALPHABET = ["O", "B-a", "I-a", "E-a", "S-a", "B-b", "I-b", "E-b", "S-b"]


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_every_short_sequence_follows_the_two_rules(length: int) -> None:
    for tags in itertools.product(ALPHABET, repeat=length):
        assert [tuple(span) for span in tag_spans(tags)] == reference(list(tags)), tags


def test_every_short_sequence_is_read_as_seqeval_reads_it() -> None:
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    for length in (1, 2, 3):
        for tags in itertools.product([*ALPHABET, "B", "I"], repeat=length):
            theirs = [(kind, start, end + 1) for kind, start, end in labeling.get_entities(list(tags))]
            assert [tuple(span) for span in tag_spans(tags)] == theirs, tags


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_seqevals(seed: int) -> None:
    metrics: Any = pytest.importorskip("seqeval.metrics")
    generator = random.Random(seed)
    true = [generator.choices(ALPHABET, k=generator.randrange(1, 12)) for _ in range(50)]
    pred = [[tag if generator.random() < 0.7 else generator.choice(ALPHABET) for tag in tags] for tags in true]
    scores = span_scores(true, pred)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = metrics.classification_report(true, pred, output_dict=True)
        accuracy = metrics.accuracy_score(true, pred)
    micro = report["micro avg"]
    assert (scores.precision, scores.recall) == pytest.approx((micro["precision"], micro["recall"]))
    assert (scores.f1, scores.support) == pytest.approx((micro["f1-score"], micro["support"]))
    assert scores.macro_f1 == pytest.approx(report["macro avg"]["f1-score"])
    assert scores.accuracy == pytest.approx(accuracy)
    for name, figures in scores.types.items():
        theirs = report[name]
        assert (figures.precision, figures.recall, figures.f1, figures.support) == pytest.approx(
            (theirs["precision"], theirs["recall"], theirs["f1-score"], theirs["support"])
        )
