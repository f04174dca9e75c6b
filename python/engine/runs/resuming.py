"""Resuming a run from nothing but its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.errors import ArgumentError, BadValue, require
from engine.runs.folder import FORMAT, locked, read_run
from engine.runs.pretraining import PretrainingRun
from engine.runs.text import TextRun
from engine.train import Callback, latest_checkpoint

__all__ = ["resume"]

KINDS: dict[str, Any] = {kind.kind: kind for kind in (TextRun, PretrainingRun)}
_COMMANDS = {"text": "engine train", "pretraining": "engine pretrain"}


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
        FileNotFoundError, ValueError: if the folder is not a run, or a run of another version of engine; if a data file is missing or
            has changed.
        BlockingIOError: if another training works in the folder.
    """
    folder = Path(output)
    record = read_run(folder)
    expected, got = f"a run of format {FORMAT}", f"format {record['format']} in {folder}"
    version = record.get("environment", {}).get("versions", {}).get("engine", "an older one")
    hint = f"resume with the version of engine that began it: {version}"
    require(record["format"] == FORMAT, "resume", "output", expected, got, hint)
    found = record.get("kind")
    expected = f"a run of the kind {kind or ' or '.join(KINDS)}"
    hints = [f"{_COMMANDS[found]} --resume resumes it"] if found in KINDS else []
    require(found in KINDS and kind in (None, found), "resume", "output", expected, repr(found), *hints)
    with locked(folder):
        fresh = latest_checkpoint(folder / "checkpoints") is None
        try:
            run = KINDS[str(found)].begun(folder, record, fresh)
        except ArgumentError:
            raise  # it says what is wrong
        except (KeyError, TypeError) as error:
            raise BadValue("resume", "output", f"a complete run.json in {folder}", f"one without {error}") from None
        return run.resume_locked(folder, progress, bool(record.get("tensorboard")), callbacks)
