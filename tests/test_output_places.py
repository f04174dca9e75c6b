"""Each command that writes, told to write where nothing can be written: one line that names the place, and nothing is changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, run_engine, write_texts

SEARCH = tuple(option for option in SCRATCH if option != "--no-progress")
COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train", "train.csv", *SCRATCH, "-o", "OUT"),
    "overwrite": ("train", "train.csv", *SCRATCH, "--overwrite", "-o", "OUT"),
    "pretrain": ("pretrain", "train.csv", "--layers", "1", "--dim", "16", "--heads", "2", "--no-progress", "-o", "OUT"),
    "search": ("search", "space.toml", "train.csv", *SEARCH, "--validation-fraction", "0.25", "--trials", "1", "-o", "OUT"),
    "export": ("export", "run", "OUT"),
    "predict": ("predict", "run", "--input", "train.csv", "-o", "OUT.csv"),
    "embed": ("embed", "run", "train.csv", "--text-column", "text", "-o", "OUT.npy"),
    "check": ("check", "train.csv", "--remove", "duplicate", "-o", "OUT.csv"),
    "evaluate": ("evaluate", "run", "train.csv", "--picture", "OUT.png"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("places")
    run_engine("train", write_texts(folder / "train.csv"), *SCRATCH, "-o", folder / "run")
    (folder / "space.toml").write_text("lr = [0.01, 0.02]\n", encoding="utf-8")
    return folder


def bad_pipe(out: Path) -> None:
    os.mkfifo(out)


def bad_full(out: Path) -> None:
    out.symlink_to("/dev/full")


def bad_parent(out: Path) -> None:
    out.parent.rmdir()
    out.parent.write_text("a file where the folder should be")


def bad_other_kind(out: Path) -> None:
    """A folder instead of a file, a file instead of a folder."""
    if out.suffix:
        (out / "mine").mkdir(parents=True)
    else:
        out.write_text("mine")


def bad_loop(out: Path) -> None:
    out.symlink_to(out.name)


@pytest.mark.parametrize("spoil", [bad_pipe, bad_full, bad_parent, bad_other_kind, bad_loop])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_where_nothing_can_be_written(command, spoil, place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    out = tmp_path / "at" / COMMANDS[command][-1]
    out.parent.mkdir()
    spoil(out)
    before = [(p, p.lstat().st_mode, p.lstat().st_size) for p in sorted(tmp_path.rglob("*"))]
    line = run_engine(*COMMANDS[command][:-1], out, code=2)
    assert out.name in line or str(out.parent) in line, line
    assert [(p, p.lstat().st_mode, p.lstat().st_size) for p in sorted(tmp_path.rglob("*"))] == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_not_there_is_made_or_named(command, place, tmp_path, monkeypatch):
    """Commands that write a folder make those above it; a file needs its folder."""
    monkeypatch.chdir(place)
    out = tmp_path / "gone/further" / COMMANDS[command][-1]
    if out.suffix:
        assert "gone/further" in run_engine(*COMMANDS[command][:-1], out, code=2)
        assert not list(tmp_path.iterdir())
    else:
        run_engine(*COMMANDS[command][:-1], out)
        assert any(out.iterdir())
