"""The documents and the docstrings: every Python block of README.md and docs/*.md runs, links and commands of all pages lead
somewhere, settings files name options, and every public name says what it is."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import engine
from engine import _core

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "examples").rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

by_name = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
by_page = pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


# ---------------------------------------------------------------- documents


@pytest.fixture
def settings() -> Iterator[None]:
    """Puts back what a document may change in the process."""
    random, threads, isa = _core.random_state(), _core.get_num_threads(), _core.get_cpu_isa()
    yield
    _core.set_random_state(*random)
    _core.set_num_threads(threads)
    _core.set_cpu_isa(isa)
    _core.set_memory_limit(None)
    engine.set_float32_matmul_precision("highest")


NEEDED = {"serving.md": ("onnx", "onnxruntime", "fastapi.testclient")}


def needed(module: str) -> None:
    """Skips the test if a module is not installed. FastAPI's client says with a RuntimeError that it lacks another package."""
    try:
        importlib.import_module(module)
    except (ModuleNotFoundError, RuntimeError) as error:
        pytest.skip(f"{module}: {error}")


def write_table(path: Path) -> None:
    """Questions of two kinds, 48 of each; with commas, quotes and a character beyond ASCII."""
    cards = [f'"My card, number {i}, has not arrived yet"' for i in range(48)]
    tops = [f"Why was my top-up of {i} € rejected?" for i in range(48)]
    rows = [row for c, t in zip(cards, tops) for row in (f"{c},card_arrival", f"{t},top_up_failed")]
    path.write_text("\n".join(["text,category", *rows]) + "\n", encoding="utf-8")


@by_name
def test_python_blocks_run_in_order(document: Path, tmp_path: Path, monkeypatch, settings: None, request) -> None:
    text = document.read_text(encoding="utf-8")
    if document.name == "cuda.md":
        request.getfixturevalue("cuda")
    for name in NEEDED.get(document.name, ()):
        needed(name)
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "train.csv")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in FENCED.finditer(text):
        if block[1] == "python":
            line = text.count("\n", 0, block.start(2))  # a traceback shows the document's own lines
            exec(compile("\n" * line + block[2], str(document), "exec"), namespace)


def test_the_performance_model_is_what_its_script_prints() -> None:
    from bench.cuda_model import COUNTED, tables

    printed = "\n".join(tables(json.loads(COUNTED.read_text())))
    assert printed.strip() in (ROOT / "docs/cuda.md").read_text(encoding="utf-8"), "python -m bench.cuda_model"


@by_page
def test_links_lead_to_files(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}, which is not there"


@by_page
def test_commands_and_their_options_are_there(document: Path) -> None:
    commands = pytest.importorskip("engine.commands").cli.commands
    for _, body in FENCED.findall(document.read_text(encoding="utf-8")):
        for line in re.findall(r"^(?:\w+=\S+ )*engine (.*)", body, re.MULTILINE):
            name, *rest = line.split("#")[0].split()
            known = {option for p in commands[name].params for option in (*p.opts, *p.secondary_opts)}
            asked = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
            assert asked <= known, f"engine {name} has no {asked - known}"


def names_of_settings(table: dict[str, Any]) -> Iterator[str]:
    """Names in a settings file or a search space: tables only group them, unless they are ranges."""
    for name, value in table.items():
        if isinstance(value, dict) and "low" not in value:
            yield from names_of_settings(value)
        else:
            yield name.replace("-", "_")


@by_page
def test_settings_files_name_options_of_train(document: Path) -> None:
    tomllib = pytest.importorskip("tomllib")
    options = {p.name for p in pytest.importorskip("engine.commands").cli.commands["train"].params}
    for kind, body in FENCED.findall(document.read_text(encoding="utf-8")):
        if kind == "toml":
            unknown = set(names_of_settings(tomllib.loads(body))) - options
            assert not unknown, f"engine train has no {unknown}"


# ---------------------------------------------------------------- docstrings

MODULES = (
    "engine", "engine.autograd", "engine.data", "engine.inference", "engine.metrics", "engine.models", "engine.nn",
    "engine.nn.functional", "engine.nn.init", "engine.nn.lora", "engine.nn.utils", "engine.optim", "engine.optim.lr_scheduler",
    "engine.report", "engine.runs", "engine.serialization", "engine.tasks", "engine.text", "engine.train", "engine.utils.data",
)  # fmt: skip


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in getattr(module, "__all__", None) or sorted(vars(module)):
        value = getattr(module, name)
        if not name.startswith("_") and callable(value):
            yield name, value


def says_nothing(value: Any) -> bool:
    """Also where the docstring is only the signature that dataclasses and named tuples write."""
    text = (value.__doc__ if inspect.isclass(value) else inspect.getdoc(value)) or ""
    return not text.strip() or (inspect.isclass(value) and text.startswith(f"{value.__name__}("))


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class of ours defines; an override may leave the words to its base."""
    for name, value in vars(cls).items():
        if not name.startswith("_") and isinstance(value, property | classmethod | staticmethod | type(members)):
            yield name, getattr(cls, name)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    found = list(public(module))
    assert found and module.__doc__
    silent = [n for n, value in found if says_nothing(value)]
    silent += [
        f"{n}.{member}"
        for n, value in found
        if inspect.isclass(value) and value.__module__ != "engine._core"
        for member, method in members(value)
        if says_nothing(method)
    ]
    assert not silent, f"{name}: no docstring: {', '.join(silent)}"
