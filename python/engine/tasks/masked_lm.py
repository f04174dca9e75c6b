"""Masked language modelling: the model guesses hidden tokens (Devlin et al. 2019, arXiv 1810.04805)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from engine import ops
from engine.errors import BadType, require
from engine.models import AutoModelForMaskedLM
from engine.models.forward import run_batches
from engine.nn import Module
from engine.nn import functional as F
from engine.ops.loss import IGNORE_INDEX
from engine.tasks.base import Task
from engine.tensor import Tensor
from engine.text import MaskedLanguageModeling, PackedBatch

__all__ = ["MaskedLM", "evaluate_masked"]


class MaskedLM(Task):
    """Masked language modelling with a `BertForMaskedLM`.

    masking: hides tokens of the training batches, which have no labels. Batches for an evaluation must be masked already: mask them
    once, so that evaluations can be compared.
    """

    name = "masked-lm"
    metric, headline = "loss", "perplexity"
    metrics = ("loss", "perplexity", "accuracy")
    auto = AutoModelForMaskedLM
    scratch: ClassVar[Mapping[str, Any]] = {"model_type": "bert", "type_vocab_size": 2}
    fields: ClassVar[Mapping[str, Any]] = {}
    new_head: ClassVar[bool] = False
    unused = frozenset({"pooling", "num_labels", "id2label", "problem_type", "classifier_dropout"})

    def __init__(self, masking: MaskedLanguageModeling) -> None:
        right = isinstance(masking, MaskedLanguageModeling)
        require(right, "MaskedLM", "masking", "a MaskedLanguageModeling", type(masking).__name__, error=BadType)
        self.masking = masking

    def transform(self, batch: PackedBatch, number: int) -> PackedBatch:
        return self.masking(batch, number)

    def loss(self, model: Any, batch: PackedBatch) -> Tensor:
        return model.loss(batch)

    def evaluate(self, model: Module, batches: Iterable[PackedBatch]) -> Mapping[str, float]:
        return evaluate_masked(model, batches)

    def settings(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "p": self.masking.p,
            "whole_word": self.masking.whole_word,
            "seed": self.masking.seed,
        }


def evaluate_masked(model: Module, batches: Iterable[PackedBatch]) -> dict[str, float]:
    """The figures of a `BertForMaskedLM` over all hidden tokens of masked batches: loss (mean, in nats), perplexity, and accuracy,
    the share that is guessed right.

    Raises ValueError if a batch is not masked, or if no token is hidden.
    """
    loss, right, count = 0.0, 0, 0
    masked = (batch for batch in batches if _hidden(batch).size)
    for batch, logits in run_batches(model, masked, lambda m, b: m(b, rows=_hidden(b))):
        target = batch.host("labels")[_hidden(batch)]
        loss += float(F.cross_entropy(logits, ops.from_numpy(target).to(logits.device), reduction="sum").item())
        right += int((logits.argmax(-1).cpu().numpy() == target).sum())
        count += target.size
    require(count, "evaluate_masked", "batches", "at least one token to guess", "none")
    return {"loss": loss / count, "perplexity": math.exp(min(loss / count, 700.0)), "accuracy": right / count}


def _hidden(batch: PackedBatch) -> np.ndarray:
    """The row numbers of the tokens to guess."""
    require(
        batch.labels is not None, "evaluate_masked", "batches", "labels of the hidden tokens", "a batch without labels"
    )
    return np.flatnonzero(batch.host("labels") != IGNORE_INDEX)
