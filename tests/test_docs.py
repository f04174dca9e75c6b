"""The documents and the docstrings: every Python block of README.md and docs runs, and so do the commands of the tutorial and of the
how-to pages; links and commands of all pages lead somewhere, settings files name options, and every public name says what it is."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import engine
from cli_runs import run_engine, write_conll, write_encoder, write_rows
from engine import _core
from engine.tasks import TASKS

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Pages whose commands run, too, in the order of the page and with its Python blocks.
RUN = {"tutorial.md", *(path.name for path in (ROOT / "docs/howto").glob("*.md"))} - {"gpu.md"}
PAGES = [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "examples").rglob("*.md"))]
FENCED = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\w+=\S+ )*engine (.*)", re.MULTILINE)

by_name = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
by_page = pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


# ---------------------------------------------------------------- documents


@pytest.fixture
def settings() -> Iterator[None]:
    """Puts back what a document may change in the process."""
    random, threads, isa = _core.random_state(), _core.get_num_threads(), _core.get_cpu_isa()
    tasks = dict(TASKS)
    yield
    TASKS.clear()
    TASKS.update(tasks)
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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages read: tables and texts, small ones, and MiniLM, a tiny encoder."""
    folder = tmp_path_factory.mktemp("data")
    write_table(folder / "train.csv")
    (folder / "examples/banking77").mkdir(parents=True)
    for copy in ("test.csv", "examples/banking77/train.csv", "examples/banking77/test.csv"):
        shutil.copy(folder / "train.csv", folder / copy)
    shutil.copy(folder / "train.csv", folder / "questions.csv")
    (folder / "questions.txt").write_text("".join(f"where is card {i}?\n" for i in range(60)), encoding="utf-8")
    rows = [("you fool", "1", "1"), ("thank you", "0", "0"), ("be quiet", "0", "1"), ("so bad", "1", "0")]
    write_rows(folder / "comments.csv", ("text", "toxic", "insult"), rows * 6)
    films = [("a wedding", "comedy"), ("a robbery", "crime"), ("two friends rob a bank", "comedy|crime")]
    write_rows(folder / "movies.csv", ("text", "labels"), films * 8)
    write_conll(folder / "train.conll")
    write_encoder(folder / "MiniLM", max_position_embeddings=512)
    return folder


@by_name
def test_blocks_run_in_order(document: Path, data: Path, tmp_path: Path, monkeypatch, settings: None, request) -> None:
    """The Python blocks, and of the pages in `RUN` the commands."""
    text = document.read_text(encoding="utf-8")
    if document.name == "cuda.md":
        request.getfixturevalue("cuda")
    for name in NEEDED.get(document.name, ()):
        needed(name)
    if document.name in RUN:
        pytest.importorskip("click")
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in FENCED.finditer(text):
        if block[1] == "python":
            line = text.count("\n", 0, block.start(2))  # a traceback shows the document's own lines
            exec(compile("\n" * line + block[2], str(document), "exec"), namespace)
        elif not block[1] and document.name in RUN:
            for command in COMMAND.findall(block[2]):
                run_engine(*shlex.split(command, comments=True))


def test_tests_that_pages_name_are_there() -> None:
    for document in DOCUMENTS:
        for file, name in re.findall(r"(tests/\w+\.py)::(\w+)", document.read_text(encoding="utf-8")):
            assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), (
                f"{document.name} names {file}::{name}"
            )


def test_every_page_is_in_the_site() -> None:
    listed = re.findall(r"^([\w/-]+)$", (ROOT / "docs/index.md").read_text(encoding="utf-8"), re.MULTILINE)
    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in DOCUMENTS[1:]}
    assert set(listed) - {"reference/index"} == pages - {"index"} and len(listed) == len(set(listed))


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
        for line in COMMAND.findall(body):
            name, *rest = shlex.split(line.split(" | ")[0], comments=True)
            check_arguments(commands[name], rest)


def check_arguments(command: Any, given: list[str]) -> None:
    """Raises an error of click if the command would not take these arguments. Files need not be there."""
    import click

    context = click.Context(command, info_name=command.name)
    values, rest, found = command.make_parser(context).parse_args(list(given))
    assert not rest, f"engine {command.name} does not take {rest}"
    for p in found:
        if isinstance(p, click.Option) and not isinstance(p.type, click.Path):
            p.type_cast_value(context, values[p.name])


@pytest.mark.parametrize("wrong", ["--epoch 3", "--epochs three", "--schedule steep", "--epochs"])
def test_arguments_that_are_not_there_are_found(wrong: str) -> None:
    commands = pytest.importorskip("engine.commands").cli.commands
    check_arguments(commands["train"], ["train.csv", "--epochs", "3"])
    with pytest.raises(pytest.importorskip("click").UsageError):
        check_arguments(commands["train"], ["train.csv", *wrong.split()])


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


def test_docstrings_are_markup_only_where_it_is_meant(monkeypatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs/_ext")
    as_rst = importlib.import_module("docstrings").as_rst
    assert as_rst(["(*) -> a_ of `b_`s, `two", "words`, c_d | e"]) == [
        r"(\*) -> a\_ of ``b_``\ s, ``two words``, c_d \| e"
    ]
    assert as_rst(["Says:", "", "    >>> f(*x)", "    `y`", "", "Ends."]) == [
        "Says:", "", ".. code-block:: pycon", "", "    >>> f(*x)", "    `y`", "", "Ends.",
    ]  # fmt: skip
    assert as_rst(["Kinds:", "- a", "  and b", "- c"]) == ["Kinds:", "", "- a", "  and b", "- c"]
    assert as_rst(["Args:", "    a_, b: of *c*,", "        and d"]) == [
        "Args:",
        r"    a_, b: of \*c\*,",
        "        and d",
    ]
    assert as_rst(["Attributes:", "    a, b: of", "        c", "    d: e", "", "a, b: f"]) == [
        "Attributes:", "    a: of", "        c", "    b: of", "        c", "    d: e", "", "a, b: f",
    ]  # fmt: skip


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
