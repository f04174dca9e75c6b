"""Trainer: the training loop, with evaluation, log, checkpoints and resuming to the same bits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import _core
from engine.data import in_order, size_of, to_device
from engine.errors import Argument, BadType, BadValue, NotFinite
from engine.models.forward import compute_logits, device_of_model, evaluating
from engine.nn import Module
from engine.nn.utils import clip_coefficient, get_total_norm
from engine.ops.precision import autocast
from engine.ops.shape import stack
from engine.optim import (
    AdamW,
    Optimizer,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)
from engine.optim.lr_scheduler import LRScheduler
from engine.serialization import load_file, save_file
from engine.tasks.base import Task, as_task
from engine.tensor import Tensor
from engine.train.callbacks import Callback, JsonlLog, ProgressBar, read_log
from engine.train.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from engine.train.config import TrainerConfig
from engine.train.parameters import parameter_groups
from engine.train.sources import in_groups, shares, training_source
from engine.train.state import TrainerState

__all__ = ["Trainer"]

FORMAT = 2  # of checkpoints


class Trainer:
    """Trains a model for a task, evaluates it, and keeps what is needed to go on.

        >>> task = Classification(["ham", "spam"])
        >>> trainer = Trainer(model, task, TrainerConfig(epochs=3), train_data, held_out, output="runs/first")
        >>> trainer.train()
        >>> trainer.evaluate(test_data)["accuracy"]

    With `output`, that folder gets `log.jsonl`, `checkpoints/` and `model.safetensors` (the best weights on `eval_data`
    by the metric; without `eval_data` the last ones). The same data, config and seed give the same bits, at any
    number of threads, and also when the run was broken off and resumed.

    Args:
        model: what the task trains; a classifier gives logits for `model(batch)`.
        task: the loss, the figures and what else depends on them; or a function `loss(model, batch)` that gives the mean loss of
            a batch, a scalar. Of a function's model an evaluation gives the mean loss alone.
        config: the settings.
        train_data: a dataset, such as `TextDataset`; or a `DataLoader` (then its own batch size, order and seed hold); or any
            iterable of batches (see `BatchStream`), which needs `config.max_steps` if it does not say how many.
        eval_data: held-out data, likewise; never shuffled here.
        optimizer: None: AdamW by the config, without decay of vectors, of the parameters that require grad.
        scheduler: None: by the config.
        output: a folder, made if it is missing; None: nothing is written.
        callbacks: called after the built-in ones.
        progress: show a progress bar on standard error (needs tqdm: `pip install engine[cli]`).

    Raises:
        ImportError: if progress is asked for and tqdm is missing.
        TypeError: if the task is neither a Task nor a function.
        ValueError: on data without a single batch, or of unknown length without `max_steps`; for a metric that the evaluation does
            not give; for settings that nothing would read, such as a learning rate beside an optimizer.
    """

    best_weights = "model.safetensors"
    """The file in `output` for the best weights. Set it before `train` to have another."""

    def __init__(
        self,
        model: Module,
        task: Task | Callable[[Any, Any], Tensor],
        config: TrainerConfig,
        train_data: Any,
        eval_data: Any = None,
        *,
        optimizer: Optimizer | None = None,
        scheduler: LRScheduler | None = None,
        output: str | Path | None = None,
        callbacks: Iterable[Callback] = (),
        progress: bool = False,
    ) -> None:
        self.model, self.task = model, as_task(task)
        _refuse_unread(config, eval_data, optimizer, scheduler, output)
        self.config = config = replace(config, metric=config.metric or self.task.metric)
        if config.device is not None:
            model.to(config.device)
        self.device = device_of_model(model)
        if config.precision == "bfloat16" and self.device.type != "cuda":
            raise BadValue("Trainer", "precision", f"'float32' on {self.device}", "'bfloat16'")
        self.train_loader = training_source(train_data, config)
        self.eval_loader = None if eval_data is None else in_order(eval_data, config.eval_batch_size)
        if self.eval_loader is eval_data and eval_data is not None:
            config.refuse("eval_data gives batches", "eval_batch_size")
        self._epoch_ends: list[int] = []
        self.total_steps = config.max_steps or self._count_steps()
        self.optimizer = optimizer or AdamW(
            parameter_groups(model, config.weight_decay, config.lr, config.layer_wise_lr_decay, config.head_lr),
            lr=config.lr, betas=config.betas, eps=config.eps,
        )  # fmt: skip
        self.scheduler = scheduler or self._schedule()
        if self.eval_loader is not None and self.task.metrics is not None:  # known before anything is trained
            self._check_metric(self.task.metrics)
        self.state = TrainerState()
        self.output = None if output is None else Path(output)
        self._best: dict[str, Tensor] | None = None
        self._interrupted = False
        self._losses: list[Tensor] = []  # of the steps since the last time that the device's losses were read
        self._parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self._log = None if self.output is None else JsonlLog(self.output / "log.jsonl")
        built_in: list[Callback] = [] if self._log is None else [self._log]
        if progress:
            built_in.append(ProgressBar())
        self.callbacks: list[Callback] = [*built_in, *callbacks]

    # --- training ----------------------------------------------------------------------------------------------------

    def train(self, resume: bool = False) -> TrainerState:
        """Train to the end, then load the best weights into the model.

        resume: go on from the newest checkpoint in `output` (from the start where there is none yet).

        Raises:
            ValueError: on resuming with other settings or data than the checkpoint's, or without `output`.
            FloatingPointError: if the loss is no finite number.
            KeyboardInterrupt: after `interrupt()`.
        """
        self._interrupted = False
        _core.manual_seed(self.config.seed)
        position = self._resume() if resume else 0
        if self.output is not None:
            self.output.mkdir(parents=True, exist_ok=True)
        if self._log is not None:
            if resume and self._log.path.exists():
                read_log(self._log.path, position)  # a damaged one tells so now, not when the curves are drawn
            self._log.open(position)
        try:
            self._call("on_train_begin")
            self._train()
        finally:
            self._call("on_train_end")
        return self.state

    def interrupt(self) -> None:
        """Break off after the present step, and what is due after it, with a checkpoint (unless the config wants none).

        May be called from a signal handler, at any moment. `train` then raises KeyboardInterrupt.
        """
        self._interrupted = True

    def _train(self) -> None:
        state, config = self.state, self.config
        self.model.train()
        while state.step < self.total_steps and not state.stop:
            self.train_loader.set_epoch(state.epoch)
            end = self._epoch_end(state.epoch)
            for batches in in_groups(self.train_loader, config.gradient_accumulation_steps):
                self._step(batches)
                if state.step in (end, self.total_steps) or state.stop:
                    break
                if self._due(config.eval_every):
                    self._evaluate()
                if self._due(config.checkpoint_every) or self._interrupted:
                    self._checkpoint()
                self._break_off()
                if state.stop:
                    break
            else:
                end = state.step  # of data that did not say how many batches an epoch has
            if state.step == end:
                state.epoch += 1
            elif state.step < self.total_steps:
                break  # stopped within the epoch
            self._end_epoch()
            self._break_off()
        self._read_losses()
        if state.best_metric is None:
            self._keep_weights()
        elif self.output is not None:
            _load_weights(self.model, self.output / self.best_weights)
        elif self._best is not None:
            self.model.load_state_dict(self._best)
        self.model.eval()
        self._record("end", best_metric=state.best_metric, best_step=state.best_step, seconds=state.seconds)

    def _step(self, batches: list[Any]) -> None:
        start = time.perf_counter()
        state, config = self.state, self.config
        first = state.step * config.gradient_accumulation_steps
        batches = [self.task.transform(batch, first + i) for i, batch in enumerate(batches)]
        loss = self._backward(batches)
        scale: float | Tensor = 1.0
        if config.max_grad_norm is not None:
            gradients = [grad for p in self._parameters if (grad := p.grad) is not None]
            scale = clip_coefficient(get_total_norm(gradients), config.max_grad_norm)
            if not isinstance(scale, Tensor):
                scale = min(1.0, scale)
        self.optimizer.step(grad_scale=scale)
        lr = self.scheduler.get_last_lr()[0]
        self.scheduler.step()
        self.optimizer.zero_grad()
        seconds = time.perf_counter() - start
        sizes = [size_of(batch) for batch in batches]
        tokens = sum(size.positions for size in sizes)
        state.step += 1
        state.samples += sum(size.samples for size in sizes)
        state.tokens += tokens
        state.padded_tokens += sum(size.cells for size in sizes)
        state.seconds += seconds
        self._add("steps", 1)
        self._add("tokens", tokens)
        self._add("seconds", seconds)
        if isinstance(loss, Tensor):  # not read before it is wanted: the host runs ahead of the device
            self._losses.append(loss)
        else:
            self._add("loss", loss)
        if state.step % config.log_every == 0 or state.step == self.total_steps:
            self._record("train", lr=lr, **self._take("interval"))
        for callback in self.callbacks:
            callback.on_step_end(self, loss)

    def _backward(self, batches: list[Any]) -> Any:
        """Makes the gradients of the mean loss over all batches; that loss, a number, or on a device a 0-dim Tensor."""
        total: Any = None
        for batch, share in zip(batches, shares(batches, self.task.weight)):
            if share == 0:
                continue  # nothing in it counts
            with autocast(enabled=self.config.precision == "bfloat16"):
                loss = self.task.loss(self.model, to_device(batch, self.device))
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                got = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
                raise BadType("Trainer", "task", "a loss that is a Tensor of one element", got)
            if share != 1:
                loss = loss * share
            value = loss.detach() if loss.is_cuda else self._finite(float(loss.item()), self.state.step + 1)
            total = value if total is None else total + value
            loss.backward()
        return total

    def _add(self, name: str, value: float) -> None:
        for part in ("interval", "epoch"):
            setattr(self.state, f"{part}_{name}", getattr(self.state, f"{part}_{name}") + value)

    def _finite(self, loss: float, step: int) -> float:
        if not math.isfinite(loss):
            raise NotFinite(
                "Trainer",
                "loss",
                "a finite number",
                f"{loss} at step {step}",
                ("a lower ", Argument("lr"), " may help"),
            )
        return loss

    def _read_losses(self) -> None:
        """Waits for the device, whose losses of the last steps join the sums, in the order of the steps."""
        if not self._losses:
            return
        start = time.perf_counter()
        losses, self._losses = stack([x.float() for x in self._losses]).tolist(), []
        for i, loss in enumerate(losses):
            self._add("loss", self._finite(loss, self.state.step - len(losses) + 1 + i))
        seconds = time.perf_counter() - start  # of those steps, too
        self.state.seconds += seconds
        self._add("seconds", seconds)

    def _end_epoch(self) -> None:
        config, state = self.config, self.state
        figures = self._take("epoch")
        last = state.step == self.total_steps or state.stop
        if self.eval_loader is not None and (config.eval_every is None or self._due(config.eval_every) or last):
            figures["held_out"] = self._evaluate()
        self._record("epoch", **figures)
        if config.checkpoint_every is None or self._due(config.checkpoint_every) or last or self._interrupted:
            self._checkpoint()

    def _break_off(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt

    def _due(self, every: int | None) -> bool:
        return bool(every) and self.state.step % every == 0  # type: ignore[operator]

    def _take(self, part: str) -> dict[str, Any]:
        """Mean loss and rate since the last time, whose sums then start anew."""
        self._read_losses()
        state = self.state
        names = [f"{part}_{name}" for name in ("loss", "steps", "tokens", "seconds")]
        loss, steps, tokens, seconds = (getattr(state, name) for name in names)
        for field in fields(state):
            if field.name in names:
                setattr(state, field.name, field.default)
        return {"loss": loss / max(steps, 1), "tokens_per_second": tokens / max(seconds, 1e-9), "seconds": seconds}

    def _evaluate(self) -> dict[str, float] | None:
        """Evaluate on the held-out data, keep the weights if they are the best, and see whether to stop."""
        state, config = self.state, self.config
        if self.eval_loader is None:
            return None
        self._read_losses()  # their seconds are training's
        figures = self.evaluate(self.eval_loader)
        self._check_metric(figures)
        metric = figures[str(config.metric)]
        sign = -1.0 if config.metric in self.task.minimize else 1.0
        if state.best_metric is None or sign * metric > sign * state.best_metric:
            state.best_metric, state.best_step, state.waited = metric, state.step, 0
            self._keep_weights()
        else:
            state.waited += 1
            if config.early_stopping is not None and state.waited >= config.early_stopping:
                state.stop = True
        self._record("eval", **figures)
        return figures

    def _check_metric(self, figures: Iterable[str]) -> None:
        if str(self.config.metric) not in figures:
            raise BadValue("Trainer", "metric", f"one of {', '.join(figures)}", f"{self.config.metric!r} in the config")

    def _keep_weights(self) -> None:
        if self.output is not None:
            (self.output / self.best_weights).parent.mkdir(parents=True, exist_ok=True)
            _save_weights(self.model, self.output / self.best_weights)
        else:
            self._best = {name: Tensor(tensor._data.clone()) for name, tensor in self.model.state_dict().items()}

    # --- evaluating --------------------------------------------------------------------------------------------------

    def evaluate(self, data: Any) -> dict[str, float]:
        """The figures of the task on data with targets."""
        with evaluating(self.model), autocast(enabled=self.config.precision == "bfloat16"):
            return dict(self.task.evaluate(self.model, in_order(data, self.config.eval_batch_size)))

    def predict(self, data: Any) -> np.ndarray:
        """What the model gives for all batches, one below the other, in the order of the data: of a classifier logits
        (n, num_labels)."""
        with autocast(enabled=self.config.precision == "bfloat16"):
            return compute_logits(self.model, in_order(data, self.config.eval_batch_size))[0]

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        if self.output is None or self._log is None or self.config.checkpoint_every == 0:
            return
        self._read_losses()
        path = save_checkpoint(
            self.output / "checkpoints",
            self.state.step,
            {
                "format": FORMAT,
                "config": self.config.to_dict(),
                "task": self.task.settings(),
                "trainer": asdict(self.state),
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "loader": self.train_loader.state_dict(),
                "random": list(_core.random_state()),
                "log_bytes": self._log.position,
            },
            self.config.keep_checkpoints,
        )
        for callback in self.callbacks:
            callback.on_checkpoint(self, path)

    def _resume(self) -> int:
        """Load the newest checkpoint; the length its log had."""
        if self.output is None:
            raise BadValue("Trainer.train", "resume", "an output folder to go on from", "none")
        path = latest_checkpoint(self.output / "checkpoints")
        if path is None:
            return 0
        saved = load_checkpoint(path)
        if saved.get("format") != FORMAT:
            raise BadValue(
                "Trainer.train",
                "resume",
                f"a checkpoint of format {FORMAT}",
                f"format {saved.get('format', 1)} in {path}",
                "go on with the version of engine that wrote it",
            )
        try:
            for part, settings in (("config", self.config.to_dict()), ("task", self.task.settings())):
                for name in sorted({*settings, *saved[part]}):
                    before, now = saved[part].get(name), settings.get(name)
                    if before != now:
                        raise BadValue("Trainer.train", name, f"{before!r} as in the checkpoint", repr(now))
            self.train_loader.load_state_dict(saved["loader"])
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.scheduler.load_state_dict(saved["scheduler"])
            self.state = TrainerState(**saved["trainer"])
            _core.set_random_state(*saved["random"])
            return int(saved["log_bytes"])
        except (KeyError, TypeError) as error:
            raise BadValue("Trainer.train", "resume", "a checkpoint of a Trainer", path, error) from None

    # --- parts -------------------------------------------------------------------------------------------------------

    def _epoch_end(self, epoch: int) -> int | None:
        """The step at which an epoch ends; None where the data do not say."""
        while len(self._epoch_ends) <= epoch:
            batches = self.train_loader.num_batches(len(self._epoch_ends))
            if batches is None:
                return None
            if not batches:
                raise BadValue("Trainer", "train_data", "at least one batch an epoch", "none")
            steps = -(-batches // self.config.gradient_accumulation_steps)
            self._epoch_ends.append(steps + (self._epoch_ends[-1] if self._epoch_ends else 0))
        return self._epoch_ends[epoch]

    def _count_steps(self) -> int:
        total = self._epoch_end((self.config.epochs or 1) - 1)
        if total is None:
            raise BadValue("Trainer", "max_steps", "a number in the config for data of unknown length", "None")
        return total

    def _schedule(self) -> LRScheduler:
        warmup = round(self.config.warmup_ratio * self.total_steps)
        if self.config.schedule == "linear":
            return get_linear_schedule_with_warmup(self.optimizer, warmup, self.total_steps)
        if self.config.schedule == "cosine":
            return get_cosine_schedule_with_warmup(self.optimizer, warmup, self.total_steps)
        return get_constant_schedule_with_warmup(self.optimizer, warmup)

    def _record(self, event: str, **figures: Any) -> None:
        record = {"event": event, "step": self.state.step, "epoch": self.state.epoch, **figures}
        for callback in self.callbacks:
            callback.on_log(self, record)

    def _call(self, name: str) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(self)


def _save_weights(model: Module, path: Path) -> None:
    """By the names that the model is published with, where it has such."""
    save = getattr(model, "save_weights", None)
    if save is not None:
        save(path)
    else:
        save_file(model.state_dict(), path, {"format": "pt"})


def _load_weights(model: Module, path: Path) -> None:
    load = getattr(model, "load_weights", None)
    if load is not None:
        load(path)
    else:
        model.load_state_dict(load_file(path))


def _refuse_unread(config: TrainerConfig, eval_data: Any, optimizer: Any, scheduler: Any, output: Any) -> None:
    """Raises ValueError for settings that nothing reads beside these arguments."""
    if optimizer is not None:
        config.refuse(
            "optimizer= has its own", "lr", "weight_decay", "betas", "eps", "layer_wise_lr_decay", "head_lr"
        )  # fmt: skip
    if scheduler is not None:
        config.refuse("scheduler= decides it", "schedule", "warmup_ratio")
    if eval_data is None:
        config.refuse("there is no eval_data", "eval_every", "metric", "early_stopping")
    if output is None:
        config.refuse(
            "there is no output folder", "keep_checkpoints", *["checkpoint_every"] * bool(config.checkpoint_every)
        )
    if config.checkpoint_every == 0:
        config.refuse("checkpoint_every is 0", "keep_checkpoints")
