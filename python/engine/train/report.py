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
    ClassScores,
    average_precision,
    calibration_figures,
    classification_metrics,
    condense_confusion,
    confusion_matrix,
    group_figures,
    most_confused,
    multilabel_decisions,
    multilabel_metrics,
    multilabel_scores,
    precision_recall_fscore_support,
    regression_metrics,
    softmax,
)
from engine.train.plots import plot_curves

__all__ = [
    "environment",
    "evaluation",
    "format_evaluation",
    "format_report",
    "multilabel_evaluation",
    "memory_facts",
    "model_facts",
    "peak_memory_bytes",
    "plot_curves",
    "regression_evaluation",
    "training_facts",
    "worst_examples",
]


def evaluation(
    y_true: np.ndarray,
    logits: np.ndarray,
    labels: Sequence[str],
    confused: int = 10,
    *,
    detail: bool = False,
    temperature: float | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Everything worth knowing of one evaluation, fit for JSON: figures, scores of each class, most confused pairs.

    detail: also the confusion matrix (of the 40 classes with the most mistakes) and the calibration, the latter also after
    scaling by `temperature`; groups: columns of the data by name, for figures by their values.
    """
    predicted = logits.argmax(-1) if logits.size else np.zeros(0, np.int64)
    scores = precision_recall_fscore_support(y_true, predicted, len(labels))
    confusion = confusion_matrix(y_true, predicted, len(labels))
    figures: dict[str, Any] = {
        "samples": len(y_true),
        **classification_metrics(y_true, logits),
        "classes": _rows(scores, labels),
        "most_confused": [asdict(pair) for pair in most_confused(confusion, labels, confused)],
    }
    if detail:
        counts, names = condense_confusion(confusion, labels)
        figures["confusion"] = {"labels": names, "counts": counts.tolist()}
        figures["calibration"] = calibration_figures(logits, y_true, temperature)
    if groups:
        figures["groups"] = [group_figures(y_true, predicted, v, name, len(labels)) for name, v in groups.items()]
    return figures


def _rows(scores: ClassScores, labels: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "precision": float(scores.precision[i]),
            "recall": float(scores.recall[i]),
            "f1": float(scores.f1[i]),
            "support": int(scores.support[i]),
        }
        for i, label in enumerate(labels)
    ]


def multilabel_evaluation(
    y_true: np.ndarray, logits: np.ndarray, labels: Sequence[str], threshold: float = 0.5
) -> dict[str, Any]:
    """As `evaluation`, of a multi-label classifier: y_true 0/1 and logits, both (n, labels)."""
    rows = _rows(multilabel_scores(y_true, multilabel_decisions(logits, threshold)), labels)
    for row, precision in zip(rows, average_precision(y_true, logits)):
        row["average_precision"] = float(precision)
    return {"samples": len(y_true), **multilabel_metrics(y_true, logits, threshold), "classes": rows}


def regression_evaluation(y_true: np.ndarray, y_pred: np.ndarray, points: int = 1500) -> dict[str, Any]:
    """As `evaluation`, of a regression: numbers (n,) or (n, 1); with at most `points` pairs to draw, evenly chosen."""
    figures = regression_metrics(y_true, y_pred)
    true, predicted = np.ravel(y_true), np.ravel(y_pred)
    chosen = np.linspace(0, len(true) - 1, min(points, len(true))).round().astype(np.int64)
    drawn = {"true": true[chosen].tolist(), "predicted": predicted[chosen].tolist()}
    return {"samples": len(true), **figures, "points": drawn}


def worst_examples(
    texts: Sequence[str], y_true: np.ndarray, logits: np.ndarray, labels: Sequence[str], k: int = 10
) -> list[dict[str, Any]]:
    """The k samples of the largest loss, largest first, as `html_report` shows them; "index" is the sample's row."""
    if not len(texts) == len(y_true) == len(logits):
        raise ValueError(
            f"[worst_examples] texts: expected as many as labels and logits, got {len(texts)}, {len(y_true)}, {len(logits)}"
        )
    if not len(texts):
        return []
    p = softmax(logits)
    rows, chosen = np.arange(len(texts)), p.argmax(1)
    x = np.asarray(logits, np.float64)
    x = x - x.max(1, keepdims=True)
    loss = np.log(np.exp(x).sum(1)) - x[rows, y_true]
    return [
        {
            "index": int(i),
            "text": texts[i],
            "true": labels[int(y_true[i])],
            "predicted": labels[int(chosen[i])],
            "probability": float(p[i, chosen[i]]),
            "loss": float(loss[i]),
        }
        for i in np.argsort(-loss, kind="stable")[:k]
    ]


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


def model_facts(model: Any) -> dict[str, Any]:
    """The sizes of a model, for its report."""
    config = model.config
    return {
        "layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "heads": config.num_attention_heads,
        "vocab_size": config.vocab_size,
        "parameters": model.num_parameters(),
    }


def training_facts(state: Any) -> dict[str, Any]:
    """How long a training took, for its report; state: a `TrainerState`."""
    return {
        "epochs": state.epoch,
        "steps": state.step,
        "seconds": state.seconds,
        "tokens": state.tokens,
        "tokens_per_second": state.tokens / max(state.seconds, 1e-9),
        "samples_per_second": state.samples / max(state.seconds, 1e-9),
        "padding_saved": 1 - state.tokens / max(state.padded_tokens, 1),
        "best_step": state.best_step,
    }


def memory_facts() -> dict[str, int]:
    """The largest memory that this process has had, in bytes."""
    return {
        "peak_resident_bytes": peak_memory_bytes(),
        "peak_array_bytes": _core.memory_stats()["peak_allocated_bytes"],
    }


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


_COLUMNS = {
    "accuracy": "accuracy", "f1": "F1", "precision": "precision", "recall": "recall", "subset_accuracy": "all labels right",
    "macro_f1": "macro F1", "micro_f1": "micro F1", "mean_average_precision": "mean AP", "mcc": "MCC", "rmse": "RMSE",
    "mae": "MAE", "r2": "R²", "pearson": "Pearson", "spearman": "Spearman", "perplexity": "perplexity", "loss": "loss",
}  # fmt: skip


# What says most of a task comes first: F1 of spans (beside the accuracy of tags), accuracy of classes, and so on.
_MAIN = ("f1", "accuracy", "micro_f1", "pearson", "perplexity", "loss")


def format_evaluation(figures: Mapping[str, Any], per_class: bool = False) -> str:
    """An evaluation, of any task, as Markdown tables."""
    cells = [("samples", str(figures["samples"]))]
    cells += [(name, f"{figures[key]:.4f}") for key, name in _COLUMNS.items() if key in figures]
    widths = [max(len(name), 7 if name == "samples" else 6, len(value)) for name, value in cells]
    lines = [
        "| " + " | ".join(name.rjust(w) for (name, _), w in zip(cells, widths)) + " |",
        "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|",
        "| " + " | ".join(value.rjust(w) for (_, value), w in zip(cells, widths)) + " |",
    ]
    if per_class and figures.get("classes"):
        rows = [
            (c["label"], f"{c['precision']:.4f}", f"{c['recall']:.4f}", f"{c['f1']:.4f}", str(c["support"]))
            for c in figures["classes"]
        ]
        lines += ["", *_table(("class", "precision", "recall", "F1", "support"), rows)]
    for column in figures.get("groups") or ():
        lines += ["", *_groups(column)]
    if figures.get("most_confused"):
        pairs = [
            (pair["true"], pair["predicted"], str(pair["count"]), f"{pair['share']:.0%}")
            for pair in figures["most_confused"]
        ]
        lines += ["", "Most confused:", "", *_table(("true", "taken for", "times", "of its samples"), pairs)]
    return "\n".join(lines)


def _groups(column: Mapping[str, Any]) -> list[str]:
    """The figures by the values of a column, with the gaps between them."""
    rows = [
        (g["group"], str(g["support"]), f"{g['accuracy']:.4f}", f"{g['accuracy_low']:.4f}–{g['accuracy_high']:.4f}",
         f"{g['macro_f1']:.4f}")
        for g in column["groups"]
    ]  # fmt: skip
    gaps = [f"{gap['figure'].replace('_', ' ')} {gap['gap']:.4f}" for gap in column["gaps"]]
    last = ["", f"Gaps: {', '.join(gaps)}."] if gaps else []
    return [*_table((column["column"], "samples", "accuracy", "95 % interval", "macro F1"), rows), *last]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns line up; all but the leading text columns are to the right."""
    cells = [tuple(" ".join(cell.split()).replace("|", "\\|") for cell in row) for row in rows]
    widths = [max(len(row[i]) for row in [header, *cells]) for i in range(len(header))]
    right = [bool(rows) and all(row[i][:1].isdigit() for row in rows) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right)) + "|"
    return [line(header), rule, *map(line, cells)]


def _cleaning(found: Mapping[str, int]) -> list[str]:
    """What cleaning did, as a line of a list."""
    kinds = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in found.items() if kind != "rows_removed")
    return [f"- cleaning: {kinds}; {found.get('rows_removed', 0)} training rows removed"] if kinds else []


def format_report(report: Mapping[str, Any]) -> str:
    """A run's report as Markdown; its very last line is the test accuracy, or what says most where that says little; without a test
    the held-out one."""
    training, model, data = report["training"], report["model"], report["data"]
    lines = [
        "# Training report",
        "",
        f"{data['train_samples']} training texts, {data['held_out_samples']} held out, {data['labels']} labels; "
        f"{model['layers']} layers of {model['hidden_size']}, {model['heads']} heads, "
        f"{model['parameters']:,} parameters, vocabulary of {model['vocab_size']:,}; seed {report['seed']}.",
        "",
        f"- epochs: {training['epochs'] or 'less than one'}, steps: {training['steps']}",
        *_cleaning(data.get("cleaning") or {}),
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
    for name, title in (("test", "test"), ("held_out", "held-out")):
        first = next((key for key in _MAIN if key in report.get(name, {})), None)
        if first is not None:
            lines += ["", f"{title} {_COLUMNS[first]} {report[name][first]:.4f}"]
            break
    return "\n".join(lines) + "\n"
