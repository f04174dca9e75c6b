"""The report of a run for people, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.report.words import figure_name

__all__ = ["format_evaluation", "format_report"]

# The figures that come first, in this order.
_FIRST = (
    "accuracy", "f1", "precision", "recall", "subset_accuracy", "macro_f1", "micro_f1", "mean_average_precision", "mcc",
    "rmse", "mae", "r2", "pearson", "spearman", "perplexity", "loss",
)  # fmt: skip


def format_evaluation(figures: Mapping[str, Any], per_class: bool = False) -> str:
    """An evaluation of any task as Markdown tables. per_class: also a table with the scores of each class."""
    cells = [("samples", str(figures["samples"]))] if "samples" in figures else []
    keys = dict.fromkeys((*_FIRST, *figures))
    keys.pop("mse", None)  # it is the loss of a regression
    cells += [(figure_name(key), f"{figures[key]:.4f}") for key in keys if isinstance(figures.get(key), float)]
    widths = [max(len(name), 7 if name == "samples" else 6, len(value)) for name, value in cells]
    lines = [
        "| " + " | ".join(name.rjust(w) for (name, _), w in zip(cells, widths)) + " |",
        "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|",
        "| " + " | ".join(value.rjust(w) for (_, value), w in zip(cells, widths)) + " |",
    ]
    if figures.get("remarks"):
        lines += ["", *figures["remarks"]]
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
    gaps = [f"{figure_name(gap['figure'])} {gap['gap']:.4f}" for gap in column["gaps"]]
    last = ["", f"Gaps: {', '.join(gaps)}."] if gaps else []
    return [*_table((column["column"], "samples", "accuracy", "95 % interval", "macro F1"), rows), *last]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table with aligned columns. A column is on the right if all its cells begin with a digit."""
    cells = [tuple(" ".join(cell.split()).replace("|", "\\|") for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells)]
    right = [bool(rows) and all(row[i][:1].isdigit() for row in rows) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right)) + "|"
    return [line(header), rule, *map(line, cells)]


def _cleaning(found: Mapping[str, int]) -> list[str]:
    """What cleaning did, as a line of a list; no line if nothing was cleaned."""
    kinds = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in found.items() if kind != "rows_removed")
    return [f"- cleaning: {kinds}; {found.get('rows_removed', 0)} training rows removed"] if kinds else []


def format_report(report: Mapping[str, Any]) -> str:
    """A run's report as Markdown. Its last line is the task's main figure on the test data or, without test data, on the held-out
    data."""
    training, data, environment = report["training"], report["data"], report["environment"]
    lines = [
        "# Training report",
        "",
        f"{data['description']}; {report['model']['description']}; seed {report['seed']}.",
        "",
        f"- epochs: {training['epochs'] or 'less than one'}, steps: {training['steps']}",
        *_cleaning(data.get("cleaning") or {}),
        *(f"- note: {note}" for note in data.get("notices") or ()),
        f"- training: {training['seconds']:.1f} s, {training['tokens_per_second']:,.0f} tokens/s, "
        f"{training['samples_per_second']:,.0f} samples/s on {environment['threads']} threads ({environment['cpu_isa']})",
        f"- padding saved: {training['padding_saved']:.1%} of the cells of batches that are padded to their longest sequence",
        f"- peak memory: {report['memory']['peak_resident_bytes'] / 2**20:,.0f} MiB resident, of which arrays "
        f"{report['memory']['peak_array_bytes'] / 2**20:,.0f} MiB",
    ]
    metric, last = str(report.get("metric")), []
    for key, title, name in (("held_out", "Held out", "held-out"), ("test", "Test", "test")):
        if key in report:
            lines += ["", f"## {title}", "", format_evaluation(report[key])]
            last = ["", f"{name} {figure_name(metric)} {report[key][metric]:.4f}"] if metric in report[key] else []
    if report.get("advice"):
        lines += ["", *(f"- {sentence}" for sentence in report["advice"])]
    if report.get("curves"):
        lines += ["", f"![curves]({report['curves']})"]
    return "\n".join([*lines, *last]) + "\n"
