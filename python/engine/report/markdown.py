"""The report of a run for people: what it says, as Markdown for files and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import amount
from engine.report.blocks import (
    Block,
    Figures,
    Heading,
    Items,
    Page,
    Picture,
    Sentence,
    Table,
    as_markdown,
    as_terminal,
)
from engine.report.words import figure_name

__all__ = ["format_evaluation", "format_report", "show_evaluation", "show_report"]

# The figures that come first, in this order.
_FIRST = (
    "accuracy", "f1", "precision", "recall", "subset_accuracy", "macro_f1", "micro_f1", "mean_average_precision", "mcc",
    "rmse", "mae", "r2", "pearson", "spearman", "perplexity", "loss",
)  # fmt: skip


def format_report(report: Mapping[str, Any]) -> str:
    """A run's report as Markdown. Its last line is the task's main figure on the test data or, without test data, on the held-out
    data."""
    blocks, headline = _report(report)
    curves = [Picture("curves", report["curves"])] if report.get("curves") else []
    return as_markdown([*blocks, *curves, *map(Sentence, headline)]) + "\n"


def show_report(report: Mapping[str, Any], place: str, page: Page) -> str:
    """A run's report for a terminal. Its last lines are `place`, a sentence that says where the files are, and, as in `format_report`,
    the main figure."""
    blocks, headline = _report(report)
    return as_terminal([*blocks, Sentence("\n".join([place, *headline]))], page) + "\n"


def format_evaluation(figures: Mapping[str, Any], per_class: bool = False) -> str:
    """An evaluation of any task as Markdown tables. per_class: also a table with the scores of each class."""
    return as_markdown(_evaluation(figures, per_class))


def show_evaluation(figures: Mapping[str, Any], metric: str, per_class: bool, page: Page) -> str:
    """An evaluation for a terminal. The last line is the figure `metric`."""
    main = Sentence(f"{figure_name(metric)} {figures[metric]:.4f}")
    return as_terminal([*_evaluation(figures, per_class), main], page) + "\n"


def _evaluation(figures: Mapping[str, Any], per_class: bool = False) -> list[Block]:
    cells = [("samples", str(figures["samples"]))] if "samples" in figures else []
    keys = dict.fromkeys((*_FIRST, *figures))
    keys.pop("mse", None)  # it is the loss of a regression
    cells += [(figure_name(key), f"{figures[key]:.4f}") for key in keys if isinstance(figures.get(key), float)]
    blocks: list[Block] = [Figures(cells), *map(Sentence, figures.get("remarks") or ())]
    if per_class and figures.get("classes"):
        rows = [
            (c["label"], f"{c['precision']:.4f}", f"{c['recall']:.4f}", f"{c['f1']:.4f}", str(c["support"]))
            for c in figures["classes"]
        ]
        blocks.append(Table(("class", "precision", "recall", "F1", "support"), rows))
    for column in figures.get("groups") or ():
        blocks += _groups(column)
    if figures.get("most_confused"):
        pairs = [
            (pair["true"], pair["predicted"], str(pair["count"]), f"{pair['share']:.0%}")
            for pair in figures["most_confused"]
        ]
        blocks += [Sentence("Most confused:"), Table(("true", "taken for", "times", "of its samples"), pairs)]
    return blocks


def _groups(column: Mapping[str, Any]) -> list[Block]:
    """The figures by the values of a column, with the gaps between them."""
    rows = [
        (g["group"], str(g["support"]), f"{g['accuracy']:.4f}", f"{g['accuracy_low']:.4f}–{g['accuracy_high']:.4f}",
         f"{g['macro_f1']:.4f}")
        for g in column["groups"]
    ]  # fmt: skip
    gaps = [f"{figure_name(gap['figure'])} {gap['gap']:.4f}" for gap in column["gaps"]]
    table = Table((column["column"], "samples", "accuracy", "95 % interval", "macro F1"), rows)
    return [table, Sentence(f"Gaps: {', '.join(gaps)}.")] if gaps else [table]


def _cleaning(found: Mapping[str, int]) -> list[str]:
    """What cleaning did, as an item of a list; no item if nothing was cleaned."""
    kinds = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in found.items() if kind != "rows_removed")
    return [f"cleaning: {kinds}; {found.get('rows_removed', 0)} training rows removed"] if kinds else []


def _report(report: Mapping[str, Any]) -> tuple[list[Block], list[str]]:
    """What a report says, and its last line; no line if there is no main figure."""
    training, data, environment = report["training"], report["data"], report["environment"]
    facts = [
        f"epochs: {training['epochs'] or 'less than one'}, steps: {training['steps']}",
        *_cleaning(data.get("cleaning") or {}),
        *(f"note: {note}" for note in data.get("notices") or ()),
        f"training: {training['seconds']:.1f} s, {training['tokens_per_second']:,.0f} tokens/s, "
        f"{training['samples_per_second']:,.0f} samples/s on {amount(environment['threads'], 'thread')} ({environment['cpu_isa']})",
        f"padding saved: {training['padding_saved']:.1%} of the cells of batches that are padded to their longest sequence",
        f"peak memory: {report['memory']['peak_resident_bytes'] / 2**20:,.0f} MiB resident, of which arrays "
        f"{report['memory']['peak_array_bytes'] / 2**20:,.0f} MiB",
    ]
    about = f"{data['description']}; {report['model']['description']}; seed {report['seed']}."
    blocks: list[Block] = [Heading("Training report", 1), Sentence(about), Items(facts)]
    metric, headline = str(report.get("metric")), []
    for key, title, name in (("held_out", "Held out", "held-out"), ("test", "Test", "test")):
        if key in report:
            blocks += [Heading(title), *_evaluation(report[key])]
            found = report[key].get(metric)
            headline = [] if found is None else [f"{name} {figure_name(metric)} {found:.4f}"]
    if report.get("advice"):
        blocks.append(Items(report["advice"]))
    return blocks, headline
