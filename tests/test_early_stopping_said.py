"""A training that ended early says so, and after which step it was best."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, run_engine, write_texts


@pytest.mark.parametrize(
    ("patience", "evaluations"), [(1, "the last evaluation was"), (2, "the last 2 evaluations were")]
)
def test_early_stopping_is_said(tmp_path, patience, evaluations):
    data = write_texts(tmp_path / "a.csv", 3)
    settings = (*SCRATCH, "--epochs", "9", "--lr", "1e-9", "--early-stopping", patience)
    out = run_engine("train", data, *settings, "-o", tmp_path / "run")
    report = json.loads((tmp_path / "run/report.json").read_text())["training"]
    said = f"Early stopping ended the training after {report['steps']} of"
    assert said in out and evaluations in out and f"of step {report['best_step']}, whose weights are kept" in out
    for name in ("report.md", "report.html"):
        assert said in (tmp_path / "run" / name).read_text()
    out = run_engine("train", data, *SCRATCH, "--epochs", "2", "--early-stopping", "9", "-o", tmp_path / "whole")
    assert "Early stopping" not in out
