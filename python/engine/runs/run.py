"""Run: a training from its first file to its report. All kinds of runs are begun, resumed and finished here.

A run folder holds
    run.json             what the run was made from: data and their hashes, task, model, settings, versions, seed
    log.jsonl            a line for every `log_every` steps, and for each evaluation and epoch
    checkpoints/         what a resume needs; a finished run has it only if asked for
    model.safetensors    the best weights
    report.json, report.md, report.html, curves.png, and other pictures of the report
    tensorboard/         if asked for
and what its kind of run adds.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from engine.data import Dataset, in_order
from engine.errors import Argument, ArgumentError, BadType, BadValue, NotFinite, require
from engine.models.forward import evaluating
from engine.models.pretrained import Pretrained
from engine.nn import Module
from engine.runs.facts import environment, memory_facts, model_facts, training_facts
from engine.runs.folder import FORMAT, check_output, locked, remove_run, resumable
from engine.runs.report import write_report
from engine.serialization import write_json
from engine.tasks import Part, Task, as_task, judgement
from engine.tasks.checks import checked_settings
from engine.tensor import Tensor
from engine.train import Callback, TensorBoardLog, Trainer, TrainerConfig, TrainerState, latest_checkpoint
from engine.train.checkpoint import remove_checkpoints

__all__ = ["Run", "model_record"]


class _Divergence(Callback):
    """Ends a training whose loss on held-out data is not a finite number."""

    def on_log(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        if record["event"] == "eval":
            _check_converged(record, f"step {record['step']}")


def _check_converged(figures: Mapping[str, Any], place: str) -> None:
    """Raises FloatingPointError if the loss among the figures of an evaluation is not a finite number."""
    loss = figures.get("loss")
    if isinstance(loss, float) and not math.isfinite(loss):
        hint = ("the training diverged; a lower ", Argument("lr"), " may help")
        raise NotFinite("train", "lr", "a rate with which the loss stays finite", f"{loss} at {place}", hint)


class Run:
    """Trains a model for a task, judges it on the parts of the data, and writes a report, all in one folder.

        >>> run = Run(model, task, TrainerConfig(epochs=3), {"train": train, "held_out": held_out, "test": test})
        >>> report = run.train("runs/first")

    Subclasses make their runs from files. `engine.runs.resume` can resume such a run from nothing but its folder.

    Args:
        model: what is trained.
        task: a Task, or a function `loss(model, batch)`.
        trainer: the settings of the training.
        parts: data by name: "train", and perhaps "held_out" (selects the best model) and "test" (the finished model is evaluated on
            it, once). Each is data for a `Trainer`, or a `Part`, which also has the table that the data were made from.

    Raises ValueError for parts with other names, or without "train"; TypeError for arguments of another type.
    """

    kind: ClassVar[str] = "own"
    best_weights = "model.safetensors"
    task: Any

    def __init__(
        self,
        model: Module,
        task: Task | Callable[[Any, Any], Tensor],
        trainer: TrainerConfig,
        parts: Mapping[str, Any],
    ) -> None:
        require(
            isinstance(trainer, TrainerConfig),
            "Run",
            "trainer",
            "a TrainerConfig",
            type(trainer).__name__,
            error=BadType,
        )
        require(
            isinstance(parts, Mapping), "Run", "parts", "a dict of data by name", type(parts).__name__, error=BadType
        )
        if not {"held_out", "test"} & set(parts):
            trainer.refuse("there are no data to evaluate on", "eval_batch_size")
        known = {"train"} <= set(parts) <= {"train", "held_out", "test"}
        require(known, "Run", "parts", "'train', and perhaps 'held_out' and 'test'", ", ".join(map(repr, parts)))
        self.model, self.task, self.trainer = model, as_task(task), trainer
        self.parts = {name: part if isinstance(part, Part) else Part(part) for name, part in parts.items()}

    # --- what a kind of run adds -----------------------------------------------------------------------------------------

    def record(self) -> dict[str, Any]:
        """Further entries of run.json."""
        return {}

    def save(self, folder: Path) -> None:
        """Writes further files, such as a tokenizer. Called before the first step."""

    def finish(self, folder: Path, trainer: Trainer) -> None:
        """Called between the training and the evaluation of the finished model; again if the run is resumed after its last step."""

    def facts(self) -> dict[str, Any]:
        """What the report says of the data; "description" is a sentence."""
        counts = {f"{n}_samples": len(p.dataset) for n, p in self.parts.items() if hasattr(p.dataset, "__len__")}
        return {**counts, "description": ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in counts.items())}

    def explain(self, worst: list[dict[str, Any]], dataset: Dataset[Any]) -> dict[str, Any]:
        """What the report says of the worst samples."""
        return {"examples": worst}

    # --- the run -----------------------------------------------------------------------------------------------------------

    def train(
        self,
        output: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: bool = False,
        tensorboard: bool = False,
        keep_checkpoints: bool = False,
        callbacks: Iterable[Callback] = (),
    ) -> dict[str, Any]:
        """Trains the model, judges it and writes the report. Returns the report, as in report.json.

        Args:
            output: the run folder; must be new, or empty.
            overwrite: remove an earlier run in `output` first.
            progress: show a progress bar on standard error.
            tensorboard: write event files into `tensorboard/` (extra `tensorboard`).
            keep_checkpoints: leave `checkpoints/`, with the state of the optimizer, in the folder of a finished run. Otherwise it is
                removed at the end, because it takes three times the space of the model.
            callbacks: for the `Trainer`.

        Raises:
            FileExistsError: if `output` is not empty.
            BlockingIOError: if another training works in `output`.
            All errors of a `Trainer`. If the settings are wrong, nothing is written.
        """
        folder, started = Path(output), time.perf_counter()
        nothing = keep_checkpoints and self.trainer.checkpoint_every == 0
        hint = (Argument("checkpoint_every"), " is 0")
        require(not nothing, "train", "keep_checkpoints", "False, because there are no checkpoints", True, hint)
        check_output(folder, overwrite)
        trainer = self._trainer(folder, progress, tensorboard, callbacks)  # raises before anything is written
        record = self._whole_record(tensorboard, keep_checkpoints)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            check_output(folder, overwrite)  # again, because another training may have begun here meanwhile
            if overwrite:
                remove_run(folder)
            write_json(folder / "run.json", record)  # first: a run that is killed now can be resumed from it
            self._save_start(folder)
            return self._go(trainer, folder, started, resume=False, keep=keep_checkpoints)

    def _save_start(self, folder: Path) -> None:
        self.save(folder)
        if isinstance(self.model, Pretrained):
            write_json(folder / "config.json", model_record(self.model))

    def resume(
        self,
        output: str | os.PathLike[str],
        *,
        progress: bool = False,
        tensorboard: bool = False,
        callbacks: Iterable[Callback] = (),
    ) -> dict[str, Any]:
        """Resumes an interrupted run of the same parts and settings from its last checkpoint. The result has the same bits as
        without the interruption. Arguments and errors as in `train`.

        Also raises FileNotFoundError or ValueError if the folder is not a run, or a run of another kind, another version of engine or
        other settings; or if it is finished and has no checkpoints. Nothing is written then."""
        folder = Path(output)
        record = resumable(folder, [self.kind])
        with locked(folder):
            self._check_same(record, folder)
            return self.resume_locked(folder, progress, tensorboard, bool(record.get("keep_checkpoints")), callbacks)

    def resume_locked(
        self, folder: Path, progress: bool, tensorboard: bool, keep: bool, callbacks: Iterable[Callback]
    ) -> dict[str, Any]:
        """As `resume`, in a folder that the caller has locked, and for a run that was made from its run.json."""
        started = time.perf_counter()
        trainer = self._trainer(folder, progress, tensorboard, callbacks)
        if latest_checkpoint(folder / "checkpoints") is None:  # it was perhaps killed before these files were complete
            self._save_start(folder)
        return self._go(trainer, folder, started, resume=True, keep=keep)

    def _check_same(self, record: Mapping[str, Any], folder: Path) -> None:
        """Raises ValueError if run.json records other settings than this run's."""
        left_out = {"created", "environment", "tensorboard", "keep_checkpoints"}
        if latest_checkpoint(folder / "checkpoints") is not None:
            left_out |= {"seed", "trainer", "task"}  # the Trainer compares them with the checkpoint
        now = self._whole_record(tensorboard=False, keep=False)
        for name in [name for name in {**record, **now} if name not in left_out]:
            for entry, before, after in _differences(record.get(name), now.get(name), name):
                raise BadValue("resume", entry, f"{before!r}, as in the run.json of {folder}", repr(after))

    def _trainer(self, folder: Path, progress: bool, tensorboard: bool, callbacks: Iterable[Callback]) -> Trainer:
        board = (TensorBoardLog(folder / "tensorboard"),) if tensorboard else ()
        held_out = self.parts.get("held_out")
        trainer = Trainer(
            self.model,
            self.task,
            self._trainer_config(),
            self.parts["train"].dataset,
            None if held_out is None else held_out.dataset,
            output=folder,
            callbacks=(*callbacks, *board, _Divergence()),
            progress=progress,
        )
        trainer.best_weights = self.best_weights
        return trainer

    def _trainer_config(self) -> TrainerConfig:
        return self.trainer

    def _whole_record(self, tensorboard: bool, keep: bool) -> dict[str, Any]:
        """What run.json holds. Raises TypeError if a value does not fit JSON."""
        record = {
            "format": FORMAT,
            "kind": self.kind,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "seed": self.trainer.seed,
            "task": checked_settings(self.task),
            **self.record(),
            **({"model": model_record(self.model)} if isinstance(self.model, Pretrained) else {}),
            "tensorboard": tensorboard,
            "keep_checkpoints": keep,
            "trainer": self.trainer.to_dict(),
            "environment": environment(),
        }
        try:
            return dict(json.loads(json.dumps(record)))
        except (TypeError, ValueError) as error:
            expected = "a task and a record whose settings fit JSON"
            raise BadType(type(self).__name__, "task", expected, f"others ({error})") from None

    def _go(self, trainer: Trainer, folder: Path, started: float, resume: bool, keep: bool) -> dict[str, Any]:
        state = trainer.train(resume)
        self.finish(folder, trainer)
        judged = self._judged(trainer.config.eval_batch_size)
        chosen = self.task.chosen()
        if chosen and isinstance(self.model, Pretrained):
            others = {name: value for name, value in self.model.config.published.items() if name not in chosen}
            made = {name: value for name, value in chosen.items() if value is not None}
            self.model.config.published = {**others, **made}
            write_json(folder / "config.json", model_record(self.model))
        report = {
            "seed": self.trainer.seed,
            "task": self.task.settings().get("name", type(self.task).__name__),
            "metric": self.task.headline or self.task.metric,
            "data": self.facts(),
            "model": model_facts(self.model),
            "training": self.training_facts(state),
            **judged,
            "memory": memory_facts(),
            "environment": environment(trainer.device),
            "wall_seconds": time.perf_counter() - started,
        }
        report["advice"] = [*_ended_early(trainer), *self.advice(report)]
        report = write_report(report, folder)
        if not keep:  # last of all, so that a run that is killed before this can still be resumed
            remove_checkpoints(folder / "checkpoints")
        return report

    def advice(self, report: Mapping[str, Any]) -> list[str]:
        """Sentences on what may give a better model, for the end of the report."""
        return []

    def training_facts(self, state: TrainerState) -> dict[str, Any]:
        """What the report says of the training."""
        return training_facts(state)

    def _judged(self, batch_size: int) -> dict[str, Any]:
        """The figures on held-out and test data, and explanations of the worst samples of the last of them."""
        report: dict[str, Any] = {}
        worst: list[dict[str, Any]] = []
        for name in [name for name in ("held_out", "test") if name in self.parts]:
            part = self.parts[name]
            try:
                report[name], worst = judgement(self.task, self.model, part, batch_size, held_out=name == "held_out")
            except ArgumentError:
                with evaluating(self.model):  # a training that diverged in its last steps is the better explanation
                    figures = self.task.evaluate(self.model, in_order(part.dataset, batch_size))
                _check_converged(figures, f"the {name.replace('_', '-')} data")
                raise
        return {**report, **self.explain(worst, part.dataset)} if worst else report


def _ended_early(trainer: Trainer) -> list[str]:
    """A sentence if early stopping ended the training."""
    state, patience = trainer.state, trainer.config.early_stopping
    if patience is None or state.waited < patience or state.step >= trainer.total_steps:
        return []
    waited = "the last evaluation was" if patience == 1 else f"the last {patience:,} evaluations were"
    return [
        f"Early stopping ended the training after {state.step:,} of {trainer.total_steps:,} steps, because {waited} no better than that "
        f"of step {state.best_step:,}, whose weights are kept."
    ]


def _differences(before: Any, now: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """The entries in which two JSON values differ, with both values. A file may have moved: its absolute path may differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            if key != "absolute":
                yield from _differences(before.get(key), now.get(key), f"{name}.{key}")
    elif before != now:
        yield name, before, now


def model_record(model: Pretrained) -> dict[str, Any]:
    """What config.json holds of a model: its class and its config."""
    return {"architectures": [model.architecture], **model.config.to_dict()}
