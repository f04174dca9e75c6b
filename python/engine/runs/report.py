"""The files of a run's report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.report import format_report, html_report, plot_confusion, plot_curves, plot_reliability
from engine.runs.folder import read_run
from engine.serialization import write_json, write_text
from engine.train import read_log

__all__ = ["write_report"]


def write_report(report: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Writes report.json, report.md, report.html and, if matplotlib is installed, the pictures. Returns the report as written.
    The attention is only in report.html, because it is large."""
    attention = report.pop("attention", None)
    records = read_log(folder / "log.jsonl")
    judged = report.get("test") or report.get("held_out") or {}
    try:
        report["curves"] = plot_curves(records, folder / "curves.png").name
        if "confusion" in judged:
            confusion = judged["confusion"]
            plot_confusion(np.array(confusion["counts"]), confusion["labels"], folder / "confusion.png")
        if judged.get("calibration"):
            plot_reliability(judged["calibration"], folder / "reliability.png")
    except ImportError:
        report["curves"] = None  # matplotlib is missing; the report has the figures
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", format_report(report))
    run = read_run(folder)
    start = run.get("start") or {}
    hashes = {**run.get("data", {}).get("sha256", {}), **start.get("sha256", {})}
    page = {
        "title": folder.resolve().name,
        "created": run.get("created"),
        **report,
        "settings": {**run["trainer"], **run.get("task", {}), **_started(run)},
        "data": {**report["data"], "sha256": hashes},
        "log": records,
        "attention": attention,
    }
    html_report(page, folder / "report.html")
    return report


def _started(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the model started from, without settings that are off and entries that only a resume reads."""
    return {k: v for k, v in run.get("start", {}).items() if v and k not in ("sha256", "absolute")}
