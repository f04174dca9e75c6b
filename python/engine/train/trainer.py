"""Trainer: the training loop, with evaluation, log, checkpoints and resuming to the same bits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from engine import _core
from engine.data import size_of, to_device
from engine.data.batch import named_tensors
from engine.errors import Argument, BadType, BadValue, FileExists, NotFinite, require
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
from engine.settings import Between, checked, shortened
from engine.tasks.base import Task, as_task, batches_in_order
from engine.tasks.checks import checked_figures, checked_settings, checked_weight
from engine.tensor import Tensor
from engine.train.arguments import check_arguments, check_parameters, refuse_unread
from engine.train.callbacks import Callback, JsonlLog, ProgressBar
from engine.train.checkpoint import latest_checkpoint, load_checkpoint, remove_left_over, save_checkpoint
from engine.train.config import TrainerConfig
from engine.train.parameters import in_units, parameter_groups
from engine.train.sources import BatchStream, in_groups, shares, training_source
from engine.train.state import TrainerState

__all__ = ["Trainer"]

NOT_FINITE = "not_finite.safetensors"  # the batch whose loss was NaN or infinite

FORMAT = 2  # of checkpoints


class Trainer:
    """Trains a model for a task, evaluates it, and writes what is needed to resume the training.

        >>> task = Classification(["ham", "spam"])
        >>> trainer = Trainer(model, task, TrainerConfig(epochs=3), train_data, held_out, output="runs/first")
        >>> trainer.train()
        >>> trainer.evaluate(test_data)["accuracy"]

    With `output`, that folder gets `log.jsonl`, `checkpoints/` and `model.safetensors` (the best weights on `eval_data`
    by the metric; without `eval_data` the last ones). The same data, config and seed give the same bits with any
    number of threads, also if the run was interrupted and resumed.

    Args:
        model: what the task trains. For a `Classification`, `model(batch)` gives logits.
        task: decides the loss and the figures; or a function `loss(model, batch)` that gives the mean loss of a batch, a scalar.
            With a function, an evaluation gives the mean loss only.
        config: the settings.
        train_data: a dataset, such as `TextDataset`; or a `DataLoader`, whose own batch size, order and seed are used; or any
            iterable of batches (see `BatchStream`), which needs `config.max_steps` if it does not say how many it has. A plain list
            must hold objects with a `batch_size`, such as a `Batch`; other lists could hold samples or batches, so they must be
            given as `DataLoader(samples)` or `BatchStream(batches)`.
        eval_data: held-out data of the same kinds, but no iterator, which could be read only once. A dataset is not shuffled.
        optimizer: of parameters of this model; None: AdamW by the config, for the parameters that require grad. Vectors do not decay.
        scheduler: of the optimizer, which must be given, too; None: by the config.
        output: a folder, made if it is missing, without an earlier training; None: nothing is written.
        callbacks: called after the log, and before the progress bar, which begins below what they say.
        progress: show a progress bar on standard error (needs tqdm: `pip install engine[cli]`).

    Raises:
        ImportError: if tqdm is needed and missing.
        TypeError: if the task is neither a Task nor a function, or for another argument of another type.
        ValueError: for data without a batch, or of unknown length without `max_steps`; for a metric that the evaluation does not
            give; for settings that nothing would read, such as a learning rate together with an optimizer.
    """

    best_weights = "model.safetensors"
    """The name of the file in `output` for the best weights. Set it before `train` to change it."""

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
        given = check_arguments(model, config, optimizer, scheduler, output, callbacks, progress)
        self.model, self.task = model, as_task(task)
        checked_settings(self.task)  # what no checkpoint could hold is known before anything is written
        refuse_unread(config, eval_data, optimizer, scheduler, output)
        self.config = config = replace(config, metric=config.metric or self.task.metric)
        if config.device is not None:
            model.to(config.device)
        self.device = device_of_model(model)
        possible = config.precision == "float32" or self.device.type == "cuda"
        require(possible, "Trainer", "precision", f"'float32' on {self.device}", repr(config.precision))
        self.train_loader = training_source(train_data, config)
        self.eval_loader = None if eval_data is None else self._in_order("Trainer", "eval_data", eval_data)
        source = self.eval_loader.data if isinstance(self.eval_loader, BatchStream) else self.eval_loader
        if hasattr(source, "__next__"):
            got, hint = f"an iterator ({type(source).__name__})", "the second evaluation would find it empty"
            raise BadType("Trainer", "eval_data", "data that can be read again", got, hint)
        if self.eval_loader is eval_data and eval_data is not None:
            config.refuse((Argument("eval_data"), " gives batches"), "eval_batch_size")
        self._epoch_ends: list[int] = []
        total = config.max_steps or self._epoch_end((config.epochs or 1) - 1)
        if total is None:
            raise BadValue("Trainer", "max_steps", "a number, because the length of the data is unknown", "None")
        self.total_steps = total
        if optimizer is not None:
            check_parameters(optimizer, model)
        groups = parameter_groups(model, config.weight_decay, config.lr, config.layer_wise_lr_decay, config.head_lr)
        self.optimizer = optimizer or AdamW(
            in_units(groups, model, self.task.units(model), config.lr, config.eps),
            lr=config.lr, betas=config.betas, eps=config.eps,
        )  # fmt: skip
        self.scheduler = scheduler or self._schedule()
        if self.eval_loader is not None and self.task.metrics is not None:  # known before anything is trained
            self._check_metric(self.task.metrics)
        self.state = TrainerState()
        self._kept: dict[str, Any] = {  # what a checkpoint holds, and a resume loads
            "loader": self.train_loader, "model": model, "optimizer": self.optimizer, "scheduler": self.scheduler,
        }  # fmt: skip
        self.output = None if output is None else Path(output)
        self._best: dict[str, Tensor] = {}  # the best weights, if there is no output
        self._interrupted = False
        self._losses: list[Tensor] = []  # of the steps since the last time that the device's losses were read
        self._parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self._log = None if self.output is None else JsonlLog(self.output / "log.jsonl")
        bar = ProgressBar() if progress else None
        self.callbacks = [each for each in (self._log, *given, bar) if each is not None]

    # --- training ----------------------------------------------------------------------------------------------------

    def train(self, resume: bool = False) -> TrainerState:
        """Train to the end, then load the best weights into the model.

        resume: go on from the newest checkpoint in `output`, or from the start if there is none.

        Raises:
            FileExistsError: without `resume`, if `output` has the log or a checkpoint of an earlier training.
            ValueError: for a resume without `output`, or with other settings or data than those of the checkpoint.
            FloatingPointError: if the loss is not a finite number. On a CPU, `output` then has the batch in not_finite.safetensors.
            KeyboardInterrupt: after `interrupt()`.
        """
        resume = checked("Trainer.train", "resume", bool, resume)
        self._interrupted = False
        if not resume:
            self._require_unused()
        _core.manual_seed(self.config.seed)
        position = self._resume() if resume else 0
        with ExitStack() as stack:
            for callback in reversed(self.callbacks):  # each one's end comes, also if another one fails
                stack.callback(callback.on_train_end, self)
            if self._log is not None and self.output is not None:
                self._log.open(position)
                remove_left_over(self.output / "checkpoints")
                (self.output / NOT_FINITE).unlink(missing_ok=True)
            self._call("on_train_begin")
            self._train()
        return self.state

    def interrupt(self) -> None:
        """Ends the training after the present step, with a checkpoint (unless `checkpoint_every` is 0). `train` then raises
        KeyboardInterrupt. A signal handler may call this at any moment.
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
                end = state.step  # the data did not say how many batches an epoch has
            if state.step == end:
                state.epoch += 1
            elif state.step < self.total_steps:
                break  # a callback or early stopping ended the training within the epoch
            self._end_epoch()
            self._break_off()
        self._read_losses()
        if state.best_metric is None:
            self._keep_weights()
        else:
            self._load_best()
        self.model.eval()
        self._record("end", best_metric=state.best_metric, best_step=state.best_step, seconds=state.seconds)

    def _step(self, batches: list[Any]) -> None:
        start = time.perf_counter()
        state, config = self.state, self.config
        first = state.step * config.gradient_accumulation_steps
        batches = [self._transformed(batch, number) for number, batch in enumerate(batches, first)]
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
        self._add(steps=1, tokens=tokens, seconds=seconds)
        if isinstance(loss, Tensor):  # read later, so that the host does not wait for the device
            self._losses.append(loss)
        else:
            self._add(loss=loss)
        if state.step % config.log_every == 0 or state.step == self.total_steps:
            self._record("train", lr=lr, **self._take("interval"))
        self._call("on_step_end", loss)

    def _transformed(self, batch: Any, number: int) -> Any:
        changed = self.task.transform(batch, number)
        if changed is None:
            raise BadType(f"{type(self.task).__name__}.transform", "batch", "a changed batch", "None")
        return changed

    def _backward(self, batches: list[Any]) -> Any:
        """Computes the gradients of the mean loss over all batches. Returns this loss: a float, or on a CUDA device a 0-dim
        Tensor."""
        total: Any = None
        for batch, share in zip(batches, shares(batches, partial(checked_weight, self.task))):
            if share == 0:
                continue  # the batch has no targets
            with autocast(enabled=self.config.precision == "bfloat16"):
                loss = self.task.loss(self.model, to_device(batch, self.device))
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
                raise BadType("Trainer", "task", "a loss that is a Tensor of one element", got)
            if not loss.requires_grad:
                raise BadValue("Trainer", "task", "a loss that requires grad", "one that does not")
            if share != 1:
                loss = loss * share
            value = loss.detach() if loss.is_cuda else self._finite(float(loss.item()), self.state.step + 1, batch)
            total = value if total is None else total + value
            loss.backward()
        return total

    def rehearse(self, batch: Any) -> None:
        """The forward and backward pass of a step with one batch. The gradients are dropped, so that no weight changes."""
        self._backward([self._transformed(batch, 0)])
        self.optimizer.zero_grad()

    def _add(self, **values: float) -> None:
        """Adds to the sums for the next line of the log, and to those of the epoch."""
        for part in ("interval", "epoch"):
            for name, value in values.items():
                setattr(self.state, f"{part}_{name}", getattr(self.state, f"{part}_{name}") + value)

    def _finite(self, loss: float, step: int, batch: Any = None) -> float:
        """The loss. Raises FloatingPointError if it is not a finite number; a batch that is given is written to `output` first."""
        if not math.isfinite(loss):
            hints: list[Any] = [("a lower ", Argument("lr"), " may help")]
            if self.output is not None and (tensors := dict(named_tensors(batch))):
                save_file(tensors, self.output / NOT_FINITE, {"step": str(step), "loss": str(loss)})
                hints.append(f"the batch is in {self.output / NOT_FINITE}")
            raise NotFinite("Trainer", "loss", "a finite number", f"{loss} at step {step}", *hints)
        return loss

    def _read_losses(self) -> None:
        """Waits for the device, and adds its losses of the last steps to the sums, in the order of the steps."""
        if not self._losses:
            return
        start = time.perf_counter()
        losses, self._losses = stack([x.float() for x in self._losses]).tolist(), []
        for i, loss in enumerate(losses):
            self._add(loss=self._finite(loss, self.state.step - len(losses) + 1 + i))
        seconds = time.perf_counter() - start  # the device was still computing these steps
        self.state.seconds += seconds
        self._add(seconds=seconds)

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
        """Ends the training if `interrupt` was called."""
        if self._interrupted:
            raise KeyboardInterrupt

    def _due(self, every: int | None) -> bool:
        return bool(every and self.state.step % every == 0)

    def _take(self, part: str) -> dict[str, Any]:
        """The mean loss and the rate since the last time, by the sums of `part`, which go back to 0."""
        self._read_losses()
        names = [f"{part}_{name}" for name in ("loss", "steps", "tokens", "seconds")]
        loss, steps, tokens, seconds = (getattr(self.state, name) for name in names)
        for name in names:
            setattr(self.state, name, getattr(TrainerState, name))
        return {"loss": loss / max(steps, 1), "tokens_per_second": tokens / max(seconds, 1e-9), "seconds": seconds}

    def _evaluate(self) -> dict[str, float]:
        """Evaluates on the held-out data, keeps the weights if they are the best, and decides whether to stop."""
        state, config = self.state, self.config
        self._read_losses()  # the time that this takes belongs to the training
        figures = self.evaluate(self.eval_loader)
        self._check_metric(figures)
        metric = figures[str(config.metric)]
        sign = -1.0 if config.metric in self.task.minimize else 1.0
        best = state.best_metric
        if not math.isnan(metric) and (best is None or sign * metric > sign * best):
            state.best_metric, state.best_step, state.waited = metric, state.step, 0
            self._keep_weights()
        else:
            state.waited += 1
            state.stop |= config.early_stopping is not None and state.waited >= config.early_stopping
        self._record("eval", **figures)
        return figures

    def _check_metric(self, figures: Iterable[str]) -> None:
        metric = str(self.config.metric)
        require(metric in figures, "Trainer", "metric", f"one of {', '.join(figures)}", repr(metric))

    def _keep_weights(self) -> None:
        if self.output is None:
            self._best = {name: Tensor(tensor._data.clone()) for name, tensor in self.model.state_dict().items()}
            return
        path = self.output / self.best_weights
        path.parent.mkdir(exist_ok=True)  # not `output`: if somebody removed it, that is an error
        if hasattr(self.model, "save_weights"):  # a published model's files have names of their own
            self.model.save_weights(path)
        else:
            save_file(self.model.state_dict(), path, {"format": "pt"})

    def _load_best(self) -> None:
        if self.output is None:
            self.model.load_state_dict(self._best)
        elif hasattr(self.model, "load_weights"):
            self.model.load_weights(self.output / self.best_weights)
        else:
            self.model.load_state_dict(load_file(self.output / self.best_weights))

    # --- evaluating --------------------------------------------------------------------------------------------------

    def evaluate(self, data: Any) -> dict[str, float]:
        """The figures of the task on data with targets."""
        with evaluating(self.model), autocast(enabled=self.config.precision == "bfloat16"):
            batches = self._in_order("Trainer.evaluate", "data", data)
            return checked_figures(self.task, self.task.evaluate(self.model, batches))

    def predict(self, data: Any) -> np.ndarray:
        """The model's outputs for all batches, joined in the order of the data: logits (n, num_labels) of a classifier."""
        with autocast(enabled=self.config.precision == "bfloat16"):
            return compute_logits(self.model, self._in_order("Trainer.predict", "data", data))[0]

    def _in_order(self, op: str, argument: str, data: Any) -> Any:
        return batches_in_order(op, argument, data, self.config.eval_batch_size)

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        if self.output is None or self._log is None or self.config.checkpoint_every == 0:
            return
        self._read_losses()
        checkpoint = {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "task": checked_settings(self.task),
            "trainer": asdict(self.state),
            **{name: part.state_dict() for name, part in self._kept.items()},
            "random": list(_core.random_state()),
            "log_bytes": self._log.position,
        }
        folder, keep = self.output / "checkpoints", self.config.keep_checkpoints
        folder.mkdir(exist_ok=True)
        self._call("on_checkpoint", save_checkpoint(folder, self.state.step, checkpoint, keep))

    def _require_unused(self) -> None:
        """Raises FileExistsError if `output` has the log or a checkpoint of an earlier training."""
        if self._log is not None and self.output is not None:
            used = self._log.path.exists() or latest_checkpoint(self.output / "checkpoints") is not None
            expected, got = "a folder without an earlier training", f"{self.output} with a log or checkpoints"
            hint = ("go on with it by ", Argument("resume"))
            require(not used, "Trainer.train", "output", expected, got, hint, error=FileExists)

    def _resume(self) -> int:
        """Loads the newest checkpoint. Returns how many bytes the log had then."""
        if self.output is None:
            raise BadValue("Trainer.train", "resume", "an output folder to resume from", "none")
        path = latest_checkpoint(self.output / "checkpoints")
        if path is None:
            return 0
        saved = load_checkpoint(path)
        found, hint = saved.get("format", 1), "resume with the version of engine that wrote it"
        expected, got = f"a checkpoint of format {FORMAT}", f"format {shortened(found)} in {path}"
        require(found == FORMAT, "Trainer.train", "resume", expected, got, hint)
        try:
            for kind, settings in (("config", self.config.to_dict()), ("task", checked_settings(self.task))):
                for name in sorted({*settings, *saved[kind]}):
                    before, now = saved[kind].get(name), settings.get(name)
                    require(before == now, "Trainer.train", name, f"{before!r} as in the checkpoint", repr(now))
            state = TrainerState.of(saved["trainer"])
            position = checked("TrainerState", "log_bytes", Annotated[int, Between(0, 2**63)], saved["log_bytes"])
            for name, part in self._kept.items():
                part.load_state_dict(saved[name])
            _core.set_random_state(*saved["random"])
            self.state = state
            return int(position)
        except (AttributeError, KeyError, TypeError, IndexError, OverflowError) as error:
            raise BadValue("Trainer.train", "resume", "a checkpoint of a Trainer", path, error) from None

    # --- parts -------------------------------------------------------------------------------------------------------

    def _epoch_end(self, epoch: int) -> int | None:
        """The step at which an epoch ends; None: the data do not say how many batches they have."""
        while len(self._epoch_ends) <= epoch:
            batches = self.train_loader.num_batches(len(self._epoch_ends))
            if batches is None:
                return None
            require(batches, "Trainer", "train_data", "at least one batch an epoch", "none")
            steps = -(-batches // self.config.gradient_accumulation_steps)
            self._epoch_ends.append(steps + (self._epoch_ends[-1] if self._epoch_ends else 0))
        return self._epoch_ends[epoch]

    def _schedule(self) -> LRScheduler:
        warmup = round(self.config.warmup_ratio * self.total_steps)
        if self.config.schedule == "linear":
            return get_linear_schedule_with_warmup(self.optimizer, warmup, self.total_steps)
        if self.config.schedule == "cosine":
            return get_cosine_schedule_with_warmup(self.optimizer, warmup, self.total_steps)
        return get_constant_schedule_with_warmup(self.optimizer, warmup)

    def _record(self, event: str, **figures: Any) -> None:
        self._call("on_log", {"event": event, "step": self.state.step, "epoch": self.state.epoch, **figures})

    def _call(self, event: str, *given: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *given)
