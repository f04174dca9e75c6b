"""Folders with one sub-folder for each class, whose files are a text each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from engine.errors import BadValue, IsFolder
from engine.text.files import TextFile
from engine.text.table_rows import Rows

__all__ = ["FolderRows", "class_folders"]

_SPLITS = {"train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval"}


def class_folders(folder: str) -> list[str]:
    """The names of the sub-folders, sorted; those that begin with a dot do not count."""
    return sorted(
        name for name in os.listdir(folder) if not name.startswith(".") and os.path.isdir(os.path.join(folder, name))
    )


class FolderRows(Rows):
    """A text for each file, with the name of its folder as its label. Columns: 'text' and 'label'.

    Args:
        op, folder, encoding: of the call.
        hint: what the user can do about files in another encoding.

    Raises:
        IsADirectoryError: if there is no sub-folder.
        ValueError: if the sub-folders are splits; if one holds something else than texts; if a file is not in the encoding.
    """

    def __init__(self, op: str, folder: str, encoding: str | None, hint: tuple[str, ...]) -> None:
        super().__init__(TextFile.named(op, folder))
        classes = class_folders(folder)
        if not classes:
            expected = "a file, or a folder that holds a folder of texts for each class, or a data set of Arrow files"
            raise IsFolder(op, "path", expected, f"the folder {folder}")
        splits = [name for name in classes if name.lower() in _SPLITS]
        if splits:
            shown = ", ".join(os.path.join(folder, name) for name in splits)
            raise BadValue(
                op, "path", f"a folder for each class in {folder}", "one for each split", f"name one: {shown}"
            )
        self.header = ["text", "label"]
        self._texts: list[str] = []
        self._labels: list[str | list[str]] = []
        sources: list[str] = []
        for name in classes:
            for path in _texts_in(op, os.path.join(folder, name)):
                file = TextFile(op, path, hint=hint)
                self._texts.append(file.read(encoding))
                self._labels.append(name)
                sources.append(file.name)
        if not self._texts:
            raise BadValue(op, "path", f"texts in the folders of {folder}", "none")
        self.source, self.lines = sources, [1] * len(self._texts)

    def texts(self, name: str) -> list[str]:
        return self.values(name)

    def values(self, name: str) -> list[str]:
        return self._texts if name == "text" else [str(label) for label in self._labels]

    def as_they_are(self, name: str) -> list[Any]:
        return list(self.values(name))

    def labels(self, name: str) -> list[str | list[str]]:
        return self._labels


def _texts_in(op: str, folder: str) -> Iterator[str]:
    """The files of a class. Raises ValueError for a folder, a pipe or a device, and for a file that is neither .txt nor without an
    extension."""
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith("."):
            continue
        extension = os.path.splitext(name)[1].lower()
        if not os.path.isfile(path) or not (extension in ("", ".txt") or extension[1:].isdigit()):
            raise BadValue(op, "path", f"files of text (.txt) in {folder}", name)
        yield path
