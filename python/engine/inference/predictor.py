"""Predictor: a model with its tokenizer and its task, from texts to answers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from engine.errors import BadValue, FileMissing
from engine.models.pretrained import Pretrained, read_config
from engine.serialization import read_json
from engine.tasks import Part, TextTask, names_of, task_of
from engine.text import TextDataset, Tokenizer

__all__ = ["Predictor"]

Self = TypeVar("Self", bound="Predictor")


class Predictor:
    """Answers for texts: a label, several, a number, or tags, as the model's task is.

        >>> predictor = Predictor.from_pretrained("runs/banking77")
        >>> predictor.answer(["My card has not arrived yet"])
        [{'label': 'card_arrival', 'probability': 0.98}]

    Args:
        model: gives logits; its config names the labels (`id2label`).
        tokenizer: makes ids of cleaned texts (see `clean_text`); texts are cut to the model's length.
        task: None: by the model's class and its config.

    Raises:
        ValueError: if the config names no labels, or fewer than the model has, or the tokenizer has more tokens than the model.
    """

    def __init__(self, model: Pretrained, tokenizer: Tokenizer, task: TextTask | None = None) -> None:
        self.task = task_of(model.config, model.architecture)(names_of(model.config)) if task is None else task
        if tokenizer.vocab_size > model.config.vocab_size:
            raise BadValue(
                type(self).__name__,
                "tokenizer",
                f"at most the model's {model.config.vocab_size} tokens",
                tokenizer.vocab_size,
            )
        self.model = model
        self.tokenizer = tokenizer
        self.labels = self.task.labels
        self.temperature = 1.0  # logits are divided by it for the probabilities of answers

    @classmethod
    def from_pretrained(cls: type[Self], directory: str | os.PathLike[str], *, device: Any = None) -> Self:
        """Open the folder of a training run, or of `save_pretrained`; device: where the model is to be (None: the CPU).

        Raises:
            FileNotFoundError: if the folder or a file in it is missing; ValueError: if a file is damaged, or the model has no
                trained head, as an encoder alone.
        """
        if not os.path.isdir(directory):
            raise FileMissing(cls.__name__, "directory", "an existing folder", os.fspath(directory))
        config = read_config(os.fspath(directory), f"{cls.__name__}.from_pretrained")
        names = read_json(os.path.join(directory, "config.json")).get("architectures")
        architecture = str(names[0]) if isinstance(names, list) and names else ""
        auto = task_of(config, architecture).auto
        model, info = auto.from_pretrained(directory, output_loading_info=True)
        if info.missing_keys:
            raise BadValue(
                cls.__name__,
                "directory",
                "a model trained for a task",
                f"none of its weights {', '.join(info.missing_keys)} in {os.fspath(directory)}",
            )
        if device is not None:
            model.to(device)
        return cls(model, Tokenizer.from_pretrained(directory))

    def to(self: Self, device: Any) -> Self:
        """Moves the model."""
        self.model.to(device)
        return self

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write config.json, model.safetensors and the tokenizer's files."""
        self.model.save_pretrained(directory)
        self.tokenizer.save(directory)

    @property
    def max_length(self) -> int:
        """Tokens after which texts are cut."""
        return min(self.model.config.max_length, self.tokenizer.model_max_length or 2**31)

    def encode(self, table: Any) -> TextDataset:
        """Texts cleaned and tokenized, with targets where the table has labels."""
        return self.task.dataset(table, self.tokenizer, self.max_length)

    def dataset_logits(self, dataset: TextDataset, batch_size: int = 128) -> np.ndarray:
        """Logits, float32: (n, num_labels) of texts, (total_tokens, num_labels) of words, in the order of the data."""
        return self.task.logits(self.model, dataset, batch_size)

    def answer(
        self, texts: Iterable[str], pairs: Sequence[str] | None = None, top_k: int = 1, batch_size: int = 128
    ) -> list[dict[str, Any]]:
        """What the model says of each text (or pair of texts), fit for JSON; see the task's `answers`.

        Raises ValueError if top_k is below 1.
        """
        if top_k < 1:
            raise BadValue(f"{type(self).__name__}.predict", "top_k", "at least 1", top_k)
        table = self.task.bare(list(texts), pairs)
        return self.answer_table(table, top_k, batch_size)

    def answer_table(self, table: Any, top_k: int = 1, batch_size: int = 128) -> list[dict[str, Any]]:
        """The same of a table's rows."""
        dataset = self.encode(table)
        logits = self.dataset_logits(dataset, batch_size) / np.float32(self.temperature)
        return self.task.answers(table, dataset, logits, top_k)

    def judge(self, table: Any, batch_size: int = 128) -> dict[str, Any]:
        """The figures of an evaluation on a labelled table, as `report.json` holds them.

        Raises:
            ValueError: if the table has no labels, or one that the model does not know (names its line).
        """
        return self.task.judge(self.model, Part(self.encode(table), table), batch_size).figures
