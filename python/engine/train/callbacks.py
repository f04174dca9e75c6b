"""Callbacks of a training: the base class, the log, the progress bar, TensorBoard."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.entries import parse_json
from engine.errors import Argument, Busy, not_installed, require
from engine.files import lock, named
from engine.report.words import figure_name
from engine.serialization import finite

if TYPE_CHECKING:
    from engine.train.trainer import Trainer

__all__ = ["Callback", "InterruptAfterStep", "JsonlLog", "ProgressBar", "TensorBoardLog", "read_log"]


class Callback:
    """What a `Trainer` calls during the training. Override the methods that you need. `trainer.state` says how far the run is.

    `trainer.state.stop = True` ends the training after the present step.
    """

    def on_train_begin(self, trainer: Trainer) -> None:
        """Before the first step of a run, and before the first step after a resume."""

    def on_step_end(self, trainer: Trainer, loss: Any) -> None:
        """After each optimizer step. loss: the mean loss of its batches, a float; on a CUDA device a 0-dim Tensor, and
        `float(loss)` waits for the device."""

    def on_log(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        """For each record of the log: {"event": "train" | "eval" | "epoch" | "end", "step": ..., ...}."""

    def on_checkpoint(self, trainer: Trainer, path: Path) -> None:
        """After a checkpoint was written."""

    def on_train_end(self, trainer: Trainer) -> None:
        """At the end, also if an exception ends the training."""


class JsonlLog(Callback):
    """Writes each record as a line of JSON, at once. Infinite numbers and NaN become null.

    A checkpoint stores the length of the file (`position`). A resumed run cuts the file to this length, so that no step is in it
    twice.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file: FileIO | None = None

    @property
    def position(self) -> int:
        """Bytes written."""
        return self._file.tell() if self._file else 0

    def open(self, position: int = 0) -> None:
        """Opens the file after its first `position` bytes and cuts off the rest. It stays locked until the training ends.

        Raises ValueError if these bytes are damaged, BlockingIOError if another training writes the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            read_log(self.path, position)  # so that damage is found before the training
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - it stays open until the training ends
        if lock(self._file.fileno()) is False:
            self._file.close()
            self._file = None
            raise Busy("Trainer.train", "output", "a folder that no other training uses", self.path.parent)
        try:
            self._file.truncate(min(position, self._file.tell()))
        except OSError as error:
            raise named(error, "Trainer.train", self.path) from None
        self._file.seek(0, os.SEEK_END)

    def on_log(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        if self._file:
            line = memoryview(json.dumps(finite(record)).encode() + b"\n")
            try:
                while line:  # a disk that becomes full takes a part
                    line = line[self._file.write(line) :]
            except OSError as error:
                raise named(error, "Trainer.train", self.path) from None

    def on_train_end(self, trainer: Trainer) -> None:
        if self._file:
            self._file.close()
            self._file = None


def read_log(path: str | os.PathLike[str], size: int | None = None) -> list[dict[str, Any]]:
    """The records in the first `size` bytes of a log, or in all (None), without a last line that is not complete.

    Raises FileNotFoundError, or ValueError with the number of a damaged line.
    """
    records = []
    with open(path, "rb") as stream:
        lines = stream.read(-1 if size is None else size).split(b"\n")[:-1]
    for number, line in enumerate(lines, start=1):
        try:
            record = parse_json(line)
            reason = "" if isinstance(record, dict) and "event" in record else "it has no event"
        except ValueError as error:
            reason = str(error)
        expected = f"a record in line {number} of {os.fspath(path)}"
        require(not reason, "read_log", "path", expected, "a damaged line", reason)
        records.append(record)
    return records


class InterruptAfterStep(Callback):
    """Ctrl-C (SIGINT) ends the training after the present step, with a checkpoint. A second Ctrl-C ends it immediately.

    In other threads than the main thread, which gets the signals, this callback does nothing.
    """

    def __init__(self) -> None:
        self._before: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        in_main = threading.current_thread() is threading.main_thread()
        if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return  # another handler is set; or the signal is ignored, as in a shell's background jobs

        def interrupt(number: int, frame: Any) -> None:
            signal.signal(signal.SIGINT, self._before)
            trainer.interrupt()

        self._before = signal.signal(signal.SIGINT, interrupt)

    def on_train_end(self, trainer: Trainer) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None


class ProgressBar(Callback):
    """A bar with loss, rate and remaining time, and a line for each epoch, on standard error.

    If standard error is not a terminal, there are only the lines. Raises ImportError if tqdm is missing (extra `cli`).
    """

    def __init__(self) -> None:
        try:
            from tqdm import tqdm
        except ModuleNotFoundError as error:
            raise not_installed("ProgressBar", "tqdm", "cli", ("or turn off ", Argument("progress"))) from error
        self._tqdm = tqdm
        self._bar: Any = None
        self._started = (0, 0.0)

    def on_train_begin(self, trainer: Trainer) -> None:
        state = trainer.state
        self._started = (state.tokens, state.seconds)
        self._bar = self._tqdm(
            total=trainer.total_steps, initial=state.step, unit="step", dynamic_ncols=True, file=sys.stderr,
            disable=not sys.stderr.isatty() or os.environ.get("TERM") == "dumb",
        )  # fmt: skip

    def on_step_end(self, trainer: Trainer, loss: Any) -> None:
        if self._bar is None or self._bar.disable:
            return
        state = trainer.state
        every = 5 if isinstance(loss, float) else trainer.config.log_every  # a device's losses are read then anyway
        if state.step % every == 0 or state.step == trainer.total_steps:
            rate = (state.tokens - self._started[0]) / max(state.seconds - self._started[1], 1e-9)
            self._bar.set_postfix_str(f"loss {loss:.3f}, {rate:,.0f} tokens/s", refresh=False)
        self._bar.update(1)

    def on_log(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        if record["event"] != "epoch":
            return
        config = trainer.config
        epochs = "" if config.max_steps else f"/{config.epochs}"
        parts = [f"epoch {record['epoch']}{epochs}", f"loss {record['loss']:.4f}"]
        if held_out := record.get("held_out"):
            names = [name for name in dict.fromkeys(("loss", config.metric)) if name in held_out]
            parts.append("held-out " + " ".join(f"{figure_name(str(name))} {held_out[name]:.4f}" for name in names))
        self._tqdm.write("  ".join([*parts, f"{record['seconds']:.1f} s"]), file=sys.stderr)  # at most 80 columns

    def on_train_end(self, trainer: Trainer) -> None:
        if self._bar is not None:
            self._bar.close()


class TensorBoardLog(Callback):
    """Writes event files for TensorBoard: train/loss, train/lr and train/tokens_per_second of each line of the log, and the
    figures of each evaluation as held_out/….

    After a resume, TensorBoard drops what was written of steps after the checkpoint. folder: made if it is missing; TensorBoard
    compares the runs in neighbouring folders. Raises ImportError if tensorboard is missing (extra `tensorboard`).
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ModuleNotFoundError as error:
            raise not_installed("TensorBoardLog", "tensorboard", "tensorboard") from error
        self.folder = Path(folder)
        self._open, self._events, self._summaries = EventFileWriter, event_pb2, summary_pb2
        self._writer: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        begun = self.folder.is_dir() and any(self.folder.glob("events.out.tfevents.*"))
        self._writer = self._open(str(self.folder))
        if begun:  # readers drop the events of earlier sessions from this step on
            start = self._events.SessionLog(status=self._events.SessionLog.START)
            self._write(trainer.state.step + 1, session_log=start)

    def on_log(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        group = {"train": "train", "eval": "held_out"}.get(record["event"])
        if group is None or self._writer is None:
            return
        values = [
            self._summaries.Summary.Value(tag=f"{group}/{name}", simple_value=value)
            for name, value in record.items()
            if name not in ("step", "epoch", "seconds") and isinstance(value, int | float)
        ]
        self._write(record["step"], summary=self._summaries.Summary(value=values))

    def _write(self, step: int, **what: Any) -> None:
        self._writer.add_event(self._events.Event(wall_time=time.time(), step=step, **what))
        self._writer.flush()  # so that TensorBoard shows the present step

    def on_train_end(self, trainer: Trainer) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
