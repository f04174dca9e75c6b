"""Writes the pages of the reference: one for each package, and one for the command, from their docstrings and help texts."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = (
    "engine", "engine.nn", "engine.nn.functional", "engine.nn.init", "engine.nn.lora", "engine.nn.utils", "engine.optim",
    "engine.optim.lr_scheduler", "engine.optim.swa_utils", "engine.autograd", "engine.amp", "engine.cuda", "engine.data", "engine.text",
    "engine.models", "engine.tasks", "engine.train", "engine.inference", "engine.inference.export", "engine.runs", "engine.metrics",
    "engine.report", "engine.serialization", "engine.distributions", "engine.linalg", "engine.errors", "engine.testing",
)  # fmt: skip

# The sections of the page on `engine` itself, and the files whose names are in each.
FAMILIES = {
    "Tensors, dtypes, devices, settings": "tensor generator layout memory typed dtypes device convert operands _core engine asked",
    "Making tensors": "factory constants random sampling",
    "Functions of each element": "arithmetic binary unary special hyperbolic rounding bitwise",
    "Comparisons": "comparison closeness",
    "Reductions, statistics, order": "reduction scan statistics unique sorting",
    "Products": "products linear einsum",
    "Shapes and parts": "shape stacking rearrange diagonals padding indexing scatter index_put",
    "Activations": "activation activation_smooth activation_piecewise softmax",
    "Ops of layers": "norm dropout embedding embedding_bag attention multihead distance pooling packing",
    "Losses": "loss loss_likelihood loss_margin loss_ctc",
    "Gradients, precision, files": "modes precision read write",
}
FAMILY_OF = {file: family for family, files in FAMILIES.items() for file in files.split()}


def names_of(module: ModuleType) -> list[str]:
    """The public functions and classes of a package."""
    names = set(getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")])
    if module.__name__ == "engine":  # `__all__` leaves out names of Python's own functions, such as `sum`
        names |= {*module.ops.__all__, *module.dtypes.__all__}
    return sorted(name for name in names if callable(getattr(module, name)))


def page(module: ModuleType, classes: dict[type, str]) -> str:
    """A page on a package; `engine` itself has a section for each family of ops. A class is described on one page, and others refer to
    it. classes: the full names of those described so far."""
    title = f"``{module.__name__}``"
    lines = [title, "=" * len(title), "", f".. automodule:: {module.__name__}", "   :no-members:", ""]
    names = names_of(module)
    groups: dict[str, list[str]] = {}
    for name in names:
        home = (getattr(getattr(module, name), "__module__", None) or "").rpartition(".")[2]
        groups.setdefault(FAMILY_OF.get(home, "Other") if module.__name__ == "engine" else "", []).append(name)
    for heading in [each for each in ("", *FAMILIES, "Other") if each in groups]:
        lines += [heading, "-" * len(heading), ""] if heading else []
        for name in groups[heading]:
            value, full = getattr(module, name), f"{module.__name__}.{name}"
            if not inspect.isclass(value):
                lines += [f".. autofunction:: {full}", ""]
            elif classes.setdefault(value, full) == full:
                lines += [f".. autoclass:: {full}", "   :members:", ""]
            else:
                lines += [f"``{full}`` is :class:`{classes[value]}`.", ""]
    return "\n".join(lines)


def commands() -> str:
    """A page with what `engine COMMAND --help` prints."""
    import click

    from engine.commands import cli

    lines = ["The command", "===========", ""]
    for name, command in cli.commands.items():
        context = click.Context(command, info_name=f"engine {name}", max_content_width=100, terminal_width=100)
        title = f"``engine {name}``"
        lines += [title, "-" * len(title), "", ".. code-block:: none", ""]
        lines += [f"   {line}".rstrip() for line in command.get_help(context).splitlines()] + [""]
    return "\n".join(lines)


def index(pages: Iterable[str]) -> str:
    return "\n".join(["Reference", "=========", "", ".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in pages), ""])  # fmt: skip


def write(app: Any) -> None:
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    classes: dict[type, str] = {}
    pages = {"commands": commands(), **{name: page(importlib.import_module(name), classes) for name in PACKAGES}}
    for name, text in {**pages, "index": index(pages)}.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # a page that is the same is not read again
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
