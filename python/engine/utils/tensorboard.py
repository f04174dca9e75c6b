"""What PyTorch has in `torch.utils.tensorboard`: a writer of event files, which needs the package `tensorboard`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.errors import not_installed
from engine.tensor import Tensor

__all__ = ["SummaryWriter"]


class SummaryWriter:
    """Writes scalars for TensorBoard into event files in `log_dir` (None: runs/<time>).

    max_queue, flush_secs: how many events wait for how many seconds before they are written. Raises ImportError if tensorboard is
    missing (extra `tensorboard`).
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ModuleNotFoundError as error:
            raise not_installed("SummaryWriter", "tensorboard", "tensorboard") from error
        if log_dir is None:
            log_dir = os.path.join("runs", f"{datetime.now():%b%d_%H-%M-%S}{comment}")
        self.log_dir = os.fspath(log_dir)
        self._events, self._summaries = event_pb2, summary_pb2
        self._open = lambda folder: EventFileWriter(folder, max_queue, flush_secs, filename_suffix)
        self._writers = {self.log_dir: self._open(self.log_dir)}
        if purge_step is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(None, purge_step, None, session_log=start)

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: int | None = None, walltime: float | None = None,
        new_style: bool = False, double_precision: bool = False,
    ) -> None:  # fmt: skip
        """A number, or a tensor or array of one element, as a point of the curve `tag`."""
        self._add(None, tag, scalar_value, global_step, walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Several curves in one diagram: a folder of event files for each."""
        for tag, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, f"{main_tag}_{tag}".replace("/", "_"))
            self._add(folder, main_tag, value, global_step, walltime)

    def flush(self) -> None:
        """Writes what waits."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Ends the files."""
        for writer in self._writers.values():
            writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, folder: str | None, tag: str, value: Any, step: int | None, walltime: float | None) -> None:
        number = float(value.detach().item() if isinstance(value, Tensor) else value)
        value = self._summaries.Summary.Value(tag=tag, simple_value=number)
        self._write(folder, step, walltime, summary=self._summaries.Summary(value=[value]))

    def _write(self, folder: str | None, step: int | None, walltime: float | None, **what: Any) -> None:
        folder = folder or self.log_dir
        if folder not in self._writers:
            self._writers[folder] = self._open(folder)
        moment = time.time() if walltime is None else walltime
        self._writers[folder].add_event(
            self._events.Event(wall_time=moment, step=0 if step is None else int(step), **what)
        )
