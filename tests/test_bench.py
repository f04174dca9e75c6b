"""The benchmark itself: it compares answers before it takes times, and goes on without a peer that fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import protocol
from bench.protocol import Run, Table
from bench.sides import answer

ROOT = Path(__file__).parent.parent
Y = np.linspace(-1, 1, 1000, dtype=np.float32)


class Side:
    """A worker whose answer and times are given."""

    def __init__(self, side: str, facts: dict[str, Any] | Exception, seconds: float) -> None:
        self.side = self.tasks = side
        self.facts, self.seconds = facts, seconds

    def ask(self, do: str, **_: Any) -> Any:
        if do == "time":
            return self.seconds
        if isinstance(self.facts, Exception):
            raise self.facts
        return self.facts


def compare(*peers: Side) -> protocol.Comparison:
    sides = [Side("engine", answer(Y), 1.0), *peers]
    return Run(sides, {}, False, 2).compare("a:b", sides=tuple(s.side for s in sides))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REST", 0.0)


def test_ratios_are_of_the_fastest_peer() -> None:
    c = compare(Side("slow", answer(Y), 5.0), Side("fast", answer(Y * (1 + 1e-6)), 3.0))
    assert c.peer == "fast" and c.ratio == 3.0
    table = Table("t")
    table.add("row", c, share=0.5, target=3.5)
    table.add("row", c, share=0.5, target=2.5, target_share=0.4)
    assert [row[-1] for row in table.rows] == ["NO", "yes"]


@pytest.mark.parametrize("wrong", [Y * 1.01, Y + 0.01, np.where(np.arange(1000) == 999, 0, Y), Y[:999], np.zeros(1000)])
def test_a_wrong_answer_is_no_time(wrong: np.ndarray) -> None:
    with pytest.raises(AssertionError):
        compare(Side("torch", answer(wrong), 3.0))


def test_a_peer_that_fails_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    c = compare(Side("fast", RuntimeError("no such kernel"), 0.1), Side("slow", answer(Y), 5.0))
    assert c.ratios.keys() == {"slow"} and "without fast: no such kernel" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="broken"):
        Run([Side("engine", RuntimeError("broken"), 1.0)], {}, False, 2).compare("a:b")  # type: ignore[list-item]


def test_the_comparison_on_a_gpu_runs(cuda: str, tmp_path) -> None:
    """Every part, small and once: the simulator has no times, and there is nothing to compare with."""
    out = tmp_path / "cuda.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.cuda", "--quick", "--json", out],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    for part in ("products", "attention", "ops", "optimizer", "step"):
        assert report[part] and all(row["seconds"]["engine"] > 0 for row in report[part]), part
