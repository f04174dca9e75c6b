"""Which packages the extras of engine install, and which of them a command lacks for what it was asked: all of them at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

import click

from engine.errors import NotInstalled

__all__ = ["EXTRAS", "require_packages"]

# Each extra with the modules that it installs; of two extras with the same module, the first one is named in errors. A test compares
# this table with pyproject.toml.
EXTRAS = {
    "cli": ("click", "tqdm", "tokenizers"), "text": ("tokenizers",), "plot": ("matplotlib",),
    "files": ("pyarrow", "openpyxl", "zstandard"), "hub": ("huggingface_hub",), "tensorboard": ("tensorboard",),
    "search": ("optuna", "tomli_w"), "onnx": ("onnx",),
}  # fmt: skip

_OF_OPTIONS = {"progress": "tqdm", "tensorboard": "tensorboard", "picture": "matplotlib"}
_OF_FORMATS = {"parquet": "pyarrow", "arrow": "pyarrow", "excel": "openpyxl"}


def missing_packages(packages: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those of the packages that are not installed, and the extras that install them."""
    missing = [package for package in dict.fromkeys(packages) if find_spec(package) is None]
    extras = [next(extra for extra, held in EXTRAS.items() if package in held) for package in missing]
    return missing, list(dict.fromkeys(extras))


def require_packages(ctx: click.Context, packages: Iterable[str]) -> None:
    """Raises NotInstalled, which names everything that is missing, unless all packages are there that a command needs.

    packages: those that it always needs. Its options and the endings of its files say what else.
    """
    missing, extras = missing_packages([*packages, *_of_options(ctx), *_of_files(ctx)])
    if missing:
        names = ", ".join(name.replace("_", "-") for name in missing)
        hint = f"pip install 'engine[{','.join(extras)}]'"
        others = ["or turn the progress bar off with --no-progress"] if missing == ["tqdm"] else []
        raise NotInstalled(str(ctx.command.name), "packages", names, "none of these", hint, *others)


def _of_options(ctx: click.Context) -> Iterator[str]:
    yield from (package for option, package in _OF_OPTIONS.items() if ctx.params.get(option))
    if ctx.params.get("kind") == "onnx":
        yield "onnx"
    if ctx.params.get("bar") and sys.stderr.isatty():  # a bar that is shown only on a terminal
        yield "tqdm"


def _of_files(ctx: click.Context) -> Iterator[str]:
    """What is needed to read and write the command's files, as far as their names say it."""
    for p in ctx.command.params:
        given = ctx.params.get(str(p.name)) if isinstance(p.type, click.Path) else None
        for path in [given] if isinstance(given, str) else given or ():
            from engine.text.compression import compression_of
            from engine.text.files import extension_of
            from engine.text.formats import ENDINGS

            form = ENDINGS.get(extension_of(path))
            if form in _OF_FORMATS:
                yield _OF_FORMATS[form]
            if compression_of(path, b"") == "Zstandard":
                yield "zstandard"
