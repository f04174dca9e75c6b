"""Finds the files of a published model: in a directory, or on the Hugging Face hub if `huggingface_hub` is installed."""

from __future__ import annotations

import os
from glob import glob

from engine.errors import BadFile, FileMissing, NotFolder, require

__all__ = ["check_parts", "resolve"]

_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
_CONFIG, _SHOWN = "config.json", 5
# The parts of a model: their files, and the sets of files that each may be.
_PARTS: dict[str, tuple[str, list[set[str]]]] = {
    _CONFIG: ("", [{_CONFIG}]),
    "weights": ("model.safetensors or pytorch_model.bin", [
        {name} for weights in ("model.safetensors", "pytorch_model.bin") for name in (weights, f"{weights}.index.json")
    ]),
    "a tokenizer": ("tokenizer.json, vocab.txt, or vocab.json with merges.txt", [
        {"tokenizer.json"}, {"vocab.txt"}, {"vocab.json", "merges.txt"},
    ]),
}  # fmt: skip
_WEIGHTS, _PICKLED = "*.safetensors", "pytorch_model*.bin"  # the second only if there is none of the first


def resolve(directory_or_name: str | os.PathLike[str], op: str, revision: str | None = None) -> str:
    """The directory with the files of a model: the given directory, or the local copy of a repository of the hub.

    A directory needs no network, and has no revisions. Raises FileNotFoundError if there is neither, NotADirectoryError for a file,
    ValueError for the revision of a directory, and OSError if the hub cannot be reached or does not have the repository.
    """
    name = os.fspath(directory_or_name)
    if os.path.isdir(name):
        hint = "only a repository of the Hugging Face hub has revisions"
        require(revision is None, op, "revision", f"None for the folder {name}", repr(revision), hint)
        return name
    if os.path.exists(name):
        raise NotFolder(op, "directory", "a folder", f"the file {name}")
    parts = name.split("/")
    if len(parts) > 2 or not all(parts) or name.startswith((".", "~")):  # a path, not "name" or "owner/name"
        raise FileMissing(op, "directory", "an existing folder", name, _around(name))
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        raise FileMissing(
            op,
            "directory",
            "an existing folder",
            name,
            _around(name),
            "a name on the Hugging Face hub needs huggingface_hub: pip install 'engine[hub]'",
        ) from None
    try:
        folder = str(snapshot_download(name, revision=revision, allow_patterns=_FILES))
        if not glob(os.path.join(folder, _WEIGHTS)):
            folder = str(snapshot_download(name, revision=revision, allow_patterns=[*_FILES, _PICKLED]))
        return folder
    except Exception as error:  # the library raises a dozen kinds: no network, no such repository, no permission
        expected = "an existing folder or a repository of the Hugging Face hub"
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        asked = f"asked for {name}, the hub gave {type(error).__name__}: {reason}"
        raise BadFile(op, "directory", expected, name, _around(name), asked, "nothing was downloaded") from None


def _around(name: str) -> str:
    """Where a folder was looked for, and which models are there."""
    parent = os.path.dirname(name) or "."
    if not os.path.isdir(parent):
        return f"there is no folder {os.path.abspath(parent)}"
    models = sorted(each.name for each in os.scandir(parent) if os.path.isfile(os.path.join(each.path, _CONFIG)))
    shown = ", ".join(models[:_SHOWN]) + (f" and {len(models) - _SHOWN:,} more" if len(models) > _SHOWN else "")
    return (
        f"the models in {os.path.abspath(parent)} are {shown}"
        if models
        else f"no folder in {os.path.abspath(parent)} has a model"
    )


def check_parts(folder: str | os.PathLike[str], op: str, argument: str) -> None:
    """Raises FileNotFoundError, which names all that is missing, for a folder that lacks several parts of a model and its tokenizer.
    Who reads a part says more if only that one is missing."""
    there = {*os.listdir(folder)} if os.path.isdir(folder) else set()
    missing = [what for what, (_, ways) in _PARTS.items() if not any(names <= there for names in ways)]
    if len(missing) > 1:
        parts = [f"{what} ({files})" if files else what for what, (files, _) in _PARTS.items()]
        expected = f"a folder with {parts[0]}, {parts[1]} and {parts[2]}"
        lacking = "with none of these" if len(missing) == len(parts) else f"without {' and '.join(missing)}"
        raise FileMissing(op, argument, expected, f"{os.fspath(folder)} {lacking}")
