"""Going on with a run from its folder alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.errors import BadValue
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
    """Go on with a run that was broken off, from its last checkpoint; the report. The result has the bits of an unbroken run.

    Args:
        output: the run folder.
        kind: "text" or "pretraining": the kind of run that is expected; None: either.
        progress, callbacks: as in `Run.train`.

    Raises:
        FileNotFoundError, ValueError: if the folder is no run, or one of another version of engine; if a data file is gone or has
            changed.
        BlockingIOError: if another training works in the folder.
    """
    folder = Path(output)
    record = read_run(folder)
    if record["format"] != FORMAT:
        raise BadValue(
            "resume",
            "output",
            f"a run of format {FORMAT}",
            f"format {record['format']} in {folder}",
            f"go on with the version of engine that began it, {record.get('environment', {}).get('versions', {}).get('engine', 'an older one')}",
        )
    found = record.get("kind")
    if found not in KINDS or kind not in (None, found):
        how = f" ({_COMMANDS[found]} --resume goes on with it)" if found in KINDS else ""
        raise BadValue("resume", "output", f"a run of the kind {kind or ' or '.join(KINDS)}", f"{found!r}{how}")
    with locked(folder):
        fresh = latest_checkpoint(folder / "checkpoints") is None
        try:
            run = KINDS[found].begun(folder, record, fresh)
        except (KeyError, TypeError) as error:
            raise BadValue("resume", "output", f"a whole run.json in {folder}", f"one that lacks {error}") from None
        return run.resume_locked(folder, progress, bool(record.get("tensorboard")), callbacks)
