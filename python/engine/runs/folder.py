"""A run folder: which training may write into it; its run.json; the files that the run began with."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import Argument, BadValue, Busy, FileExists, FileMissing, require
from engine.serialization import read_json
from engine.text import Tokenizer

__all__ = ["read_run"]

FORMAT = 2  # of run.json


def read_run(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The run.json of a run folder. Raises FileNotFoundError or ValueError if the folder is not a run of engine."""
    path = Path(folder)
    require(path.is_dir(), "run", "folder", "an existing run folder", path, error=FileMissing)
    require((path / "run.json").is_file(), "run", "folder", "a run folder with run.json", path, error=FileMissing)
    run = read_json(path / "run.json")
    found = run.get("format")
    require(found in (1, FORMAT), "run", "folder", f"a run.json of format {FORMAT}", f"format {found!r} in {path}")
    return _from_first_format(run) if found == 1 else run


def _from_first_format(run: dict[str, Any]) -> dict[str, Any]:
    """A run.json of version 0.1 by today's names: what predictions, evaluations and exports read."""
    data = dict(run.get("data") or {})
    name = str(data.pop("task", run.get("task", ""))).removeprefix("text-")
    task = {"name": name, "label_separator": data.pop("label_separator", "|")}
    kind = "pretraining" if name == "masked-language-modeling" else "text"
    return {**run, "kind": kind, "task": task, "data": data}


def read_temperature(folder: str | os.PathLike[str]) -> float | None:
    """The temperature of a classifier's probabilities, which was fitted on held-out texts; None: the run has none."""
    path = Path(folder) / "report.json"
    calibration = read_json(path).get("held_out", {}).get("calibration") if path.is_file() else None
    temperature = calibration.get("temperature") if isinstance(calibration, dict) else None
    return float(temperature) if isinstance(temperature, int | float) else None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other trainings out of a run folder. The lock ends with the process at the latest.

    The folder itself is locked, so no file is left behind. A file system that has no such locks (some kinds of NFS) is not locked.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise Busy("train", "output", "a folder that no other training uses", folder) from None
        yield
    finally:
        os.close(handle)


def check_output(folder: Path, overwrite: bool) -> None:
    """Raises FileExistsError unless `folder` is new or empty. With `overwrite` it may also be that of a run."""
    folder_or_new = folder.is_dir() or not folder.exists()
    require(folder_or_new, "train", "output", "a folder", f"the file {folder}", error=FileExists)
    if folder.is_dir() and any(folder.iterdir()):
        expected, got = "a new or empty folder", f"{folder} with other files in it"
        require((folder / "run.json").is_file(), "train", "output", expected, got, error=FileExists)
        hints = ("resume it with ", Argument("resume")), ("replace it with ", Argument("overwrite"))
        require(overwrite, "train", "output", "a new folder", f"the run {folder}", *hints, error=FileExists)


def remove_run(folder: Path) -> None:
    """Removes what a run writes, and nothing else."""
    for name in ("checkpoints", "adapter", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (
        "run.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "log.jsonl",
        "report.json", "report.md", "report.html", "curves.png", "confusion.png", "reliability.png",
    ):  # fmt: skip
        (folder / name).unlink(missing_ok=True)


def file_record(paths: Iterable[str]) -> dict[str, dict[str, str]]:
    """What run.json says of data files: the hash of each, and its absolute path, so that a resume from another folder finds it."""
    files = list(paths)
    return {"sha256": {p: sha256_of(p) for p in files}, "absolute": {p: os.path.abspath(p) for p in files}}


def find_files(paths: Iterable[str], sha256: Mapping[str, str], absolute: Mapping[str, str]) -> dict[str, str]:
    """The present path of each file of a run: the path that was given, seen from the present folder; or the old absolute path.

    Raises FileNotFoundError for a file that is missing, ValueError for a file that has changed."""
    return {path: _find_file(path, absolute.get(path, path), sha256.get(path)) for path in paths}


def _find_file(path: str, absolute: str, sha256: str | None) -> str:
    places = list(dict.fromkeys([os.path.abspath(path), absolute]))
    there = [place for place in places if os.path.exists(place)]
    for place in there:
        if sha256_of(place) == sha256:
            return path if place == places[0] else place
    if there:
        got = f"a changed file at {' and '.join(there)}"
        raise BadValue("resume", "data", f"{path} as it was when the run began", got)
    raise FileMissing("resume", "data", f"the file {path} that the run began with", f"none at {' or '.join(places)}")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file; for a folder, that of its files' names and hashes."""
    digest = hashlib.sha256()
    if os.path.isdir(path):
        for name in sorted(os.listdir(path)):
            if os.path.isfile(os.path.join(path, name)):
                digest.update(f"{name} {sha256_of(os.path.join(path, name))}\n".encode())
        return digest.hexdigest()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer of a vocab.txt, a tokenizer.json, or a folder with one."""
    path = os.fspath(path)
    if os.path.isdir(path):
        return Tokenizer.from_pretrained(path)
    return Tokenizer.from_file(path) if path.endswith(".json") else Tokenizer.from_vocab(path)
