"""Resuming a run from nothing but its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.errors import ArgumentError, BadValue
from engine.runs.folder import locked, resumable
from engine.runs.pretraining import PretrainingRun
from engine.runs.text import TextRun
from engine.train import Callback, latest_checkpoint

__all__ = ["resume"]

KINDS: dict[str, Any] = {kind.kind: kind for kind in (TextRun, PretrainingRun)}


def resume(
    output: str | os.PathLike[str],
    *,
    kind: str | None = None,
    progress: bool = False,
    callbacks: Iterable[Callback] = (),
) -> dict[str, Any]:
    """Resumes an interrupted run from its last checkpoint. Returns the report. The result has the same bits as without the
    interruption.

    Args:
        output: the run folder.
        kind: "text" or "pretraining": the kind of run that is expected; None: either.
        progress, callbacks: as in `Run.train`.

    Raises:
        FileNotFoundError, ValueError: if the folder is not a run, or a run of another version of engine; if it is finished and has no
            checkpoints; if a data file is missing or has changed; if run.json is damaged.
        BlockingIOError: if another training works in the folder.
    """
    folder = Path(output)
    record = resumable(folder, KINDS if kind is None else [kind])
    with locked(folder):
        fresh = latest_checkpoint(folder / "checkpoints") is None
        try:
            run = KINDS[record["kind"]].begun(folder, record, fresh)
        except ArgumentError:
            raise  # it says what is wrong
        except KeyError as error:
            raise BadValue("resume", "output", f"a complete run.json in {folder}", f"one without {error}") from None
        except (AttributeError, TypeError) as error:
            expected = f"an undamaged run.json in {folder}"
            raise BadValue("resume", "output", expected, f"one with a fault: {error}") from None
        tensorboard, keep = bool(record.get("tensorboard")), bool(record.get("keep_checkpoints"))
        return run.resume_locked(folder, progress, tensorboard, keep, callbacks)
