"""Runs the scripts in `idioms/` with PyTorch and with the side in its place, and compares what they return."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .compare import Fault, difference, kind_of_error, sentence
from .report import Tally
from .sides import PYTORCH, Missing, Side

FOLDER = Path(__file__).parent / "idioms"


def scripts() -> list[Path]:
    """All scripts, by name."""
    return sorted(FOLDER.glob("*.py"))


def load(path: Path, side: Side) -> types.ModuleType:
    """The script as a module in which `import torch` gives this side's module. Nothing else sees the change."""

    def importer(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] != "torch":
            return builtins.__import__(name, *args, **kwargs)
        return builtins.__import__(side.module.__name__ + name.removeprefix("torch"), *args, **kwargs)

    name = f"parity_idiom_{side.module.__name__}_{path.stem}"
    module = types.ModuleType(name)
    module.__file__ = str(path)
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": importer}
    sys.modules[name] = module  # dataclasses and pickle look there
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    return module


def outputs(path: Path, side: Side, state: dict[str, torch.Tensor] | None) -> tuple[Any, dict[str, torch.Tensor]]:
    """What the script returns, and the weights that it started from: `state` if given, else its own."""
    # PyTorch's test inputs lock its flags; scripts set them.
    with getattr(torch.backends, "__allow_nonbracketed_mutation")():
        return _outputs(load(path, side), side, state)


def _outputs(module: Any, side: Side, state: dict[str, torch.Tensor] | None) -> tuple[Any, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = module.build() if hasattr(module, "build") else None
    start: dict[str, torch.Tensor] = {}
    if model is not None:
        if state is not None:
            model.load_state_dict({k: side.tensor(v) for k, v in state.items()})
        start = {k: side.back(v) for k, v in model.state_dict().items()}
    return side.back(module.run(model)), start


def faults_of(path: Path, side: Side) -> list[Fault]:
    """Why the script does not run, or what differs. Names that are missing further on are named in the example."""
    expected, state = outputs(path, PYTORCH, None)
    try:
        got, _ = outputs(path, side, state)
    except Exception as error:
        further = ", ".join(missing_names(path, side))
        return [
            Fault("run", kind_of_error(error), sentence(error) + (f" (missing in all: {further})" if further else ""))
        ]
    if set(expected) != set(got):
        return [Fault("run", "names", f"{sorted(expected)} expected, got {sorted(got)}")]
    return [
        Fault("run", found[0], f"{key}: {found[1]}")
        for key, value in expected.items()
        if (found := difference(value, got[key], loose=True))
    ]


def missing_names(path: Path, side: Side) -> list[str]:
    """PyTorch's names in the script that the side lacks, as far as its text tells: `long`, `nn.ELU`, `Tensor.repeat`."""
    tree = ast.parse(path.read_text())
    roots: dict[str, str] = {}  # what a name of the script is in PyTorch: "" is torch itself
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "torch":
                    roots[alias.asname or "torch"] = alias.name[6:] if alias.asname else ""
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "torch":
            for alias in node.names:
                where = f"{node.module}.{alias.name}"[6:]
                roots[alias.asname or alias.name] = where
                used.add(where)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and hasattr(torch.Tensor, node.attr) and not _of_python(node.attr):
            used.add(
                f"Tensor.{node.attr}" if not isinstance(node.value, ast.Name) or node.value.id not in roots else ""
            )
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name) and node.id in roots:
            used.add(".".join([*filter(None, [roots[node.id]]), *reversed(parts)]))
    return sorted(n for n in used if n and _found(PYTORCH, n) and not _found(side, n))


def _of_python(name: str) -> bool:
    return any(hasattr(kind, name) for kind in (dict, list, str, np.ndarray))


def _found(side: Side, name: str) -> bool:
    try:
        side.get(name)
        return True
    except Missing:
        try:
            importlib.import_module(f"{side.module.__name__}.{name}")
        except ImportError:
            return False
        return True


def run(side: Side, only: str | None = None, limit: int | None = None) -> Tally:
    """All scripts, or those whose name is `only` (a regular expression)."""
    tally = Tally("idioms")
    for path in scripts()[:limit]:
        if only is None or re.fullmatch(only, path.stem):
            tally.sample(path.stem, faults_of(path, side))
    return tally
