"""Spans of tagged words, and how many of them a tagger finds: precision, recall and F1 as conlleval counts them.

Tjong Kim Sang and Buchholz, "Introduction to the CoNLL-2000 shared task: chunking" (2000). A span counts as found if its
type, start and end are right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.errors import BadType, BadValue, amount, require

__all__ = ["Span", "SpanScores", "TypeScores", "mark_spans", "span_scores", "tag_spans"]

# What a prefix says of its word. BILOU's last and unit are BIOES's end and single.
_PREFIXES = {"B": "B", "I": "I", "E": "E", "L": "E", "S": "S", "U": "S"}


class Span(NamedTuple):
    """The words `start` to `end` - 1 of a sentence, of one type."""

    type: str
    start: int
    end: int


@dataclass(frozen=True)
class TypeScores:
    """Precision, recall and F1 of spans. A ratio whose denominator is zero is 0.0.

    Attributes:
        precision: share of the predicted spans that are true.
        recall: share of the true spans that were predicted.
        f1: their harmonic mean.
        support: number of true spans.
        predicted: number of predicted spans.
        correct: number of spans that are both.
    """

    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    correct: int

    def as_dict(self) -> dict[str, float]:
        """precision, recall, f1, support, predicted, correct; fits JSON."""
        return {name: getattr(self, name) for name in TypeScores.__dataclass_fields__}


@dataclass(frozen=True)
class SpanScores(TypeScores):
    """Scores of all spans together (micro average), and of each type.

    Attributes:
        types: scores by type, sorted by name; every type that is true or predicted somewhere.
        accuracy: share of the words whose tag is exactly right; 0.0 for no words.
    """

    types: dict[str, TypeScores]
    accuracy: float

    @property
    def macro_f1(self) -> float:
        """Mean of F1 over the types, 0.0 for none."""
        return sum(scores.f1 for scores in self.types.values()) / len(self.types) if self.types else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The figures of `TypeScores`, accuracy, macro_f1, and 'types': figures by type; fits JSON."""
        types = {name: scores.as_dict() for name, scores in self.types.items()}
        return {**super().as_dict(), "accuracy": self.accuracy, "macro_f1": self.macro_f1, "types": types}

    def __str__(self) -> str:
        width = max(map(len, ("all", *self.types)))
        lines = [f"{'':{width}}  precision  recall      f1  support"]
        rows: list[tuple[str, TypeScores]] = [*self.types.items(), ("all", self)]
        for name, scores in rows:
            figures = f"{scores.precision:9.4f}  {scores.recall:6.4f}  {scores.f1:6.4f}  {scores.support:7d}"
            lines.append(f"{name:{width}}  {figures}")
        return "\n".join(lines)


def mark_spans(tags: Iterable[str]) -> bool:
    """Whether a set of tags marks spans: one has a prefix and a type, such as 'B-city', or all are 'O' and bare prefixes.

    Other tags, such as parts of speech, stand for themselves.
    """
    names = set(tags)
    typed = any(name[:1] in _PREFIXES and name[1:2] == "-" and name[2:] for name in names)
    return typed or ("O" in names and bool({"B", "I"} & names) and names <= {"O", *_PREFIXES})


def tag_spans(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence's tags, in order.

    Reads IOB1, BIO (IOB2), BIOES and BILOU, also with the mistakes that a tagger makes, as conlleval does: a word continues
    the span before it if its prefix is I or E (L), the prefix of the word before is B or I, and both have the same type.
    Every other tag except O begins a span, whatever its prefix. A prefix without a type ('B') has the type '_'.

    Raises:
        ValueError: for a tag that is neither 'O' nor one of these prefixes, alone or with a type.
        TypeError: if a tag is not a string.
    """
    return _spans("tag_spans", tags)


def _spans(op: str, tags: Sequence[str]) -> list[Span]:
    single = isinstance(tags, str | bytes)
    require(not single, op, "tags", "a list of strings", f"one {type(tags).__name__}", error=BadType)
    found: list[Span] = []
    start, before, kind = 0, "O", ""
    for place, tag in enumerate((*tags, "O")):
        prefix, name = _parts(op, tag, place)
        if prefix in ("I", "E") and before in ("B", "I") and name == kind:
            before = prefix
            continue
        if before != "O":
            found.append(Span(kind, start, place))
        start, before, kind = place, prefix, name
    return found


def _parts(op: str, tag: str, place: int) -> tuple[str, str]:
    if tag == "O":
        return "O", ""
    if not isinstance(tag, str):
        raise BadType(op, "tags", "strings", f"{tag!r} at position {place}")
    prefix, dash, name = tag.partition("-")
    if prefix not in _PREFIXES or (dash and not name):
        raise BadValue(op, "tags", "'O', or B- or I- (E-, L-, S-, U-) and a type", f"{tag!r} at position {place}")
    return _PREFIXES[prefix], name or "_"


def span_scores(true: Iterable[Sequence[str]], pred: Iterable[Sequence[str]]) -> SpanScores:
    """Compare predicted tags with the true ones, sentence by sentence.

        >>> scores = span_scores([["B-city", "I-city", "O"]], [["B-city", "O", "O"]])
        >>> scores.f1, round(scores.accuracy, 2)
        (0.0, 0.67)

    Args:
        true: the tags of each sentence, as `tag_spans` reads them.
        pred: the predicted tags, as many in each sentence.

    Returns:
        `SpanScores`: for IOB1, BIO and BIOES equal to seqeval's in its default mode, which does not know L- and U-.

    Raises:
        ValueError: if the numbers of sentences or words differ, or for a tag that `tag_spans` refuses.
        TypeError: if a tag is not a string.
    """
    op = "span_scores"
    truth, guess = list(true), list(pred)
    require(len(truth) == len(guess), op, "pred", amount(len(truth), "sentence"), len(guess))
    support: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    words = right = 0
    for row, (a, b) in enumerate(zip(truth, guess, strict=True)):
        require(len(a) == len(b), op, "pred", f"{amount(len(a), 'tag')} in sentence {row}", len(b))
        there, here = _spans(op, a), _spans(op, b)
        support.update(span.type for span in there)
        predicted.update(span.type for span in here)
        correct.update(span.type for span in set(there) & set(here))
        words += len(a)
        right += sum(x == y for x, y in zip(a, b, strict=True))
    types = {name: TypeScores(*_figures(support[name], predicted[name], correct[name])) for name in support | predicted}
    figures = _figures(support.total(), predicted.total(), correct.total())
    return SpanScores(*figures, types=dict(sorted(types.items())), accuracy=right / words if words else 0.0)


def _figures(support: int, predicted: int, correct: int) -> tuple[float, float, float, int, int, int]:
    precision = correct / predicted if predicted else 0.0
    recall = correct / support if support else 0.0
    f1 = 2 * correct / (support + predicted) if correct else 0.0
    return precision, recall, f1, support, predicted, correct
