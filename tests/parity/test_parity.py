"""engine agrees with PyTorch on at least as much as before: PyTorch's own test inputs, and scripts in its style.

The floors are in floors.json. Whoever raises them runs `python -m tests.parity floors` and commits the file.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is the oracle")

from . import floors

# PyTorch's test inputs warn of what they do on purpose, and its files of what they import.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("measure", floors.MEASURES)
def test_nothing_fell(measure: str) -> None:
    now = floors.reached(floors.run(measure, limit=floors.limit_of("quick", measure)))
    assert floors.fallen(floors.read()["quick"][measure], now) == []


@pytest.mark.long
@pytest.mark.parametrize("measure", floors.MEASURES)
def test_nothing_fell_in_all_samples(measure: str) -> None:
    now = floors.reached(floors.run(measure))
    assert floors.fallen(floors.read()["long"][measure], now) == []


@pytest.mark.long
@pytest.mark.parametrize("measure", floors.MEASURES)
def test_pytorch_agrees_with_itself(measure: str) -> None:
    tally = floors.run(measure, engine="torch")
    assert tally.total_agreed == tally.total > 0
    assert not tally.faults


def test_the_harness_sees_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value, a wrong gradient, a missing argument and an error not raised are found and told apart."""
    import engine

    def wrong(input, other, *, alpha=1):
        return input + other * (1.001 * alpha)

    monkeypatch.setattr(engine, "add", wrong)
    kinds = {(stage, kind) for _, stage, kind in floors.run("opinfo", only="add").faults}
    assert ("forward", "value") in kinds
    monkeypatch.setattr(engine, "mul", lambda input, other: input.detach() * other)
    kinds = {(stage, kind) for _, stage, kind in floors.run("opinfo", only="mul").faults}
    assert ("gradient", "missing gradient") in kinds
    monkeypatch.setattr(engine, "sum", lambda input, dim=None: input.sum(dim))
    kinds = {kind for _, _, kind in floors.run("opinfo", only="sum").faults}
    assert "missing argument: keepdim" in kinds
    monkeypatch.setattr(engine, "bmm", lambda input, mat2: engine.zeros(()))
    kinds = {(stage, kind) for _, stage, kind in floors.run("opinfo", only="bmm").faults}
    assert {("forward", "shape"), ("errors", "error not raised")} & kinds


def test_a_floor_is_missed_in_words() -> None:
    floor = {"agree": 5, "exist": 2, "whole": "add mul"}
    assert floors.fallen(floor, floor) == []
    assert floors.fallen(floor, {"agree": 4, "exist": 2, "whole": "mul sub"}) == [
        "samples that agree: 5 before, 4 now",
        "agreed in all samples before, and do not now: add",
    ]
