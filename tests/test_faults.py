"""A fault at any moment of a command that writes: nothing half-written, the command can be given again, and the result has the same bits."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")
if sys.platform != "linux":
    pytest.skip("the faults are made with LD_PRELOAD", allow_module_level=True)

from faults.harness import ALL, ERRORS, KILL, WRITE, Scenario, Server, scenarios

NAMES = ("train", "pretrain", "tune", "overwrite", "resume", "export", "predict", "embed", "search")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("shim"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def found(server, root) -> dict[str, Scenario]:
    pytest.importorskip("optuna")
    pytest.importorskip("tomli_w")
    found = scenarios(server, root)
    assert set(found) == set(NAMES)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_at_some_calls(name, server, found, root):
    """The first call, the last, and some between them, drawn with a seed; a kill and each error once."""
    scenario, draw = found[name], random.Random(name)
    places = [
        1,
        scenario.calls,
        *sorted(draw.sample(range(2, scenario.calls), min(2 if name == "search" else 6, scenario.calls - 2))),
    ]
    faults = sorted(ERRORS)
    for i, k in enumerate(places):
        scenario.check(server, root / "place", at=k, error=faults[i % len(faults)], half=i % 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_vanishes(name, server, found, root):
    """One of its calls finds the folder gone; when it is there again, the command can be given again."""
    for fault in random.Random(name).sample(found[name].faults("vanished", server, root / "place", 0), 2):
        found[name].check(server, root / "place", **fault)


@pytest.mark.parametrize("name", ["train", "resume"])
def test_kills_at_some_moments(name, server, found, root):
    """SIGKILL at moments that the clock chooses, also between calls to the system."""
    for fault in found[name].faults("kills", server, root / "place", 0)[:3]:
        found[name].check(server, root / "place", **fault)


def test_a_second_kill_while_going_on(server, found, root):
    """Two kills in a row, the second at any call of the command that goes on after the first."""
    draw = random.Random(2)
    train, place = found["train"], root / "place"
    for _ in range(3):
        train.prepare(place)
        for command in (train.command, train.again):
            k = draw.randint(1, found["resume"].calls)
            server(command(place), folder=str(place), kinds=ALL, at=k, error=KILL)
        answer = server(train.again(place))
        assert answer["status"] == 0 and train.result(place) == train.expected, answer["output"]


@pytest.mark.parametrize("kind", ["limits", "allocations", "own"])
@pytest.mark.parametrize("name", ["train", "pretrain"])
def test_too_little_memory(name, kind, server, found, root):
    """The command ends with its result, with one line, or as a library ends it, and can be given again."""
    scenario, failed = found[name], 0
    for fault in scenario.faults(kind, server, root / "place", 0)[:: 125 if kind != "limits" else 34]:
        failed += scenario.check(server, root / "place", **fault)["status"] != 0
    assert failed


@pytest.mark.long
def test_all_faults(tmp_path):
    tool = Path(__file__).parents[1] / "tools/faults.py"
    subprocess.run([sys.executable, tool, "--seconds", "inf", "--log", tmp_path / "log"], check=True)


def test_the_shim_sees_every_language(server, found, root):
    """Python writes run.json, Rust the weights, SQLite the study: a shim that does not see one of them would test nothing."""
    for name, files in (("train", ("run.json", "log.jsonl", "model.safetensors")), ("search", ("study.db",))):
        found[name].prepare(root / "place")
        job = {"folder": str(root / "place"), "kinds": WRITE, "at": 0, "error": 0}
        written = server(found[name].command(root / "place"), **job)["hit"].splitlines()
        assert all(any(part in path for path in written) for part in files), written
