"""Predictor: answers for texts, by a model with its tokenizer and its task."""

from __future__ import annotations

import os
from typing import Any, TypedDict, TypeVar

import numpy as np

from engine.errors import FileMissing, require
from engine.hub import check_parts
from engine.models import TransformerConfig
from engine.models.pretrained import Pretrained, read_config
from engine.serialization import read_json
from engine.tasks import Part, TextTask, task_of
from engine.text import TextDataset, Tokenizer
from engine.text.lists import strings_of

__all__ = ["Predictor"]

Self = TypeVar("Self", bound="Predictor")


class _Architectures(TypedDict, total=False):
    architectures: list[str] | None


def architecture_of(folder: str | os.PathLike[str], op: str, argument: str) -> str:
    """The class that a folder's config.json names; "" if it names none. Errors speak of the call `op` and its argument."""
    check_parts(folder, op, argument)
    names = read_json(os.path.join(folder, "config.json"), op, argument, _Architectures).get("architectures")
    return names[0] if names else ""


def check_vocabulary(op: str, config: TransformerConfig, tokenizer: Tokenizer) -> None:
    """Raises ValueError if a tokenizer gives ids that the model does not have."""
    fits = tokenizer.vocab_size <= config.vocab_size
    require(fits, op, "tokenizer", f"at most the model's {config.vocab_size} tokens", tokenizer.vocab_size)


class Predictor:
    """Answers for texts: a label, several labels, a number, or tags, depending on the model's task.

        >>> predictor = Predictor.from_pretrained("runs/banking77")
        >>> predictor.answer(["My card has not arrived yet"])
        [{'label': 'card_arrival', 'probability': 0.98}]

    Args:
        model: gives logits; its config names the labels (`id2label`). A label without a name is called LABEL_0, LABEL_1, ...
        tokenizer: makes ids of cleaned texts (see `clean_text`); texts are cut to the model's length.
        task: what the model was trained for; None: as its class and its config say.

    Raises:
        ValueError: if the config names labels that the model does not have, or if the tokenizer has more tokens than the model.
    """

    def __init__(self, model: Pretrained, tokenizer: Tokenizer, task: TextTask | None = None) -> None:
        self.task = task_of(model.config, model.architecture).of_model(model.config) if task is None else task
        check_vocabulary(type(self).__name__, model.config, tokenizer)
        self.model, self.tokenizer, self.labels = model, tokenizer, self.task.labels
        self._temperature = 1.0

    @classmethod
    def from_pretrained(cls: type[Self], directory: str | os.PathLike[str], *, device: Any = None) -> Self:
        """Open the folder of a training run, or one that `save_pretrained` wrote. device: where the model runs; None: the CPU.

        Raises:
            FileNotFoundError: if the folder or a file in it is missing.
            ValueError: if a file is damaged, or the model is an encoder without a trained head.
        """
        op, folder = f"{cls.__name__}.from_pretrained", os.fspath(directory)
        require(os.path.isdir(folder), op, "directory", "an existing folder", folder, error=FileMissing)
        name = architecture_of(folder, op, "directory")
        auto = task_of(read_config(folder, op), name).auto
        model, info = auto.from_pretrained(folder, output_loading_info=True)
        got = f"a model in {folder} that lacks the weights {', '.join(info.missing_keys)}"
        require(not info.missing_keys, op, "directory", "a model trained for a task", got)
        if device is not None:
            model.to(device)
        return cls(model, Tokenizer.from_pretrained(directory))

    def __repr__(self) -> str:
        counted = f"{len(self.labels)} {self.task.label_word}s, " if self.task.label_word else ""
        return f"{type(self).__name__}({self.task.name}, {counted}texts of at most {self.max_length} tokens)"

    def to(self: Self, device: Any) -> Self:
        """Moves the model to a device; returns the predictor."""
        self.model.to(device)
        return self

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write config.json, model.safetensors and the tokenizer's files into a folder."""
        self.model.save_pretrained(directory)
        self.tokenizer.save(directory)

    @property
    def temperature(self) -> float:
        """Probabilities are those of the logits divided by this number. Raises ValueError for a number <= 0, and for a task without
        probabilities, such as a regression."""
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        op, name = type(self).__name__, type(self.task).__name__
        require(value > 0, op, "temperature", "a number > 0", value)
        fits = self.task.has_probabilities or value == 1
        require(fits, op, "temperature", f"1 for {name}, which has no probabilities", value)
        self._temperature = float(value)

    @property
    def max_length(self) -> int:
        """The number of tokens after which texts are cut."""
        return min(self.model.config.max_length, self.tokenizer.model_max_length or 2**31)

    def encode(self, table: Any) -> TextDataset:
        """The table's texts cleaned and tokenized, with targets if the table has labels."""
        return self.task.dataset(table, self.tokenizer, self.max_length)

    def dataset_logits(self, dataset: TextDataset, batch_size: int = 128) -> np.ndarray:
        """Logits, float32: (n, num_labels) of texts, (total_tokens, num_labels) of words, in the order of the data."""
        return self.task.logits(self.model, dataset, batch_size)

    def answer(self, texts: Any, pairs: Any = None, top_k: int = 1, batch_size: int = 128) -> list[dict[str, Any]]:
        """The model's answer for each text, as objects for JSON; see the task's `answers`.

        Args:
            texts: n strings: a list, an array, or a column of pandas, polars or `datasets`.
            pairs: the second text of each, n strings, for a model of pairs.
            top_k: how many labels an answer names, for a task with one label a text.
            batch_size: the most texts in a batch.

        Raises:
            ValueError: if top_k is below 1; TypeError: if `texts` is one string, a table or a set, or holds anything but strings.
        """
        op = f"{type(self).__name__}.answer"
        given = strings_of(op, "texts", texts)
        seconds = None if pairs is None else strings_of(op, "pairs", pairs)
        require(top_k >= 1, op, "top_k", "at least 1", top_k)
        return self.answer_table(self.task.bare(given, seconds), top_k, batch_size)

    def answer_table(self, table: Any, top_k: int = 1, batch_size: int = 128) -> list[dict[str, Any]]:
        """As `answer`, for the rows of a table."""
        return self.answer_encoded(table, self.encode(table), top_k, batch_size)

    def answer_encoded(
        self, table: Any, dataset: TextDataset, top_k: int = 1, batch_size: int = 128
    ) -> list[dict[str, Any]]:
        """As `answer_table`, for a table that `encode` has made into this dataset."""
        logits = self.dataset_logits(dataset, batch_size) / np.float32(self.temperature)
        return self.task.answers(table, dataset, logits, top_k)

    def judge(self, table: Any, batch_size: int = 128) -> dict[str, Any]:
        """The figures of an evaluation on a labelled table, as `report.json` holds them.

        Raises:
            ValueError: if the table has no labels, or a label that the model does not know (the message names its line).
        """
        return self.task.judge(self.model, Part(self.encode(table), table), batch_size).figures
