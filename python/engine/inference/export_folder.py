"""The folder of an exported model: it is written beside its place and moved there when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import Argument, FileExists, require
from engine.files import filled

__all__ = ["check_output", "new_folder"]

# What exports write. A folder with anything else in it is not replaced, because that would be lost.
_WRITTEN = {
    "README.md", "config.json", "model.safetensors", "model.onnx", "model.onnx.data", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "modules.json", "config_sentence_transformers.json", "0_Transformer", "1_Pooling",
    "2_Dense", "3_Dense",
}  # fmt: skip


def check_output(op: str, target: Path, overwrite: bool) -> None:
    """Raises FileExistsError unless the folder is new or empty. With `overwrite` it may also be that of an earlier export."""
    folder = target.is_dir() or not target.exists()
    require(folder, op, "output", "a folder", f"the file {target}", error=FileExists)
    found = sorted(os.listdir(target)) if target.is_dir() else []
    if found:
        others = [name for name in found if name not in _WRITTEN]
        expected, got = "a new or empty folder", f"{target} with {others[0] if others else 'an export'} in it"
        require(not others, op, "output", expected, got, error=FileExists)
        require(overwrite, op, "output", expected, got, ("replace it with ", Argument("overwrite")), error=FileExists)


@contextmanager
def new_folder(op: str, output: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into. When the block ends, it takes the place of `output`; after an error it is gone, and `output` is as it was.

    overwrite: whether `output` may hold an earlier export. Raises FileExistsError if it holds anything else.
    """
    target = Path(os.path.realpath(output))
    check_output(op, target, overwrite)
    with filled(target) as folder:
        yield folder
