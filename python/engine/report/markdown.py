"""The report of a run for people, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["format_evaluation", "format_report"]

_COLUMNS = {
    "accuracy": "accuracy", "f1": "F1", "precision": "precision", "recall": "recall", "subset_accuracy": "all labels right",
    "macro_f1": "macro F1", "micro_f1": "micro F1", "mean_average_precision": "mean AP", "mcc": "MCC", "rmse": "RMSE",
    "mae": "MAE", "r2": "R²", "pearson": "Pearson", "spearman": "Spearman", "perplexity": "perplexity", "loss": "loss",
}  # fmt: skip


def format_evaluation(figures: Mapping[str, Any], per_class: bool = False) -> str:
    """An evaluation, of any task, as Markdown tables."""
    cells = [("samples", str(figures["samples"]))] if "samples" in figures else []
    others = [key for key in figures if key not in _COLUMNS and key != "mse"]  # which is the loss of a regression
    names = {**_COLUMNS, **{key: key.replace("_", " ") for key in others}}
    cells += [(name, f"{figures[key]:.4f}") for key, name in names.items() if isinstance(figures.get(key), float)]
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
    """A run's report as Markdown. Its very last line is the task's main figure on the test data; without such data on the held-out
    data."""
    training, data, environment = report["training"], report["data"], report["environment"]
    lines = [
        "# Training report",
        "",
        f"{data['description']}; {report['model']['description']}; seed {report['seed']}.",
        "",
        f"- epochs: {training['epochs'] or 'less than one'}, steps: {training['steps']}",
        *_cleaning(data.get("cleaning") or {}),
        f"- training: {training['seconds']:.1f} s, {training['tokens_per_second']:,.0f} tokens/s, "
        f"{training['samples_per_second']:,.0f} samples/s on {environment['threads']} threads ({environment['cpu_isa']})",
        f"- padding saved: {training['padding_saved']:.1%} of the cells of batches that are padded to their longest sequence",
        f"- peak memory: {report['memory']['peak_resident_bytes'] / 2**20:,.0f} MiB resident, "
        f"{report['memory']['peak_array_bytes'] / 2**20:,.0f} MiB of it arrays",
    ]
    judged = [(name, title) for name, title in (("held_out", "Held out"), ("test", "Test")) if name in report]
    for name, title in judged:
        lines += ["", f"## {title}", "", format_evaluation(report[name])]
    if report.get("curves"):
        lines += ["", f"![curves]({report['curves']})"]
    metric = str(report.get("metric"))
    if judged and metric in report[judged[-1][0]]:
        title = {"test": "test", "held_out": "held-out"}[judged[-1][0]]
        lines += ["", f"{title} {_COLUMNS.get(metric, metric)} {report[judged[-1][0]][metric]:.4f}"]
    return "\n".join(lines) + "\n"
