"""Trainer: the training loop on packed batches, with evaluation, log, checkpoints and resuming to the same bits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from engine import _core
from engine.autograd import no_grad
from engine.data import DataLoader, PackedBatch
from engine.nn import Module, Parameter
from engine.nn import functional as F
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
from engine.tensor import Tensor
from engine.tensor import device as Device
from engine.train.callbacks import Callback, JsonlLog, ProgressBar, read_log
from engine.train.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from engine.train.config import TrainerConfig
from engine.train.metrics import classification_metrics

__all__ = ["Trainer", "TrainerState", "compute_logits", "parameter_groups"]


@dataclass
class TrainerState:
    """Where a run stands. Everything here goes through checkpoints.

    Attributes:
        epoch: whole epochs done.
        step: optimizer steps done.
        samples, tokens, padded_tokens: trained on so far; the last is what rectangles as long as each batch's longest
            sequence would have held.
        seconds: spent training, without evaluations and checkpoints.
        best_metric, best_step: the best evaluation so far, None and 0 before the first.
        waited: evaluations since the best one.
        stop: whether to end after the present step.
    """

    epoch: int = 0
    step: int = 0
    samples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
    best_metric: float | None = None
    best_step: int = 0
    waited: int = 0
    stop: bool = False
    # Sums since the last line of the log, and since the last epoch.
    interval_loss: float = 0.0
    interval_steps: int = 0
    interval_tokens: int = 0
    interval_seconds: float = 0.0
    epoch_loss: float = 0.0
    epoch_steps: int = 0
    epoch_tokens: int = 0
    epoch_seconds: float = 0.0


class Trainer:
    """Trains a classifier, evaluates it, and keeps what is needed to go on.

        >>> trainer = Trainer(model, TrainerConfig(epochs=3), train_data, held_out, output="runs/first")
        >>> trainer.train()
        >>> trainer.evaluate(test_data)["accuracy"]

    With `output`, that folder gets `log.jsonl`, `checkpoints/` and `model.safetensors` (the best weights on `eval_data`
    by `config.metric`; without `eval_data` the last ones). The same data, config and seed give the same bits, at any
    number of threads, and also when the run was broken off and resumed.

    Args:
        model: `model(batch)` gives logits of shape (batch, num_labels).
        config: the settings.
        train_data: a dataset that gives `PackedBatch`es with labels, such as `TextDataset`, or a `DataLoader` of one (then
            its own batch size, order and seed hold).
        eval_data: held-out data, likewise; never shuffled here.
        output: a folder, made where it is missing; None: nothing is written.
        progress: show a progress bar on standard error (needs tqdm: `pip install engine[cli]`).
        callbacks: called after the built-in ones.
        optimizer: None: AdamW by the config, without decay of vectors.
        scheduler: None: by the config.
        loss_fn: `loss_fn(logits, labels)`, a scalar; None: cross-entropy with `config.label_smoothing`.
        transform: `transform(batch, step)` changes each training batch, such as `TokenDropout`.

    Raises:
        ImportError: if progress is asked for and tqdm is missing.
        ValueError: on data without labels or without a single batch.
    """

    def __init__(
        self,
        model: Module,
        config: TrainerConfig,
        train_data: Any,
        eval_data: Any = None,
        *,
        output: str | Path | None = None,
        progress: bool = False,
        callbacks: Iterable[Callback] = (),
        optimizer: Optimizer | None = None,
        scheduler: LRScheduler | None = None,
        loss_fn: Callable[[Tensor, Tensor], Tensor] | None = None,
        transform: Callable[[PackedBatch, int], PackedBatch] | None = None,
    ) -> None:
        self.model = model
        self.config = config
        if config.device is not None:
            model.to(config.device)
        self.device = device_of_model(model)
        if config.precision == "bfloat16" and self.device.type != "cuda":
            raise ValueError(f"[Trainer] precision: expected 'float32' on {self.device}, got 'bfloat16'")
        self.train_loader = train_data if isinstance(train_data, DataLoader) else self._train_loader(train_data)
        self.eval_loader = None if eval_data is None else self._eval_loader(eval_data)
        self._epoch_ends = list(accumulate(self.train_loader.num_batches(epoch) for epoch in range(config.epochs)))
        if not self._epoch_ends[0]:
            raise ValueError("[Trainer] train_data: expected at least one batch an epoch, got none")
        self.total_steps = self._epoch_ends[-1]
        self.optimizer = optimizer or AdamW(
            parameter_groups(model, config.weight_decay), lr=config.lr, betas=config.betas, eps=config.eps
        )
        self.scheduler = scheduler or self._schedule()
        self.loss_fn = loss_fn or self._cross_entropy
        self.transform = transform
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
        while state.epoch < config.epochs and not state.stop:
            self.train_loader.set_epoch(state.epoch)
            end = self._epoch_ends[state.epoch]
            for batch in self.train_loader:
                self._step(batch)
                if state.step == end or state.stop:
                    break
                if self._due(config.eval_every):
                    self._evaluate()
                if self._due(config.checkpoint_every) or self._interrupted:
                    self._checkpoint()
                self._break_off()
            if state.step < end:
                break  # stopped within the epoch
            state.epoch += 1
            self._end_epoch()
            self._break_off()
        self._read_losses()
        if state.best_metric is None:
            self._keep_weights()
        elif self.output is not None:
            self.model.load_state_dict(load_file(self.output / "model.safetensors"))
        elif self._best is not None:
            self.model.load_state_dict(self._best)
        self.model.eval()
        self._record("end", best_metric=state.best_metric, best_step=state.best_step, seconds=state.seconds)

    def _step(self, batch: PackedBatch) -> None:
        start = time.perf_counter()
        state, config = self.state, self.config
        labels = batch.labels
        if labels is None:
            raise ValueError("[Trainer] train_data: expected batches with labels, got one without")
        if self.transform is not None:
            batch = self.transform(batch, state.step)
        batch, labels = batch.to(self.device), labels.to(self.device)
        with autocast(enabled=config.precision == "bfloat16"):
            loss_tensor = self.loss_fn(self.model(batch), labels)
        loss: Any = None
        if loss_tensor.is_cuda:  # not read before it is wanted: the host runs ahead of the device
            self._losses.append(loss_tensor.detach())
        else:
            loss = self._finite(float(loss_tensor.item()), state.step + 1)
        loss_tensor.backward()
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
        state.step += 1
        state.samples += batch.batch_size
        state.tokens += batch.total_tokens
        state.padded_tokens += batch.padded_tokens
        state.seconds += seconds
        self._add("steps", 1)
        self._add("tokens", batch.total_tokens)
        self._add("seconds", seconds)
        if loss is None:
            loss = self._losses[-1]
        else:
            self._add("loss", loss)
        if state.step % config.log_every == 0 or state.step == self.total_steps:
            self._record("train", lr=lr, **self._take("interval"))
        for callback in self.callbacks:
            callback.on_step_end(self, loss)

    def _add(self, name: str, value: float) -> None:
        for part in ("interval", "epoch"):
            setattr(self.state, f"{part}_{name}", getattr(self.state, f"{part}_{name}") + value)

    def _finite(self, loss: float, step: int) -> float:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"[Trainer] loss: expected a finite number, got {loss} at step {step} (a lower lr may help)"
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
        last = state.epoch == config.epochs or state.stop
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
        metric = figures[config.metric]
        sign = -1.0 if config.metric == "loss" else 1.0
        if state.best_metric is None or sign * metric > sign * state.best_metric:
            state.best_metric, state.best_step, state.waited = metric, state.step, 0
            self._keep_weights()
        else:
            state.waited += 1
            if config.early_stopping is not None and state.waited >= config.early_stopping:
                state.stop = True
        self._record("eval", **figures)
        return figures

    def _keep_weights(self) -> None:
        if self.output is not None:
            save_file(self.model.state_dict(), self.output / "model.safetensors", {"format": "pt"})
        else:
            self._best = {name: Tensor(tensor._data.clone()) for name, tensor in self.model.state_dict().items()}

    # --- evaluating --------------------------------------------------------------------------------------------------

    def evaluate(self, data: Any) -> dict[str, float]:
        """loss, accuracy, macro_f1, micro_f1 and mcc on labelled data (see `classification_metrics`)."""
        logits, labels = self._logits(data)
        if labels is None:
            raise ValueError("[Trainer.evaluate] data: expected batches with labels, got none")
        return classification_metrics(labels, logits)

    def predict(self, data: Any) -> np.ndarray:
        """Logits of shape (n, num_labels), in the order of the data."""
        return self._logits(data)[0]

    def _logits(self, data: Any) -> tuple[np.ndarray, np.ndarray | None]:
        with autocast(enabled=self.config.precision == "bfloat16"):
            return compute_logits(self.model, self._eval_loader(data))

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        if self.output is None or self._log is None or self.config.checkpoint_every == 0:
            return
        self._read_losses()
        path = save_checkpoint(
            self.output / "checkpoints",
            self.state.step,
            {
                "config": self.config.to_dict(),
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
            raise ValueError("[Trainer.train] resume: expected an output folder to go on from, got none")
        path = latest_checkpoint(self.output / "checkpoints")
        if path is None:
            return 0
        saved = load_checkpoint(path)
        try:
            before = {"precision": "float32", **saved["config"]}  # older checkpoints have none
            for name, value in self.config.to_dict().items():
                if before.get(name) != value:
                    raise ValueError(f"[Trainer.train] {name}: expected {before.get(name)!r}, got {value!r}")
            self.train_loader.load_state_dict(saved["loader"])
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.scheduler.load_state_dict(saved["scheduler"])
            self.state = TrainerState(**saved["trainer"])
            _core.set_random_state(*saved["random"])
            return int(saved["log_bytes"])
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"[Trainer.train] resume: expected a checkpoint of a Trainer, got {path} ({error})"
            ) from None

    # --- parts -------------------------------------------------------------------------------------------------------

    def _train_loader(self, data: Any) -> DataLoader:
        config = self.config
        return DataLoader(
            data, config.batch_size, shuffle=True, bucket_by_length=config.bucket_by_length,
            max_tokens=config.max_tokens, seed=config.seed,
        )  # fmt: skip

    def _eval_loader(self, data: Any) -> DataLoader:
        return data if isinstance(data, DataLoader) else DataLoader(data, self.config.eval_batch_size)

    def _schedule(self) -> LRScheduler:
        warmup = round(self.config.warmup_ratio * self.total_steps)
        if self.config.schedule == "linear":
            return get_linear_schedule_with_warmup(self.optimizer, warmup, self.total_steps)
        if self.config.schedule == "cosine":
            return get_cosine_schedule_with_warmup(self.optimizer, warmup, self.total_steps)
        return get_constant_schedule_with_warmup(self.optimizer, warmup)

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)

    def _record(self, event: str, **figures: Any) -> None:
        record = {"event": event, "step": self.state.step, "epoch": self.state.epoch, **figures}
        for callback in self.callbacks:
            callback.on_log(self, record)

    def _call(self, name: str) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(self)


def parameter_groups(model: Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters that need gradients in two groups: matrices, which decay, and vectors (biases, norms), which do not."""
    trained: Sequence[Parameter] = [p for p in model.parameters() if p.requires_grad]
    groups = (
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    )
    return [group for group in groups if group["params"]]


def device_of_model(model: Module) -> Device:
    """Where a model's parameters are; the CPU where it has none."""
    return next((p.device for p in model.parameters()), Device("cpu"))


def compute_logits(model: Module, loader: Iterable[PackedBatch]) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits (n, num_labels) and labels (n,), or None where there are none, of all batches in their order.

    The model works in evaluation mode, on its device, and is left in the mode it had. Raises ValueError where there is no batch.
    """
    training = model.training
    model.eval()
    where = device_of_model(model)
    logits: list[Tensor] = []
    labels: list[np.ndarray] = []
    try:
        with no_grad():
            for batch in loader:
                logits.append(model(batch.to(where)))
                if batch.labels is not None:
                    labels.append(batch.labels.cpu().numpy())
    finally:
        model.train(training)
    if not logits:
        raise ValueError("[compute_logits] loader: expected at least one batch, got none")
    return np.concatenate(
        [(x.float() if x.dtype is _core.bfloat16 else x).cpu().numpy() for x in logits]
    ), np.concatenate(labels) if len(labels) == len(logits) else None
