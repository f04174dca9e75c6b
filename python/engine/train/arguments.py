"""The arguments of a `Trainer`: their types, and whether they belong together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from engine.errors import Argument, BadType, FileExists, require
from engine.nn import Module
from engine.optim import Optimizer
from engine.optim.lr_scheduler import LRScheduler
from engine.settings import checked
from engine.train.callbacks import Callback
from engine.train.config import TrainerConfig

__all__: list[str] = []


def check_arguments(
    model: Any, config: Any, optimizer: Any, scheduler: Any, output: Any, callbacks: Any, progress: Any
) -> list[Callback]:
    """Raises TypeError for arguments of other types, ValueError for a scheduler of another optimizer. Returns the callbacks."""
    for name, right, expected, value in (
        ("model", isinstance(model, Module), "a Module", model),
        ("config", isinstance(config, TrainerConfig), "a TrainerConfig", config),
        ("optimizer", isinstance(optimizer, Optimizer | None), "None or an Optimizer", optimizer),
        ("scheduler", isinstance(scheduler, LRScheduler | None), "None or an LRScheduler", scheduler),
        ("output", isinstance(output, str | os.PathLike | None), "None or the path of a folder", output),
        ("callbacks", isinstance(callbacks, Iterable), "a list of Callbacks", callbacks),
    ):
        require(right, "Trainer", name, expected, _kind_of(value), error=BadType)
    if scheduler is not None:
        hint = "a scheduler sets the rates of its own optimizer"
        require(optimizer is not None, "Trainer", "optimizer", "the optimizer of the scheduler", "None", hint)
        own = scheduler.optimizer is optimizer
        require(own, "Trainer", "scheduler", "a scheduler of the optimizer", "one of another optimizer", hint)
    if output is not None and os.path.exists(output):
        require(os.path.isdir(output), "Trainer", "output", "a folder", f"the file {output}", error=FileExists)
    checked("Trainer", "progress", bool, progress)
    given = list(callbacks)
    for each in given:
        right = isinstance(each, Callback)
        require(right, "Trainer", "callbacks", "a list of Callbacks", f"{_kind_of(each)} in it", error=BadType)
    return given


def _kind_of(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else type(value).__name__


def check_parameters(optimizer: Optimizer, model: Module) -> None:
    """Raises ValueError if the optimizer has a parameter that is not the model's."""
    own = {id(p) for p in model.parameters()}
    for group in optimizer.param_groups:
        for p in group["params"]:
            expected, got = (
                "an optimizer of the model's parameters",
                f"one with another parameter, of shape {tuple(p.shape)}",
            )
            require(id(p) in own, "Trainer", "optimizer", expected, got)


def refuse_unread(config: TrainerConfig, eval_data: Any, optimizer: Any, scheduler: Any, output: Any) -> None:
    """Raises ValueError for settings that nothing reads, because of these arguments or of another setting."""
    of_optimizer = ("lr", "weight_decay", "betas", "eps", "layer_wise_lr_decay", "head_lr")
    none, no_folder = config.checkpoint_every == 0, ("nothing is written without ", Argument("output"))
    for unread, reason, names in (
        (optimizer is not None, (Argument("optimizer"), " has its own"), of_optimizer),
        (scheduler is not None, (Argument("scheduler"), " decides the rates"), ("schedule", "warmup_ratio")),
        (eval_data is None, "there are no held-out data", ("eval_every", "metric", "early_stopping")),
        (output is None, no_folder, ("keep_checkpoints",)),
        (output is None and not none, no_folder, ("checkpoint_every",)),
        (none, (Argument("checkpoint_every"), " is 0"), ("keep_checkpoints",)),
    ):
        if unread:
            config.refuse(reason, *names)
