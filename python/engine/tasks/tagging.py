"""A tag for each word: spans, by BIO tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from engine.metrics import classification_metrics
from engine.metrics.spans import span_scores, tag_spans
from engine.models import AutoModelForTokenClassification
from engine.models.forward import compute_logits
from engine.nn import Module
from engine.ops.loss import IGNORE_INDEX
from engine.tasks.base import Columns, Table, Task
from engine.tensor import Tensor
from engine.text import Labels, PackedBatch, TagDataset, TaggedTable, TextDataset, Tokenizer, read_tagged, tag_dataset

__all__ = ["Tagging"]


class Tagging(Task):
    """Token classification: cross-entropy at the first token of each word; F1 over whole spans (CoNLL-2003's measure).

    Files: CoNLL columns, JSON Lines with lists of words and tags, or a folder with seq.in and seq.out (see `read_tagged`).
    """

    name = "tagging"
    metric = "f1"
    metrics = ("loss", "accuracy", "precision", "recall", "f1")
    auto = AutoModelForTokenClassification

    @classmethod
    def read(cls, path: str, columns: Columns, labelled: bool = True) -> Table:
        table = read_tagged(path)
        if labelled and table.tags is None:
            raise ValueError(f"[train] tags: expected a tag for each word in {path}, got words alone")
        return table

    @classmethod
    def collect(cls, tables: Sequence[Table], columns: Columns) -> Labels:
        return Labels.from_labels(
            tag for table in tables if isinstance(table, TaggedTable) for tags in table.tags or () for tag in tags
        )

    def targets(self, table: Table) -> np.ndarray:
        assert isinstance(table, TaggedTable)
        for row, tags in enumerate(table.tags or ()):
            for tag in tags:
                if tag not in self.labels:
                    known = ", ".join(map(repr, self.labels.names))
                    raise ValueError(
                        f"[train] tags: expected one of {known}, got {tag!r} in the sentence at {table.where(row)}"
                    )
        return self.labels.encode([tag for tags in table.tags or () for tag in tags])

    def dataset(self, table: Table, tokenizer: Tokenizer, max_length: int) -> TextDataset:
        assert isinstance(table, TaggedTable)
        return tag_dataset(table, tokenizer, self.labels, max_length)

    def bare(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Table:
        """Words stand apart by white space."""
        if pairs is not None:
            raise ValueError("[predict] pairs: expected none for tags, got second texts")
        return TaggedTable([text.split() for text in texts])

    def texts(self, table: Table) -> list[str]:
        assert isinstance(table, TaggedTable)
        return [" ".join(words) for words in table.words]

    def loss(self, model: Any, batch: PackedBatch, label_smoothing: float) -> Tensor:
        return model.loss(batch, IGNORE_INDEX, weight=self.weights_for(batch), label_smoothing=label_smoothing)

    def figures(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """Of tags one by one; spans need whole sentences: see `evaluate`."""
        return classification_metrics(targets, logits)

    def evaluate(self, model: Module, batches: Iterable[PackedBatch]) -> Mapping[str, float]:
        """Precision, recall and F1 of spans over the words that have a token, with loss and accuracy of their tags."""
        kept = list(batches)
        logits, labels = compute_logits(model, kept)
        if labels is None:
            raise ValueError("[Trainer.evaluate] data: expected batches with labels, got none")
        names = np.array(self.labels.names, dtype=object)
        true, pred = [], []
        start = 0
        for batch in kept:
            for low, high in _sentences(batch, start):
                counted = labels[low:high] != IGNORE_INDEX
                true.append(names[labels[low:high][counted]].tolist())
                pred.append(names[logits[low:high][counted].argmax(-1)].tolist() if counted.any() else [])
            start += batch.total_tokens
        scores = span_scores(true, pred)
        counted = labels != IGNORE_INDEX
        tags = classification_metrics(labels[counted], logits[counted])
        return {
            "loss": tags["loss"], "accuracy": tags["accuracy"],
            "precision": scores.precision, "recall": scores.recall, "f1": scores.f1,
        }  # fmt: skip

    def report(self, table: Table, dataset: TextDataset, logits: np.ndarray, **detail: Any) -> dict[str, Any]:
        assert isinstance(table, TaggedTable) and isinstance(dataset, TagDataset) and table.tags is not None
        scores = span_scores(table.tags, dataset.word_tags(logits.argmax(-1), self.labels))
        labels = dataset.gather(np.arange(len(dataset))).labels
        assert labels is not None
        counted = labels.numpy() != IGNORE_INDEX
        tags = classification_metrics(labels.numpy()[counted], logits[counted])
        return {
            "samples": len(table), "loss": tags["loss"], "accuracy": tags["accuracy"],
            "precision": scores.precision, "recall": scores.recall, "f1": scores.f1,
            "classes": [
                {"label": name, "precision": s.precision, "recall": s.recall, "f1": s.f1, "support": s.support}
                for name, s in scores.types.items()
            ],
        }  # fmt: skip

    def answers(self, table: Table, dataset: TextDataset, logits: np.ndarray, top_k: int = 1) -> list[dict[str, Any]]:
        assert isinstance(table, TaggedTable) and isinstance(dataset, TagDataset)
        answers = []
        for words, tags in zip(table.words, dataset.word_tags(logits.argmax(-1), self.labels)):
            spans = [
                {"type": s.type, "start": s.start, "end": s.end, "text": " ".join(words[s.start : s.end])}
                for s in tag_spans(tags)
            ]
            answers.append({"words": words, "tags": tags, "spans": spans})
        return answers

    def columns(self, answer: Mapping[str, Any]) -> list[str]:
        return [" ".join(answer["tags"])]


def _sentences(batch: PackedBatch, start: int) -> Iterable[tuple[int, int]]:
    ends = (batch.layout.offsets + start).tolist()
    return pairwise(ends)
