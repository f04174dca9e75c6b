"""A run's report as one HTML file: summary, curves, figures, classes, confusion, calibration, groups, examples, attention.

Every key of the report is optional; a section appears if its keys are there. `report.json` of a training run is such a report.

| key | what it holds |
|---|---|
| title, task, created, seed | a heading, what was learned, when, the seed |
| data | numbers by name, such as train_samples, and sha256: {file: hash} |
| model, training, memory | numbers and words by name |
| advice | sentences on what may give a better model |
| settings | hyper-parameters by name |
| environment | versions: {package: version}, and words by name |
| log | the records of log.jsonl (`read_log`), for the curves |
| examples | [{text, true, predicted, loss, probability, where, tokens: [n], attributions: [n], delta}]; where: its file and line; the last four may be missing |
| attention | {tokens: [n], weights: (layers, heads, n, n)} |
| held_out, test | figures of an evaluation: numbers by name, and the keys below |

| key of held_out and test | what it holds |
|---|---|
| classes | [{label, precision, recall, f1, support, and further numbers}], of classes, labels, or types of spans |
| most_confused | [{true, predicted, count, share}] |
| confusion | {labels: [n], counts: (n, n)}: a row for each true class, a column for each predicted one |
| points | {true: [n], predicted: [n]}, of a regression |
| calibration | `metrics.calibration_figures` |
| groups | [`metrics.group_figures`], one a column |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.report.html import sections
from engine.report.html.svg import escape
from engine.serialization import write_text

__all__ = ["html_report", "render_report"]

_TITLES = {
    "summary": "Summary", "curves": "Curves", "figures": "Figures", "classes": "Classes", "confusion": "Confusion",
    "points": "Predictions", "calibration": "Calibration", "groups": "Groups", "examples": "Highest loss",
    "attention": "Attention", "setup": "How to reproduce",
}  # fmt: skip
# The browser fetches nothing, whatever the texts of the data hold.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render_report(report: Mapping[str, Any]) -> str:
    """The page as a string. `python -m pydoc engine.report.html.page` shows the keys of a report.

    Raises ValueError for parts whose shapes do not fit together.
    """
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    judged = report.get("test") or report.get("held_out") or {}
    bodies = {
        "summary": sections.summary(report),
        "curves": sections.curves(report.get("log") or ()),
        "figures": sections.figures(report),
        "classes": sections.classes(judged),
        "confusion": sections.confusion(judged),
        "points": sections.points(judged),
        "calibration": sections.calibration(judged.get("calibration")),
        "groups": sections.groups(judged.get("groups") or ()),
        "examples": sections.examples(report.get("examples") or ()),
        "attention": sections.attention(report.get("attention")),
        "setup": sections.setup(report),
    }
    there = [(name, body) for name, body in bodies.items() if body]
    title = str(report.get("title") or "Training report")
    about = " · ".join(str(report[key]) for key in ("task", "created") if report.get(key))
    nav = "".join(f'<a href="#{name}">{_TITLES[name]}</a>' for name, _ in there)
    main = "".join(f'<section id="{name}"><h2>{_TITLES[name]}</h2>{body}</section>' for name, body in there)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{style}</style></head>\n<body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(about)}</p></header>{sections.tiles(report, judged)}"
        f"<nav>{nav}</nav>\n{main}\n<footer>Made by engine.</footer></main></body></html>\n"
    )


def html_report(report: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write the page of a report (see `render_report`), completely or not at all. Returns the path.

    Raises OSError if the file cannot be written, ValueError for parts whose shapes do not fit together.
    """
    write_text(path, render_report(report))
    return Path(path)
