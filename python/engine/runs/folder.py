"""A run folder: whether a training may write it, alone; its run.json; the files that the run began with."""

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

from engine.errors import Argument, BadValue, Busy, FileExists, FileMissing
from engine.serialization import read_json
from engine.text import Tokenizer

__all__ = [
    "FORMAT",
    "check_output",
    "file_record",
    "find_files",
    "load_tokenizer",
    "locked",
    "read_run",
    "read_temperature",
    "remove_run",
    "sha256_of",
]

FORMAT = 2  # of run.json


def read_run(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The run.json of a run folder. Raises FileNotFoundError or ValueError if the folder is no run of this program."""
    path = Path(folder)
    if not path.is_dir():
        raise FileMissing("run", "folder", "an existing run folder", path)
    if not (path / "run.json").is_file():
        raise FileMissing("run", "folder", "a run folder with run.json", path)
    run = read_json(path / "run.json")
    if run.get("format") not in (1, FORMAT):
        raise BadValue("run", "folder", f"a run.json of format {FORMAT}", f"{run.get('format')!r} in {path}")
    return _from_first_format(run) if run["format"] == 1 else run


def _from_first_format(run: dict[str, Any]) -> dict[str, Any]:
    """What version 0.1 wrote, by today's names, as far as predictions, evaluations and exports read it."""
    data = dict(run.get("data") or {})
    name = str(data.pop("task", run.get("task", ""))).removeprefix("text-")
    task = {"name": name, "label_separator": data.pop("label_separator", "|")}
    kind = "pretraining" if name == "masked-language-modeling" else "text"
    return {**run, "kind": kind, "task": task, "data": data}


def read_temperature(folder: str | os.PathLike[str]) -> float | None:
    """The temperature of a classifier's probabilities that was fitted on its held-out texts; None where there is none."""
    path = Path(folder) / "report.json"
    calibration = read_json(path).get("held_out", {}).get("calibration") if path.is_file() else None
    temperature = calibration.get("temperature") if isinstance(calibration, dict) else None
    return float(temperature) if isinstance(temperature, int | float) else None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a run folder. The lock ends with the process, however that ends.

    It is on the folder itself, so nothing is left behind; a file system without such locks (some of NFS) goes without.
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
    """Raise FileExistsError unless a run may begin in `folder`: a new or empty one, or with `overwrite` that of a run."""
    if folder.exists() and not folder.is_dir():
        raise FileExists("train", "output", "a folder", f"the file {folder}")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / "run.json").is_file():
        raise FileExists("train", "output", "a new or empty folder", f"{folder} with other files in it")
    if not overwrite:
        raise FileExists(
            "train",
            "output",
            "a new folder",
            f"the run {folder}",
            ("go on with it by ", Argument("resume")),
            ("replace it with ", Argument("overwrite")),
        )


def remove_run(folder: Path) -> None:
    """Remove what a run writes, and nothing else."""
    for name in ("checkpoints", "adapter"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (
        "run.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "log.jsonl",
        "report.json", "report.md", "report.html", "curves.png", "confusion.png", "reliability.png",
    ):  # fmt: skip
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)


def file_record(paths: Iterable[str]) -> dict[str, dict[str, str]]:
    """What run.json says of data files: the hash of each, and its absolute path, to resume from another folder."""
    files = list(paths)
    return {
        "sha256": {path: sha256_of(path) for path in files},
        "absolute": {path: os.path.abspath(path) for path in files},
    }


def find_files(paths: Iterable[str], sha256: Mapping[str, str], absolute: Mapping[str, str]) -> dict[str, str]:
    """Where the files of a run now lie: under the path they were given by, seen from here, or where they were then.

    Raises FileNotFoundError for a file that is gone, ValueError for one that has changed."""
    return {path: _find_file(path, absolute.get(path, path), sha256.get(path)) for path in paths}


def _find_file(path: str, absolute: str, sha256: str | None) -> str:
    places = list(dict.fromkeys([os.path.abspath(path), absolute]))
    there = [place for place in places if os.path.exists(place)]
    for place in there:
        if sha256_of(place) == sha256:
            return path if place == places[0] else place
    if there:
        raise BadValue(
            "resume", "data", f"{path} as it was when the run began", f"a changed file at {' and '.join(there)}"
        )
    raise FileMissing("resume", "data", f"the file {path} that the run began with", f"none at {' or '.join(places)}")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, read in blocks; of a folder, that of its files' names and hashes."""
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
