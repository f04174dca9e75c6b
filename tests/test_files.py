"""Files that are complete or missing: what a killed writer leaves, two writers at once, errors that name the file."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import engine
from engine import serialization
from engine.files import filled, is_partial, lock, replace_file, scratch_folder
from engine.serialization import load_file, save_file, write_text

KILLED = """
import os, signal
from engine.files import replace_file
def write(path):
    open(path, "w").write("half")
    open(os.path.join(os.path.dirname(path), ".tmp123"), "w").write("of a library")
    os.kill(os.getpid(), signal.SIGKILL)
replace_file({path!r}, write)
"""


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    process = subprocess.run([sys.executable, "-c", KILLED.format(path=str(path))], check=False)
    assert process.returncode == -9 and path.read_text() == "old"
    left = [name for name in os.listdir(tmp_path) if name != "a.txt"]
    assert left == [".a.txt.engine-partial"] and is_partial(left[0])
    write_text(path, "new")
    assert os.listdir(tmp_path) == ["a.txt"] and path.read_text() == "new"


def test_two_writers_at_once_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "a.txt"

    def write(temporary: str) -> None:
        write_text(path, "second")  # while the first one has written nothing
        with open(temporary, "w") as stream:
            stream.write("first")

    replace_file(path, write)
    assert path.read_text() == "first" and os.listdir(tmp_path) == ["a.txt"]


def test_other_peoples_files_are_left_alone(tmp_path):
    (tmp_path / ".a.txt.engine-partial").write_text("a file, not a folder of ours")
    os.mkfifo(tmp_path / ".a.txt.engine-partial1")
    write_text(tmp_path / "a.txt", "new")
    assert len(os.listdir(tmp_path)) == 3 and (tmp_path / "a.txt").read_text() == "new"


def test_names_as_long_as_the_file_system_allows(tmp_path):
    for name in ("x" * 255, "卡" * 85):
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
        (OSError(errno.EACCES, "Permission denied"), PermissionError),
        (OSError("a library's own words"), OSError),
    ],
)
def test_an_error_names_the_file(tmp_path, error, kind):
    def write(path: str) -> None:
        with open(path, "w") as stream:
            stream.write("half")
        raise error

    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(kind, match=re.escape(str(path))):
        replace_file(path, write)
    assert os.listdir(tmp_path) == ["a.txt"] and path.read_text() == "old"


def test_a_folder_is_complete_or_missing(tmp_path):
    with pytest.raises(KeyError), filled(tmp_path / "out") as folder:
        (folder / "a").write_text("half")
        raise KeyError
    assert os.listdir(tmp_path) == []
    with filled(tmp_path / "out") as folder:
        (folder / "a").write_text("whole")
        assert os.listdir(tmp_path) == [".out.engine-partial"]
    assert os.listdir(tmp_path) == ["out"] and (tmp_path / "out/a").read_text() == "whole"
    with scratch_folder(tmp_path / "trial") as folder, scratch_folder(tmp_path / "trial") as other:
        assert folder != other
    assert os.listdir(tmp_path) == ["out"]


def test_a_lock_ends_with_its_file(tmp_path):
    with open(tmp_path / "a", "w") as first, open(tmp_path / "a") as second:
        assert lock(first.fileno()) is True and lock(second.fileno()) is False
        first.close()
        assert lock(second.fileno()) is True


def test_saving_over_the_file_that_is_loaded_or_mapped(tmp_path):
    path = tmp_path / "a.safetensors"
    old = {"x": engine.arange(4096.0), "y": engine.ones(3)}
    save_file(old, path)
    loaded, mapped = load_file(path), np.memmap(path, np.uint8, "r")
    before = mapped.tobytes()
    save_file({name: tensor + 1 for name, tensor in loaded.items()}, path)
    assert mapped.tobytes() == before  # the mapping keeps the old file
    assert loaded["x"].tolist() == old["x"].tolist()
    assert load_file(path)["x"].tolist() == (old["x"] + 1).tolist()
    with open(path, "r+b") as stream:
        stream.truncate(100)  # a loaded tensor does not depend on its file
    assert loaded["y"].tolist() == [1, 1, 1]


def test_a_torch_file_is_saved_over_itself(tmp_path):
    path = tmp_path / "a.pt"
    engine.save({"x": engine.arange(1000.0)}, path)
    loaded = engine.load(path)
    engine.save({"x": loaded["x"] * 2}, path)
    assert loaded["x"].tolist() == list(range(1000)) and engine.load(path)["x"][3].item() == 6


def test_a_pipe_a_device_and_a_vanished_folder_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/full", "/dev/null"):
        with pytest.raises(OSError, match=f"got the pipe, socket or device {path}"):
            save_file({"x": engine.ones(1)}, path)
    with pytest.raises(FileNotFoundError, match="gone"):
        serialization.write_json(tmp_path / "gone/a.json", {})
