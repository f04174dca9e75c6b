"""A run folder: which training may write into it; its run.json; the files that the run began with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar

from engine.entries import as_kind
from engine.errors import Argument, ArgumentError, BadValue, Busy, FileExists, FileMissing, require
from engine.files import is_partial, lock, remove_folder, remove_left_overs
from engine.models import TransformerConfig
from engine.models.sizes import check_held, check_memory
from engine.serialization import held_by, read_json
from engine.settings import Between, shortened
from engine.tasks.config import Settings
from engine.text import Tokenizer
from engine.train.checkpoint import latest_checkpoint, remove_checkpoints

__all__ = ["read_run"]

FORMAT = 2  # of run.json
COMMANDS = {"text": "engine train", "pretraining": "engine pretrain"}  # by the kind of run

AnySettings = TypeVar("AnySettings", bound=Settings)


class _Columns(TypedDict, total=False):
    """The data of a run, as far as predictions and evaluations read them; a resume checks all."""

    text_column: str | None
    label_column: str | list[str] | None
    pair_column: str | None
    columns: list[str] | None
    delimiter: str | None
    quoting: bool | None
    sha256: dict[str, str]
    absolute: dict[str, str]


class _OldData(_Columns, total=False):
    task: str
    label_separator: str | None


class _Task(TypedDict, total=False):
    name: str | None
    label_separator: str | None


class _Environment(TypedDict, total=False):
    versions: dict[str, str] | None


class _OldRun(TypedDict, total=False):
    data: _OldData | None
    environment: _Environment | None
    trainer: dict[str, Any] | None


class _Run(TypedDict, total=False):
    kind: str
    task: _Task | None
    data: _Columns | None
    start: dict[str, Any] | None
    model: dict[str, Any] | None
    trainer: dict[str, Any] | None
    tensorboard: bool
    environment: _Environment | None


class _Calibration(TypedDict, total=False):
    temperature: Annotated[float, Between(1e-6, 1e6)] | None


class _HeldOut(TypedDict, total=False):
    calibration: _Calibration | None


class _Report(TypedDict, total=False):
    held_out: _HeldOut | None


def read_run(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The run.json of a run folder. Raises FileNotFoundError or ValueError if the folder is not a run of engine."""
    path = Path(folder)
    require(path.is_dir(), "run", "folder", "an existing run folder", path, error=FileMissing)
    require((path / "run.json").is_file(), "run", "folder", "a run folder with run.json", path, error=FileMissing)
    run = read_json(path / "run.json", "run", "folder")
    found = run.get("format")
    known = type(found) is int and found in (1, FORMAT)
    require(known, "run", "folder", f"a run.json of format {FORMAT}", f"format {shortened(found)} in {path}")
    kind = _OldRun if found == 1 else _Run
    checked: dict[str, Any] = as_kind(run, kind, f"{path}/run.json", "run", "folder")
    return _from_first_format(checked) if found == 1 else checked


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
    if not path.is_file():
        return None
    held_out = read_json(path, "run", "folder", _Report).get("held_out") or {}
    temperature = (held_out.get("calibration") or {}).get("temperature")
    return None if temperature is None else float(temperature)


def resumable(folder: Path, kinds: Iterable[str]) -> dict[str, Any]:
    """The run.json of a run to resume. Raises FileNotFoundError or ValueError if the folder is not a run, or a run of another kind or
    of another version of engine; or if it is finished, and without a checkpoint everything would be trained once more."""
    record, known = read_run(folder), list(kinds)
    expected, got = f"a run of format {FORMAT}", f"format {record['format']} in {folder}"
    version = ((record.get("environment") or {}).get("versions") or {}).get("engine", "an older one")
    hint = f"resume with the version of engine that began it: {version}"
    require(record["format"] == FORMAT, "resume", "output", expected, got, hint)
    found = record.get("kind")
    hints = [f"{COMMANDS[str(found)]} --resume resumes it"] if found in COMMANDS else []
    require(found in known, "resume", "output", f"a run of the kind {' or '.join(known)}", shortened(found), *hints)
    done = _is_done(folder)
    if done and (folder / "checkpoints").exists():  # left over if it was killed while it removed them
        with locked(folder):  # or another process is removing them
            if _is_done(folder):
                remove_checkpoints(folder / "checkpoints")
    got = f"the finished run {folder}, which has no checkpoints"
    longer = ("to train longer, begin a new run from its weights with ", Argument("init"))
    require(not done, "resume", "output", "a run that was interrupted", got, longer)
    return record


def _is_done(folder: Path) -> bool:
    """Whether a run is finished, and has no checkpoint with which it could go on."""
    return (folder / "report.json").exists() and latest_checkpoint(folder / "checkpoints") is None


@contextmanager
def reading(entry: str) -> Iterator[None]:
    """Errors in an entry of run.json name it, and not an argument of a caller."""
    try:
        yield
    except ArgumentError as error:
        expected = f"{error.expected} as {entry}.{error.argument} in run.json"
        raise BadValue("resume", "output", expected, error.got, *error.hints) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadValue("resume", "output", f"an undamaged entry {entry!r} in run.json", f"another ({error})") from None


def recorded_model(record: Mapping[str, Any], folder: Path) -> TransformerConfig:
    """The config of the model in run.json. Raises ValueError if it is damaged, or describes a larger model than the newest checkpoint
    holds; MemoryError if there is no checkpoint yet and the model would not fit into memory."""
    require("model" in record, "resume", "output", f"a complete run.json in {folder}", "one without 'model'")
    with reading("model"):
        config = TransformerConfig.from_dict(record["model"])
    checkpoint = latest_checkpoint(folder / "checkpoints")
    if checkpoint is None:
        check_memory("resume", "output", config, f"{folder}/run.json")
    else:
        held = held_by(checkpoint / "model.safetensors", "resume", "output")
        check_held("resume", "output", config, *held, f"{folder}/run.json", config.num_labels)
    return config


def recorded(record: Mapping[str, Any], entry: str, kind: type[AnySettings], *others: str) -> AnySettings:
    """The settings in an entry of run.json. others: what else the entry holds.

    Raises KeyError if there is no such entry, and ValueError, which names what is wrong in it: something is missing, unknown, or of
    another type."""
    found, names = record[entry], [field.name for field in fields(kind)]
    require(isinstance(found, dict), "resume", "output", f"an object as {entry!r} in run.json", repr(found))
    for name in [*names, *others]:
        require(name in found, "resume", "output", f"{entry}.{name} in run.json", "none")
    unknown = sorted(set(found) - set(names) - set(others))
    expected = f"no entry of {entry} in run.json but {', '.join([*names, *others])}"
    require(not unknown, "resume", "output", expected, ", ".join(unknown))
    with reading(entry):
        return kind(**{name: found[name] for name in names})


@contextmanager
def locked(folder: Path, op: str = "train") -> Iterator[None]:
    """Keeps other trainings out of a run folder, or other searches out of theirs, and removes temporary folders that a killed one left.
    The lock ends with the process at the latest.

    The folder itself is locked, so no file is left behind. A file system that has no such locks (some kinds of NFS) is not locked.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        if lock(handle) is False:
            doer = "search" if op == "search" else "training"
            raise Busy(op, "output", f"a folder that no other {doer} uses", folder)
        remove_left_overs(folder)
        yield
    finally:
        os.close(handle)


def check_output(folder: Path, overwrite: bool) -> None:
    """Raises FileExistsError unless `folder` is new or empty. With `overwrite` it may also be that of a run. What a run that was killed
    wrote before its run.json, its first file, does not count."""
    folder_or_new = folder.is_dir() or not folder.exists()
    require(folder_or_new, "train", "output", "a folder", f"the file {folder}", error=FileExists)
    if folder.is_dir() and not all(is_partial(path.name) for path in folder.iterdir()):
        expected, got = "a new or empty folder", f"{folder} with other files in it"
        require((folder / "run.json").is_file(), "train", "output", expected, got, error=FileExists)
        hints = ("resume it with ", Argument("resume")), ("replace it with ", Argument("overwrite"))
        require(overwrite, "train", "output", "a new folder", f"the run {folder}", *hints, error=FileExists)


def remove_run(folder: Path) -> None:
    """Removes what a run writes, and nothing else. run.json goes last: without it the rest would not be known for a run's."""
    partial = [path.name for path in folder.iterdir() if is_partial(path.name)]
    for name in ("checkpoints", "adapter", "tensorboard", *partial):
        if (folder / name).is_dir():
            remove_folder(folder / name)
    for name in (
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "log.jsonl",
        "report.json", "report.md", "report.html", "curves.png", "confusion.png", "reliability.png",
        "run.json",
    ):  # fmt: skip
        (folder / name).unlink(missing_ok=True)


def tokenizer_of(folder: Path, fresh: bool, make: Callable[[], Tokenizer]) -> Tokenizer:
    """The tokenizer of a run. make: makes it again, if the run was killed before the last of its files was written.

    fresh: whether the run has no checkpoint."""
    if fresh and not (folder / "tokenizer_config.json").exists():
        return make()
    return Tokenizer.from_pretrained(folder)


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
    """The SHA-256 of a file; for a folder, that of the names and hashes of what is in it."""
    digest = hashlib.sha256()
    if os.path.isdir(path):
        for name in sorted(os.listdir(path)):
            if os.path.exists(os.path.join(path, name)):
                digest.update(f"{name} {sha256_of(os.path.join(path, name))}\n".encode())
        return digest.hexdigest()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def load_tokenizer(path: str | os.PathLike[str], op: str, argument: str) -> Tokenizer:
    """The tokenizer of a vocab.txt, a tokenizer.json, or a folder with one. Errors name the call `op` and its argument."""
    path = os.fspath(path)
    try:
        if os.path.isdir(path):
            return Tokenizer.from_pretrained(path)
        return Tokenizer.from_file(path) if path.endswith(".json") else Tokenizer.from_vocab(path)
    except ArgumentError as error:
        error.relabel(op, dict.fromkeys(("directory", "path"), argument))
        raise
