"""A tag for each word: spans, by BIO tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from engine.errors import BadValue, require
from engine.metrics import classification_metrics, span_scores, tag_spans
from engine.models import AutoModelForTokenClassification, TransformerConfig
from engine.nn import Module
from engine.ops.loss import IGNORE_INDEX
from engine.tasks.config import TaskConfig
from engine.tasks.text import Columns, TextTask, targets_and_logits
from engine.tensor import Tensor
from engine.text import Labels, PackedBatch, TaggedTable, TextDataset, Tokenizer, read_table, read_tagged, tag_dataset

__all__ = ["Tagging"]


class Tagging(TextTask):
    """Token classification: cross-entropy at the first token of each word; F1 over whole spans (CoNLL-2003's measure).

    Files: CoNLL columns, JSON Lines with lists of words and tags, or a folder with seq.in and seq.out (see `read_tagged`).
    """

    name = "tagging"
    metric = "f1"
    metrics = ("loss", "accuracy", "precision", "recall", "f1")
    auto = AutoModelForTokenClassification
    scratch: ClassVar[Mapping[str, Any]] = {"model_type": "bert", "type_vocab_size": 2}
    unused = TextTask.unused | {"pair_column", "clean", "text_column", "label_column", "encoding", "pooling", "top_k"}
    defaults: ClassVar[Mapping[str, Any]] = {"token_dropout": 0.0}

    @classmethod
    def read(cls, path: str, columns: Columns, labelled: bool = True) -> Any:
        """As `read_tagged`. If labels are not read, the file may also be a table or lines of texts, which are split into words at
        white space."""
        in_columns = not labelled and path.lower().endswith((".txt", ".csv", ".tsv"))
        unread = {"label_column": columns.label, "pair_column": columns.pair}
        if not in_columns:
            unread |= {"text_column": columns.text, "encoding": columns.encoding}
        for name, value in unread.items():
            require(value is None, "Tagging.read", name, "no value, because tagged words do not use it", repr(value))
        if in_columns:
            table = read_table(path, columns.text, read_labels=False, encoding=columns.encoding)
            return TaggedTable([text.split() for text in table.texts], source=table.source, lines=table.lines)
        tagged = read_tagged(path)
        tags = not labelled or tagged.tags is not None
        require(tags, "train", "tags", f"a tag for each word in {path}", "words without tags")
        return tagged

    @classmethod
    def collect(cls, tables: Sequence[Any], columns: Columns) -> Labels:
        return Labels.from_labels(tag for table in tables for tags in table.tags or () for tag in tags)

    def targets(self, table: Any) -> np.ndarray:
        expected = f"one of {', '.join(map(repr, self.labels.names))}"
        for row, tags in enumerate(table.tags or ()):
            for tag in tags:
                if tag not in self.labels:
                    raise BadValue("train", "tags", expected, f"{tag!r} in the sentence at {table.where(row)}")
        return self.labels.encode([tag for tags in table.tags or () for tag in tags])

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

    def figures(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """The figures of single tags. `evaluate` gives those of spans, which need whole sentences."""
        return classification_metrics(targets, logits)

    def evaluate(self, model: Module, batches: Iterable[PackedBatch]) -> Mapping[str, float]:
        """Precision, recall and F1 of spans over the words that have a token, with loss and accuracy of their tags."""
        kept = list(batches)
        labels, logits = targets_and_logits(model, kept)
        names = np.array(self.labels.names, dtype=object)
        lengths = np.concatenate([batch.layout.lengths for batch in kept])
        ends = np.cumsum(lengths)
        words = [start + np.flatnonzero(labels[start:end] != IGNORE_INDEX) for start, end in zip(ends - lengths, ends)]
        true = [names[labels[rows]].tolist() for rows in words]
        pred = [names[logits[rows].argmax(-1)].tolist() for rows in words]
        return self._figures(true, pred, labels, logits)[0]

    def _figures(
        self, true: Sequence[Sequence[str]], pred: Sequence[Sequence[str]], labels: np.ndarray, logits: np.ndarray
    ) -> tuple[dict[str, float], Any]:
        """The figures of sentences' tags, and the scores of each type of span."""
        scores = span_scores(true, pred)
        counted = labels != IGNORE_INDEX
        tags = classification_metrics(labels[counted], logits[counted])
        return {
            "loss": tags["loss"], "accuracy": tags["accuracy"],
            "precision": scores.precision, "recall": scores.recall, "f1": scores.f1,
        }, scores.types  # fmt: skip

    def report(self, table: Any, dataset: Any, logits: np.ndarray) -> dict[str, Any]:
        labels = dataset.gather(np.arange(len(dataset))).labels.numpy()
        figures, types = self._figures(table.tags, dataset.word_tags(logits.argmax(-1), self.labels), labels, logits)
        classes = [
            {"label": name, "precision": s.precision, "recall": s.recall, "f1": s.f1, "support": s.support}
            for name, s in types.items()
        ]
        return {"samples": len(table), **figures, "classes": classes}

    def answers(self, table: Any, dataset: Any, logits: np.ndarray, top_k: int = 1) -> list[dict[str, Any]]:
        answers = []
        for words, tags in zip(table.words, dataset.word_tags(logits.argmax(-1), self.labels)):
            spans = [
                {"type": s.type, "start": s.start, "end": s.end, "text": " ".join(words[s.start : s.end])}
                for s in tag_spans(tags)
            ]
            answers.append({"words": words, "tags": tags, "spans": spans})
        return answers

    def cells(self, answer: Mapping[str, Any]) -> list[str]:
        return [" ".join(answer["tags"])]

    @classmethod
    def opens(cls, config: TransformerConfig, architecture: str) -> bool:
        return architecture.endswith("ForTokenClassification")
