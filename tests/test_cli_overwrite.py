"""Commands that write a file refuse one that is there, unless --overwrite is given, and never replace a file that they read."""

from __future__ import annotations

import click
import pytest

pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, run_engine, write_encoder, write_texts
from engine.commands import cli
from engine.commands.common import NewFile


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_texts(folder / "a.csv")
    write_encoder(folder / "encoder")
    run_engine("train", folder / "a.csv", "-o", folder / "run", *SCRATCH)
    return folder


COMMANDS = {
    "predict": (("run", "--input", "a.csv", "--output"), "labels.csv"),
    "embed": (("encoder", "a.csv", "--output"), "vectors.npy"),
    "check": (("a.csv", "--remove", "duplicate", "--output"), "clean.csv"),
    "evaluate": (("run", "a.csv", "--picture"), "confusion.png"),
}


def test_all_commands_with_new_files_are_here_and_have_the_option():
    writing = {name: c for name, c in cli.commands.items() if any(isinstance(p.type, NewFile) for p in c.params)}
    assert writing.keys() == COMMANDS.keys()
    for command in writing.values():
        option = next(p for p in command.params if p.name == "overwrite")
        assert isinstance(option, click.Option) and option.is_flag


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_is_there_is_kept(place, tmp_path, monkeypatch, name):
    monkeypatch.chdir(place)
    if name == "evaluate":
        pytest.importorskip("matplotlib")
    given, file = COMMANDS[name]
    path = tmp_path / file
    path.write_text("mine")
    error = run_engine(name, *given, path, code=2)
    option = given[-1]
    assert f"{option}: expected a new file, got {path}, which is there (replace it with --overwrite)" in error
    assert path.read_text() == "mine"
    run_engine(name, *given, path, "--overwrite")
    assert path.read_bytes() != b"mine"


def test_a_file_that_is_read_is_not_replaced(place, monkeypatch):
    monkeypatch.chdir(place)
    before = (place / "a.csv").read_bytes()
    (place / "link.csv").symlink_to("a.csv")
    write_texts(place / "test.csv")
    for command in (
        ("predict", "run", "--input", "a.csv", "-o", "a.csv"),
        ("predict", "run", "--input", "a.csv", "-o", "link.csv"),
        ("check", "a.csv", "--remove", "duplicate", "-o", "./a.csv"),
        ("check", "test.csv", "--test", "a.csv", "--remove", "leak", "-o", "a.csv"),
    ):
        assert "expected another file" in run_engine(*command, "--overwrite", code=2)
    assert (place / "a.csv").read_bytes() == before
