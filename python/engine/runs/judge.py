"""Judging a finished run: its figures on held-out and test data, calibration, groups, the worst mistakes, and its report's files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.inference.explain import attention_of, explain_examples
from engine.inference.predictor import Predictor
from engine.metrics import fit_temperature
from engine.metrics.evaluation import worst_examples
from engine.report.html import html_report
from engine.report.plots import plot_confusion, plot_curves, plot_reliability
from engine.runs.facts import memory_facts
from engine.runs.runfolder import read_run
from engine.runs.textdata import TextData
from engine.serialization import write_json, write_text
from engine.tasks import Table
from engine.text import TextDataset, TextTable
from engine.train.callbacks import read_log
from engine.train.config import TrainerConfig

__all__ = ["judge_run", "write_report"]


def judge_run(
    predictor: Predictor,
    tables: Mapping[str, Table],
    datasets: Mapping[str, TextDataset],
    data: TextData,
    settings: TrainerConfig,
) -> dict[str, Any]:
    """The parts of a report that need the model: "held_out", "test", "examples", "attention" (of the worst), "memory".

    The temperature of the calibration is fitted on the held-out texts, and tried on the test texts.
    """
    task = predictor.task
    report: dict[str, Any] = {}
    temperature = None
    for name in ("held_out", "test"):
        if name not in tables:
            continue
        table, dataset = tables[name], datasets[name]
        logits = predictor.dataset_logits(dataset, settings.eval_batch_size)
        detail: dict[str, Any] = {}
        if task.name == "classification":
            if name == "held_out":
                temperature = fit_temperature(logits, task.targets(table))
            groups = {c: table.columns[c] for c in data.group_columns} if isinstance(table, TextTable) else {}
            detail = {"detail": True, "temperature": temperature, "groups": groups}
        report[name] = task.report(table, dataset, logits, **detail)
        if task.name == "classification":
            worst = worst_examples(task.texts(table), task.targets(table), logits, task.labels.names)
            report["examples"] = explain_examples(
                worst, predictor.model, dataset, predictor.tokenizer, task.labels.names
            )
            if worst:
                report["attention"] = attention_of(predictor.model, dataset, predictor.tokenizer, worst[0]["index"])
    report["memory"] = memory_facts()
    return report


def write_report(report: dict[str, Any], folder: Path, text: Callable[[Mapping[str, Any]], str]) -> dict[str, Any]:
    """Writes report.json, report.md (what `text` makes of it), report.html and the pictures, where matplotlib is installed; the
    report as written. The attention goes into the page alone: it is large."""
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
        report["curves"] = None  # the report's figures need no picture
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", text(report))
    run = read_run(folder)
    start = run.get("start") or {}
    hashes = {**run["data"].get("sha256", {}), **start.get("sha256", {})}
    page = {
        "title": folder.resolve().name,
        "created": run.get("created"),
        **report,
        "settings": {**run["trainer"], **_started(run)},
        "data": {**report["data"], "sha256": hashes},
        "log": records,
        "attention": attention,
    }
    html_report(page, folder / "report.html")
    return report


def _started(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the model began with, without what is off and what only `--resume` reads."""
    return {k: v for k, v in run.get("start", {}).items() if v and k not in ("sha256", "absolute")}
