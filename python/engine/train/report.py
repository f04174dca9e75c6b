"""What a training run was worth: figures as JSON, and the same for people as Markdown."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

import engine
from engine import _core
from engine.tensor import device as Device
from engine.train.metrics import (
    classification_metrics,
    confusion_matrix,
    most_confused,
    precision_recall_fscore_support,
)
from engine.train.plots import plot_curves

__all__ = ["environment", "evaluation", "format_evaluation", "format_report", "peak_memory_bytes", "plot_curves"]


def evaluation(y_true: np.ndarray, logits: np.ndarray, labels: Sequence[str], confused: int = 10) -> dict[str, Any]:
    """Everything worth knowing of one evaluation, fit for JSON: figures, scores of each class, most confused pairs."""
    predicted = logits.argmax(-1)
    scores = precision_recall_fscore_support(y_true, predicted, len(labels))
    return {
        "samples": len(y_true),
        **classification_metrics(y_true, logits),
        "classes": [
            {
                "label": label,
                "precision": float(scores.precision[i]),
                "recall": float(scores.recall[i]),
                "f1": float(scores.f1[i]),
                "support": int(scores.support[i]),
            }
            for i, label in enumerate(labels)
        ],
        "most_confused": [
            asdict(pair) for pair in most_confused(confusion_matrix(y_true, predicted, len(labels)), labels, confused)
        ],
    }


def peak_memory_bytes() -> int:
    """The largest resident set that this process has had."""
    try:  # of this program alone; getrusage also remembers the program that started it
        with open("/proc/self/status", encoding="ascii") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def environment(device: Device | None = None) -> dict[str, Any]:
    """Versions and settings that the figures of a run depend on; device: where it ran, named where it is not the CPU."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"engine": engine.__version__, "python": platform.python_version()}
    for package in ("numpy", "safetensors", "tokenizers"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    about = {
        "versions": versions,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu_isa": _core.get_cpu_isa(),
        "threads": _core.get_num_threads(),
    }
    if device is not None and device.type == "cuda":
        about["device"] = f"{device}, {engine.cuda.get_device_name(device)}"
    return about


def format_evaluation(figures: Mapping[str, Any], per_class: bool = False) -> str:
    """An evaluation as Markdown tables."""
    lines = [
        f"| {'samples':>7} | accuracy | macro F1 | micro F1 |    MCC |   loss |",
        "|--------:|---------:|---------:|---------:|-------:|-------:|",
        f"| {figures['samples']:7d} | {figures['accuracy']:8.4f} | {figures['macro_f1']:8.4f} | "
        f"{figures['micro_f1']:8.4f} | {figures['mcc']:6.4f} | {figures['loss']:6.4f} |",
    ]
    if per_class:
        rows = [
            (c["label"], f"{c['precision']:.4f}", f"{c['recall']:.4f}", f"{c['f1']:.4f}", str(c["support"]))
            for c in figures["classes"]
        ]
        lines += ["", *_table(("class", "precision", "recall", "F1", "support"), rows)]
    if figures["most_confused"]:
        pairs = [
            (pair["true"], pair["predicted"], str(pair["count"]), f"{pair['share']:.0%}")
            for pair in figures["most_confused"]
        ]
        lines += ["", "Most confused:", "", *_table(("true", "taken for", "times", "of its samples"), pairs)]
    return "\n".join(lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns line up; all but the leading text columns are to the right."""
    cells = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    widths = [max(len(row[i]) for row in [header, *cells]) for i in range(len(header))]
    right = [bool(rows) and all(row[i][:1].isdigit() for row in rows) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right)) + "|"
    return [line(header), rule, *map(line, cells)]


def format_report(report: Mapping[str, Any]) -> str:
    """A run's report as Markdown; a test accuracy is its very last line."""
    training, model, data = report["training"], report["model"], report["data"]
    lines = [
        "# Training report",
        "",
        f"{data['train_samples']} training texts, {data['held_out_samples']} held out, {data['labels']} labels; "
        f"{model['layers']} layers of {model['hidden_size']}, {model['heads']} heads, "
        f"{model['parameters']:,} parameters, vocabulary of {model['vocab_size']:,}; seed {report['seed']}.",
        "",
        f"- epochs: {training['epochs']}, steps: {training['steps']}",
        f"- training: {training['seconds']:.1f} s, {training['tokens_per_second']:,.0f} tokens/s, "
        f"{training['samples_per_second']:,.0f} texts/s on {report['environment']['threads']} threads "
        f"({report['environment']['cpu_isa']})",
        f"- padding saved: {training['padding_saved']:.1%} of the cells that batches padded to their longest text hold",
        f"- peak memory: {report['memory']['peak_resident_bytes'] / 2**20:,.0f} MiB resident, "
        f"{report['memory']['peak_array_bytes'] / 2**20:,.0f} MiB of it arrays",
    ]
    for name, title in (("held_out", "Held out"), ("test", "Test")):
        if name in report:
            lines += ["", f"## {title}", "", format_evaluation(report[name])]
    if report.get("curves"):
        lines += ["", f"![curves]({report['curves']})"]
    if "test" in report:
        lines += ["", f"test accuracy {report['test']['accuracy']:.4f}"]
    return "\n".join(lines) + "\n"
