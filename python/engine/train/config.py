"""The settings of a training run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from engine.device import device as Device
from engine.errors import BadValue

__all__ = ["TrainerConfig"]


@dataclass(frozen=True)
class TrainerConfig:
    """How a `Trainer` trains; the defaults suit small transformers trained from scratch.

    Attributes:
        epochs: passes over the training data; None: 10, unless `max_steps` is given.
        max_steps: optimizer steps after which training ends, instead of `epochs`. Data of unknown length need it.
        batch_size: the most sequences in a batch; None: no limit (then `max_tokens` is needed).
        max_tokens: the most tokens in a batch; None: no limit.
        bucket_by_length: draw texts of similar length together. Packed batches need no such thing; it is for comparison.
        gradient_accumulation_steps: batches that make one optimizer step together, as if they were one batch (the last step
            of an epoch may have fewer).
        lr: highest learning rate of AdamW.
        layer_wise_lr_decay: factor on the rate from each layer to the one below it (see `parameter_groups`).
        head_lr: highest rate of what stands above the layers, such as a classifier; None: `lr`.
        weight_decay: of matrices; biases, norms and other vectors do not decay.
        betas, eps: of AdamW.
        schedule: "linear" or "cosine" fall to 0 at the end, "constant" stays.
        warmup_ratio: part of all steps over which the rate first rises from 0.
        max_grad_norm: longer gradients are scaled down to it; None: no clipping.
        seed: decides the order of batches and all random draws.
        eval_every: steps between evaluations; None: at the end of each epoch.
        metric: the figure of an evaluation that selects the best model; None: the task's own (`Task.metric`).
        early_stopping: evaluations without a better metric after which training ends; None: never.
        checkpoint_every: steps between checkpoints; None: at the end of each epoch; 0: none at all.
        keep_checkpoints: how many checkpoints stay.
        log_every: steps between lines of the log.
        eval_batch_size: sequences in a batch of an evaluation.
        device: "cpu", "cuda" or "cuda:1": where the model is moved to train, and each batch after it; None: it stays.
        precision: "float32", or "bfloat16" for products in bfloat16 (`engine.autocast`), on CUDA devices alone.

    Raises:
        ValueError: for a value out of range.
    """

    epochs: int | None = None
    max_steps: int | None = None
    batch_size: int | None = 32
    max_tokens: int | None = None
    bucket_by_length: bool = False
    gradient_accumulation_steps: int = 1
    lr: float = 1e-3
    layer_wise_lr_decay: float = 1.0
    head_lr: float | None = None
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    schedule: str = "linear"
    warmup_ratio: float = 0.1
    max_grad_norm: float | None = 1.0
    seed: int = 0
    eval_every: int | None = None
    metric: str | None = None
    early_stopping: int | None = None
    checkpoint_every: int | None = None
    keep_checkpoints: int = 1
    log_every: int = 20
    eval_batch_size: int = 128
    device: str | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))  # JSON knows no tuples
        if self.device is not None:
            object.__setattr__(self, "device", str(Device(self.device)))
        if self.epochs is not None and self.max_steps is not None:
            raise BadValue(
                "TrainerConfig", "epochs", "None beside max_steps, which says when training ends", self.epochs
            )
        if self.epochs is None and self.max_steps is None:
            object.__setattr__(self, "epochs", 10)
        self._check("epochs", self.epochs is None or self.epochs >= 1, "at least 1")
        for name in ("lr", "weight_decay", "eps"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "a finite number >= 0")
        self._check("betas", len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "two numbers in [0, 1)")
        self._check("schedule", self.schedule in ("linear", "cosine", "constant"), "'linear', 'cosine' or 'constant'")
        self._check("warmup_ratio", 0 <= self.warmup_ratio <= 1, "a number in [0, 1]")
        norm = self.max_grad_norm
        self._check("max_grad_norm", norm is None or 0 < norm < math.inf, "None or a finite number > 0")
        self._check("seed", 0 <= self.seed < 2**63, "an integer in [0, 2**63)")
        self._check(
            "metric",
            self.metric is None or (isinstance(self.metric, str) and bool(self.metric)),
            "the name of a figure",
        )
        self._check("layer_wise_lr_decay", 0 < self.layer_wise_lr_decay <= 1, "a number in (0, 1]")
        self._check("head_lr", self.head_lr is None or 0 <= self.head_lr < math.inf, "None or a finite number >= 0")
        for name in ("max_steps", "batch_size", "max_tokens", "eval_every", "early_stopping"):
            value = getattr(self, name)
            self._check(name, value is None or value >= 1, "None or at least 1")
        self._check("batch_size", (self.batch_size or self.max_tokens) is not None, "a number where max_tokens is None")
        self._check("checkpoint_every", (self.checkpoint_every or 0) >= 0, "None or at least 0")
        self._check("precision", self.precision in ("float32", "bfloat16"), "'float32' or 'bfloat16'")
        for name in ("gradient_accumulation_steps", "keep_checkpoints", "log_every", "eval_batch_size"):
            self._check(name, getattr(self, name) >= 1, "at least 1")

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise BadValue("TrainerConfig", name, expected, repr(getattr(self, name)))

    def refuse(self, reason: str, *names: str) -> None:
        """Raises ValueError if one of the settings of those names was changed, although nothing would read it. reason: why."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in names and value != field.default:
                raise BadValue("TrainerConfig", field.name, f"no value, because {reason}", repr(value))

    def to_dict(self) -> dict[str, Any]:
        """All settings, fit for JSON."""
        return {**asdict(self), "betas": list(self.betas)}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> TrainerConfig:
        """The config of `to_dict`. Raises ValueError for a name that is no setting."""
        unknown = sorted(set(settings) - {field.name for field in fields(cls)})
        if unknown:
            raise BadValue("TrainerConfig", "settings", "names of settings", repr(unknown[0]))
        return cls(**settings)
