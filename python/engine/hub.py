"""Finds the files of a published model: in a directory, or on the Hugging Face hub if `huggingface_hub` is installed."""

from __future__ import annotations

import os
from glob import glob

from engine.errors import BadFile, FileMissing, NotFolder, require

__all__ = ["resolve"]

_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
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
        raise FileMissing(op, "directory", "an existing folder", name)
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        raise FileMissing(
            op,
            "directory",
            "an existing folder",
            name,
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
        raise BadFile(op, "directory", expected, name, f"{type(error).__name__}: {reason}") from None
