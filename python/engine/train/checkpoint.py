"""Checkpoints: a folder for each step, which is either complete or missing.

A checkpoint holds tensors in safetensors files and everything else in `state.json`. It is written under a temporary name
in the same folder and renamed when it is complete; before it is removed, it gets a temporary name again. So a run that is killed at
any moment leaves its last complete checkpoint.
`state.json` also holds the CRC-32 of each file, and of its own other contents, so that damage is found.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.entries import as_kind, inside
from engine.errors import BadValue, FileMissing, require
from engine.files import named, remove_folder
from engine.serialization import load_file, read_json, save_file, write_json
from engine.settings import checked, shortened
from engine.tensor import Tensor

__all__ = ["latest_checkpoint", "load_checkpoint", "remove_checkpoints", "save_checkpoint"]

_AGAIN = "-again"
_NAME = re.compile(rf"step-(\d{{8,}})({_AGAIN})?")
_TEMPORARY = ".partial-"
_MARK = "__tensor__"
_NOT_FINITE = "__float__"
_WORDS = ("inf", "-inf", "nan")
_CHECKSUMS = "__crc32__"


def save_checkpoint(folder: str | os.PathLike[str], step: int, state: Mapping[str, Any], keep: int = 1) -> Path:
    """Writes `state` as `folder/step-<step>` and removes all but the newest `keep` checkpoints.

    state: entries by name. Each is a tree of dicts and lists whose leaves are Tensors or fit JSON. The Tensors of entry `x` go
    to `x.safetensors`. Keys of dicts become strings. Returns the checkpoint's path. Raises OSError if writing fails.
    """
    step, keep = checked("save_checkpoint", "step", int, step), checked("save_checkpoint", "keep", int, keep)
    require(step >= 0, "save_checkpoint", "step", "at least 0", step)
    require(keep >= 1, "save_checkpoint", "keep", "at least 1", keep)
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    remove_left_over(root)
    partial = root / f"{_TEMPORARY}{step}"
    target = root / f"step-{step:08d}"
    partial.mkdir()
    try:
        plain: dict[str, Any] = {}
        checksums: dict[str, str] = {}
        for name, tree in state.items():
            tensors: dict[str, Tensor] = {}
            plain[name] = _split(tree, "", tensors)
            if tensors:
                file = partial / f"{name}.safetensors"
                save_file(tensors, file)
                checksums[file.name] = _crc32(file)
        checksums["state.json"] = _crc32_of(plain)
        write_json(partial / "state.json", {**plain, _CHECKSUMS: checksums})
        _sync(partial)
        if target.exists():  # there is a complete checkpoint of this step at every moment
            again = root / f"{target.name}{_AGAIN}"
            os.rename(partial, again)
            _sync(root)
            _remove(target)
            os.rename(again, target)
        else:
            os.rename(partial, target)
        _sync(root)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in _checkpoints(root)[:-keep]:
        _remove(old)
    return target


def remove_left_over(folder: str | os.PathLike[str]) -> None:
    """Removes what a process that was killed has left half-written or half-removed. Only for the training that works in the folder."""
    for again in Path(folder).glob(f"step-*{_AGAIN}"):
        target = again.with_name(again.name.removesuffix(_AGAIN))
        if target.exists():
            _remove(target)
        os.rename(again, target)
    for left_over in Path(folder).glob(f"{_TEMPORARY}*"):
        remove_folder(left_over)


def _remove(checkpoint: Path) -> None:
    doomed = checkpoint.with_name(f"{_TEMPORARY}{checkpoint.name}")
    os.rename(checkpoint, doomed)
    remove_folder(doomed)


def remove_checkpoints(folder: str | os.PathLike[str]) -> None:
    """Removes all checkpoints with their folder. Each is there or not; one that is half-removed has a temporary name."""
    root = Path(folder)
    for checkpoint in _checkpoints(root):
        _remove(checkpoint)
    if root.is_dir():
        remove_folder(root)


def latest_checkpoint(folder: str | os.PathLike[str]) -> Path | None:
    """The complete checkpoint of the highest step, or None."""
    return next(reversed(_checkpoints(Path(folder))), None)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote. Raises FileNotFoundError or ValueError if a file is missing or damaged."""
    root = Path(path)
    written_as = root / "state.json"
    plain = read_json(written_as, "load_checkpoint", "path")
    checksums: dict[str, str]  # older checkpoints have none
    checksums = as_kind(
        plain.pop(_CHECKSUMS, {}), dict[str, str], f"{_CHECKSUMS} in {written_as}", "load_checkpoint", "path"
    )
    for name in (*checksums, *plain):
        right = inside(name)
        require(right, "load_checkpoint", "path", f"names of entries and files in {written_as}", shortened(name))
    for file_name, written in checksums.items():
        file = root / file_name
        require(file.is_file(), "load_checkpoint", "path", "an existing file", file, error=FileMissing)
        found = _crc32_of(plain) if file_name == "state.json" else _crc32(file)
        expected, got = f"{file} as it was written (CRC-32 {written})", f"a damaged file (CRC-32 {found})"
        require(found == written, "load_checkpoint", "path", expected, got)
    state = {}
    for name, tree in plain.items():
        file = root / f"{name}.safetensors"
        tensors = load_file(file) if file.is_file() else {}
        try:
            state[name] = _join(tree, tensors)
        except KeyError as error:
            raise BadValue("load_checkpoint", "path", f"the tensor {error} in {file}", "a file without it") from None
    return state


def _checkpoints(root: Path) -> list[Path]:
    """The complete checkpoints of a folder, by step."""
    found = [(int(match[1]), path) for path in root.glob("step-*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]  # that with _AGAIN is the newer one of its step


def _crc32(file: Path) -> str:
    value = 0
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            value = zlib.crc32(block, value)
    return f"{value:08x}"


def _crc32_of(plain: Mapping[str, Any]) -> str:
    """The CRC-32 of contents, as JSON with sorted keys."""
    return f"{zlib.crc32(json.dumps(plain, sort_keys=True).encode()):08x}"


def _sync(folder: Path) -> None:
    """Waits until a folder's entries are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        raise named(error, "save_checkpoint", folder) from None
    finally:
        os.close(handle)


def _split(tree: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """The tree with a mark instead of each tensor, and of each number that JSON does not have; the tensors are added to `tensors` by
    name."""
    if isinstance(tree, Tensor):
        tensors[path] = tree
        return {_MARK: path}
    if isinstance(tree, float) and not math.isfinite(tree):
        return {_NOT_FINITE: str(tree)}
    if isinstance(tree, Mapping):
        return {str(key): _split(value, f"{path}.{key}" if path else str(key), tensors) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_split(value, f"{path}.{i}" if path else str(i), tensors) for i, value in enumerate(tree)]
    return tree


def _join(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The tree that `_split` was given."""
    if isinstance(tree, dict):
        if set(tree) == {_NOT_FINITE} and tree[_NOT_FINITE] in _WORDS:
            return float(tree[_NOT_FINITE])
        return tensors[str(tree[_MARK])] if set(tree) == {_MARK} else {k: _join(v, tensors) for k, v in tree.items()}
    return [_join(value, tensors) for value in tree] if isinstance(tree, list) else tree
