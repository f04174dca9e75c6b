"""The settings of a training run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.device import device as Device
from engine.errors import Argument
from engine.settings import Settings

__all__ = ["TrainerConfig"]

_EPOCHS = 10  # unless the config says how long to train


@dataclass(frozen=True)
class TrainerConfig(Settings):
    """How a `Trainer` trains; the defaults suit small transformers trained from scratch.

    Attributes:
        epochs: passes over the training data; None: 10, unless `max_steps` is given.
        max_steps: optimizer steps after which training ends, instead of `epochs`. Data of unknown length need it.
        batch_size: the most sequences in a batch; None: no limit (then `max_tokens` is needed).
        max_tokens: the most tokens in a batch; None: no limit.
        bucket_by_length: put texts of similar length into a batch. Packed batches do not need it; it is there for comparisons.
        gradient_accumulation_steps: batches of one optimizer step, which counts them as one batch. The last step of an epoch may
            have fewer.
        lr: highest learning rate of AdamW.
        layer_wise_lr_decay: each layer learns at the rate of the layer above it times this factor (see `parameter_groups`).
        head_lr: highest rate of the parts above the layers, such as a classifier; None: `lr`.
        weight_decay: of matrices; biases, norms and other vectors do not decay.
        betas, eps: of AdamW.
        schedule: "linear" or "cosine": the rate falls to 0 at the end; "constant": it stays.
        warmup_ratio: the share of all steps in which the rate first rises from 0.
        max_grad_norm: a gradient with a larger norm is scaled down to this one; None: no clipping.
        seed: decides the order of batches and all random draws.
        eval_every: steps between evaluations; None: at the end of each epoch.
        metric: the figure of an evaluation that selects the best model; None: the task's own (`Task.metric`).
        early_stopping: training ends after so many evaluations without a better metric; None: it does not end early.
        checkpoint_every: steps between checkpoints; None: at the end of each epoch; 0: no checkpoints.
        keep_checkpoints: how many of the newest checkpoints are kept.
        log_every: steps between lines of the log.
        eval_batch_size: sequences in a batch of an evaluation.
        device: "cpu", "cuda" or "cuda:1": the model and its batches are moved there; None: the model stays where it is.
        precision: "float32", or "bfloat16" for products in bfloat16 (`engine.autocast`), on CUDA devices only.

    Raises:
        TypeError: for a value of another type, such as a string for a number.
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
        if self.device is not None:
            object.__setattr__(self, "device", str(Device(self.device)))
        super().__post_init__()
        if self.epochs == _EPOCHS and self.max_steps is not None:  # the default, as `dataclasses.replace` passes it on
            object.__setattr__(self, "epochs", None)
        if self.max_steps is not None:
            self.refuse((Argument("max_steps"), " says when training ends"), "epochs")
        elif self.epochs is None:
            object.__setattr__(self, "epochs", _EPOCHS)
        for name in ("epochs", "max_steps", "batch_size", "max_tokens", "eval_every", "early_stopping"):
            value = getattr(self, name)
            self.require(name, value is None or value >= 1, "at least 1")
        for name in ("gradient_accumulation_steps", "keep_checkpoints", "log_every", "eval_batch_size"):
            self.require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("lr", "weight_decay", "eps"):
            self.require(name, 0 <= getattr(self, name) < math.inf, "a finite number >= 0")
        self.require("head_lr", self.head_lr is None or 0 <= self.head_lr < math.inf, "a finite number >= 0")
        limited = self.batch_size is not None or self.max_tokens is not None
        self.require("batch_size", limited, "a number, because max_tokens is None")
        self.require("layer_wise_lr_decay", 0 < self.layer_wise_lr_decay <= 1, "a number in (0, 1]")
        self.require("betas", len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "two numbers in [0, 1)")
        self.require("schedule", self.schedule in ("linear", "cosine", "constant"), "'linear', 'cosine' or 'constant'")
        self.require("warmup_ratio", 0 <= self.warmup_ratio <= 1, "a number in [0, 1]")
        norm = self.max_grad_norm
        self.require("max_grad_norm", norm is None or 0 < norm < math.inf, "a finite number > 0")
        self.require("seed", 0 <= self.seed < 2**63, "an integer in [0, 2**63)")
        self.require("metric", self.metric != "", "the name of a figure")
        self.require("checkpoint_every", (self.checkpoint_every or 0) >= 0, "at least 0")
        self.require("precision", self.precision in ("float32", "bfloat16"), "'float32' or 'bfloat16'")
