"""A tag for each word: spans, by BIO, BIOES or BILOU tags, or plain tags such as parts of speech."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from engine.errors import Argument, ArgumentError, BadValue, require
from engine.metrics import Span, classification_metrics, evaluation, mark_spans, span_scores, tag_spans
from engine.models import AutoModelForTokenClassification, TransformerConfig
from engine.nn import Module
from engine.ops.loss import IGNORE_INDEX
from engine.tasks.config import TaskConfig
from engine.tasks.text import Columns, TextTask, targets_and_logits
from engine.tensor import Tensor
from engine.text import Labels, PackedBatch, TaggedTable, TextDataset, Tokenizer, read_table, read_tagged, tag_dataset
from engine.text.files import extension_of
from engine.text.formats import ENDINGS
from engine.text.label_problems import name_remarks, same_name
from engine.text.tagged_files import has_word_rows

__all__ = ["Tagging"]

_SHOWN = 4
_MANY = 50  # so many different tags may be those of few words


class Tagging(TextTask):
    """Token classification: cross-entropy at the first token of each word.

    If the tags mark spans (see `mark_spans`), F1 is that of whole spans (CoNLL-2003's measure). Plain tags are judged by accuracy and
    macro F1. Words without a token, such as those after `max_length`, count in no figure and get no tag.

    Files: CoNLL columns, JSON Lines with lists of words and tags, or a folder with seq.in and seq.out (see `read_tagged`).
    """

    name = "tagging"
    metric = "f1"
    label_word = "tag"
    metrics: tuple[str, ...] = ("loss", "accuracy", "precision", "recall", "f1")
    auto = AutoModelForTokenClassification
    scratch: ClassVar[Mapping[str, Any]] = {"model_type": "bert", "type_vocab_size": 2}
    unused = TextTask.unused | {"pair_column", "clean", "pooling", "top_k"}
    defaults: ClassVar[Mapping[str, Any]] = {"token_dropout": 0.0}
    between = " "

    def __init__(self, labels: Labels | Iterable[str] | None = None, **options: Any) -> None:
        super().__init__(labels, **options)
        self.spans = self._labels is None or mark_spans(self._labels.names)
        if not self.spans:
            self.metric, self.metrics = "macro_f1", ("loss", "accuracy", "macro_f1")

    @classmethod
    def read(cls, path: str, columns: Columns, labelled: bool = True) -> Any:
        """As `read_tagged`. If labels are not read, the file may also be a table or lines of texts, which are split into words at
        white space."""
        got = repr(columns.pair)
        require(columns.pair is None, "Tagging.read", "pair_column", "None, because tagged words do not use it", got)
        form, names = columns.format or ENDINGS.get(extension_of(path)), columns.names or None
        settings = {name: getattr(columns, name) for name in ("delimiter", "quoting", "encoding")}
        texts = not labelled and form in ("txt", "csv", "tsv", "excel", "fasttext")
        if texts and not has_word_rows(path, columns.text, names, **settings):
            table = read_table(
                path, columns.text, None, columns.format, read_labels=False, columns=names, extra_columns=None,
                skip_empty_lines=False, **settings,
            )  # fmt: skip
            words = [text.split() for text in table.texts]
            return TaggedTable(words, source=table.source, lines=table.lines, notes=table.notes, columns=table.columns)
        try:
            tagged = read_tagged(
                path, columns.format, word_column=columns.text, tag_column=columns.label, columns=names, read_tags=labelled, **settings
            )  # fmt: skip
        except ArgumentError as error:
            error.relabel(
                "train" if labelled else "predict", {"word_column": "text_column", "tag_column": "label_column"}
            )
            raise
        tags = not labelled or tagged.tags is not None
        hint = ("name their column with ", Argument("label_column"))
        require(tags, "train", "tags", f"a tag for each word in {path}", "words without tags", hint)
        return tagged

    @classmethod
    def collect(cls, tables: Sequence[Any], columns: Columns) -> Labels:
        """The tags. Raises ValueError, which names a line, if they cannot be those of words."""
        labels = Labels.from_labels(tag for table in tables for tags in table.tags or () for tag in tags)
        other = ("is it another column? name it with ", Argument("label_column"))
        expected = "at least two different tags"
        if len(labels) < 2:
            only = [f"only {tag!r}, first {_first_place(tables, tag)}" for tag in labels.names] or ["none"]
            raise BadValue("train", "tags", expected, only[0], other)
        words = sum(len(sentence) for table in tables for sentence in table.words)
        if len(labels) > max(_MANY, words // 5):
            last = labels.names[-1]
            got = f"{len(labels)}, such as {last!r} {_first_place(tables, last)}"
            raise BadValue("train", "tags", f"fewer different tags for {words} words", got, other)
        if mark_spans(labels.names):
            for tag in labels.names:
                try:
                    tag_spans([tag])
                except BadValue:
                    hints = ["the letter O is meant"] if tag in ("0", "o") else []
                    expected = "'O', or B-, I-, E-, S-, L- or U- and a type, as other tags are"
                    raise BadValue("train", "tags", expected, f"{tag!r} {_first_place(tables, tag)}", *hints) from None
        return labels

    def targets(self, table: Any) -> np.ndarray:
        expected = f"one of {', '.join(map(repr, self.labels.names))}"
        for tags in table.tags or ():
            for tag in tags:
                if tag not in self.labels:
                    same = same_name(tag, self.labels.names)
                    hints = [f"{same!r} is known, which differs only in spelling"] if same else []
                    raise BadValue("train", "tags", expected, f"{tag!r} {_place(table, tag)}", *hints)
        return self.labels.encode([tag for tags in table.tags or () for tag in tags])

    def remarks(self, table: Any) -> list[str]:
        said = name_remarks(table, table.tags or (), removable=False)
        if self.spans:
            return said
        shown = ", ".join(self.labels.names[:_SHOWN])
        more = ", ..." if len(self.labels) > _SHOWN else ""
        return [*said, f"the tags ({shown}{more}) mark no spans: they are judged one by one, by accuracy and macro F1"]

    def augment_by(self, config: TaskConfig, tokenizer: Tokenizer, seed: int) -> None:
        kinds = {part.partition("=")[0].strip() for part in (config.augment or "mask").split(",")}
        config.require("augment", kinds == {"mask"}, "mask= alone, because each tag belongs to a token")
        super().augment_by(config, tokenizer, seed)

    def dataset(self, table: Any, tokenizer: Tokenizer, max_length: int) -> TextDataset:
        return tag_dataset(table, tokenizer, self.labels, max_length)

    def bare(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Any:
        """Texts are split into words at white space."""
        require(
            pairs is None, "predict", "pairs", "no second texts, because the model tags words of one", "second texts"
        )
        return TaggedTable([text.split() for text in texts])

    def texts(self, table: Any) -> list[str]:
        return [" ".join(words) for words in table.words]

    def loss(self, model: Any, batch: PackedBatch) -> Tensor:
        config = getattr(model, "config", None)
        if config is not None:
            self._require_fitting(config.num_labels)
        return model.loss(batch, IGNORE_INDEX, weight=self.weights_for(batch), label_smoothing=self.label_smoothing)

    def inputs(self, table: Any) -> dict[str, list[Any]]:
        return {"text": self.texts(table), **{name: v for name, v in table.columns.items() if name != "text"}}

    def figures(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """The figures of single tags. `evaluate` gives those of spans, which need whole sentences."""
        figures = classification_metrics(targets, logits)
        return figures if self.spans else {name: figures[name] for name in ("loss", "accuracy", "macro_f1")}

    def judged_words(self) -> tuple[str, str]:
        return ("span", "type") if self.spans else ("word", "tag")

    def evaluate(self, model: Module, batches: Iterable[PackedBatch]) -> Mapping[str, float]:
        """The figures over the words that have a token: loss and accuracy of their tags, with precision, recall and F1 of spans or
        with macro F1."""
        kept = list(batches)
        labels, logits = targets_and_logits(model, kept)
        return self._figures(labels, logits, np.concatenate([batch.layout.lengths for batch in kept]))[0]

    def _figures(
        self, labels: np.ndarray, logits: np.ndarray, lengths: np.ndarray
    ) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """The figures of sentences' tokens, and the scores of each type of span or of each tag."""
        counted = labels != IGNORE_INDEX
        figures = self.figures(labels[counted], logits[counted])
        if not self.spans:
            return figures, evaluation(labels[counted], logits[counted], self.labels.names)["classes"]
        names = np.array(self.labels.names, dtype=object)
        ends = np.cumsum(lengths)
        words = [start + np.flatnonzero(counted[start:end]) for start, end in zip(ends - lengths, ends)]
        true = [names[labels[rows]].tolist() for rows in words]
        pred = [names[logits[rows].argmax(-1)].tolist() for rows in words]
        scores = span_scores(true, pred)
        classes = [
            {"label": name, "precision": s.precision, "recall": s.recall, "f1": s.f1, "support": s.support}
            for name, s in scores.types.items()
        ]
        return {
            "loss": figures["loss"], "accuracy": figures["accuracy"],
            "precision": scores.precision, "recall": scores.recall, "f1": scores.f1,
        }, classes  # fmt: skip

    def report(self, table: Any, dataset: Any, logits: np.ndarray) -> dict[str, Any]:
        labels = dataset.gather(np.arange(len(dataset))).labels.numpy()
        figures, classes = self._figures(labels, logits, dataset.lengths)
        return {"samples": len(table), **figures, "classes": classes}

    def answers(self, table: Any, dataset: Any, logits: np.ndarray, top_k: int = 1) -> list[dict[str, Any]]:
        """words, tags (None for a word without a token) and, if the tags mark spans, the spans."""
        answers = []
        for words, tags in zip(table.words, dataset.word_tags(logits.argmax(-1), self.labels)):
            answer = {"words": words, "tags": [self.own.get(tag, tag) for tag in tags]}
            if self.spans:
                answer["spans"] = [
                    {"type": s.type, "start": s.start, "end": s.end, "text": " ".join(words[s.start : s.end])}
                    for s in _spans(tags)
                ]
            answers.append(answer)
        return answers

    def cells(self, answer: Mapping[str, Any]) -> list[str]:
        return [" ".join(tag or "_" for tag in answer["tags"])]

    def row(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        spans = {"predicted_spans": answer["spans"]} if "spans" in answer else {}
        return {"predicted_tags": [tag or "_" for tag in answer["tags"]], **spans}

    @classmethod
    def opens(cls, config: TransformerConfig, architecture: str) -> bool:
        return architecture.endswith("ForTokenClassification")


def _spans(tags: Sequence[str | None]) -> list[Span]:
    """The spans of a sentence's tags; words without a tag neither end a span nor begin one."""
    places = [place for place, tag in enumerate(tags) if tag is not None]
    found = tag_spans([tags[place] or "O" for place in places])
    return [Span(s.type, places[s.start], places[s.end - 1] + 1) for s in found]


def _first_place(tables: Sequence[TaggedTable], tag: str) -> str:
    return next(_place(table, tag) for table in tables if any(tag in tags for tags in table.tags or ()))


def _place(table: TaggedTable, tag: str) -> str:
    """Where a tag is for the first time."""
    row = next(row for row, tags in enumerate(table.tags or ()) if tag in tags)
    word = table.words[row][(table.tags or [])[row].index(tag)]
    return f"for the word {word!r} in the sentence at {table.where(row)}"
