"""The sections of a report's page, each a string of HTML; empty if the report has nothing for it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import require
from engine.metrics import condense_confusion
from engine.report.html.svg import (
    attention_map,
    confusion_chart,
    curve_chart,
    escape,
    reliability_chart,
    scatter_chart,
)
from engine.report.html.tokens import coloured, readable
from engine.report.panels import curve_panels
from engine.report.words import figure_name, is_number

# The figures that come first, in this order.
_FIRST = (
    "f1", "accuracy", "subset_accuracy", "macro_f1", "micro_f1", "pearson", "spearman", "r2", "rmse", "mae", "perplexity",
    "mcc", "loss",
)  # fmt: skip
_TOKENS = 32  # how many tokens of a text attention maps show
_CLASSES = 20  # how many classes are shown before the others are folded away


def _number(value: Any, key: str = "") -> str:
    """A number as people read it; other values as they are."""
    if not is_number(value):
        return "–" if value is None else escape(value)
    if key.endswith("_bytes"):
        return f"{value / 2**20:,.0f} MiB"
    if isinstance(value, int | np.integer):
        return f"{value:,d}" if abs(value) >= 10_000 and key != "seed" else str(value)
    if not math.isfinite(value):
        return str(value)
    if key.endswith("seconds"):
        return f"{value:,.1f} s"
    if key == "padding_saved":
        return f"{value:.1%}"
    size = abs(value)
    form = ",.0f" if size >= 1000 else ".1f" if size >= 10 else ".4f" if size >= 1e-3 or not value else ".2e"
    return format(value, form)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1, kind: str = "") -> str:
    """Cells are HTML. The first `text` columns are aligned left; the others hold numbers and are aligned right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        number = f'<{tag} class="n">'
        return "".join(f"{number if i >= text else f'<{tag}>'}{cell}</{tag}>" for i, cell in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = f"<thead><tr>{cells('th', header)}</tr></thead>"
    return _scrolled(f'<table class="{kind}">{head}<tbody>{body}</tbody></table>')


def _scrolled(wide: str) -> str:
    """Something that may be wider than the page. Its edges show that there is more; arrow keys move it, too."""
    return f'<div class="scroll" tabindex="0">{wide}</div>'


def _facts(title: str, facts: Mapping[str, Any], exact: bool = False) -> str:
    """A small table of names and values. exact: numbers as they were given, not rounded."""
    shown = {key: str(value) if exact and value is not None else value for key, value in facts.items()}
    rows = "".join(
        f'<tr><td class="key">{escape(figure_name(key))}</td><td>{_number(value, key)}</td></tr>'
        for key, value in shown.items()
        if not isinstance(value, Mapping)
    )
    return f"<div><h3>{escape(title)}</h3>{_scrolled(f'<table>{rows}</table>')}</div>" if rows else ""


def _meter(share: float) -> str:
    return f'<span class="meter"><i style="width:{100 * min(max(share, 0), 1):.1f}%"></i></span>'


def _note(text: str) -> str:
    return f'<p class="note">{text}</p>'


def tiles(report: Mapping[str, Any], judged: Mapping[str, Any]) -> str:
    """The few numbers to see first."""
    of = "test" if report.get("test") else "held out"
    # Where accuracy is known each sample has one label, and micro F1 is the same number.
    keys = [key for key in _FIRST if is_number(judged.get(key)) and not (key == "micro_f1" and "accuracy" in judged)]
    shown = [(f"{of} {figure_name(key)}", _number(judged[key], key)) for key in keys[:4]]
    calibration = judged.get("calibration")
    if calibration:
        side, name = ("after", "ECE, scaled") if "after" in calibration else ("before", "ECE")
        shown.append((name, f"{calibration[side]['ece']:.3f}"))
    seconds, parameters = (report.get("training", {}).get("seconds"), report.get("model", {}).get("parameters"))
    if is_number(seconds):
        shown.append(("training", _number(seconds, "seconds")))
    if is_number(parameters):
        shown.append(("parameters", _short(parameters)))
    body = "".join(f'<div class="tile"><b>{value}</b><span>{escape(name)}</span></div>' for name, value in shown)
    return f'<div class="tiles">{body}</div>' if body else ""


def _short(count: float) -> str:
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def summary(report: Mapping[str, Any]) -> str:
    """Data, model and training in small tables, and what may give a better model."""
    parts = [("Data", "data"), ("Model", "model"), ("Training", "training"), ("Memory", "memory")]
    facts = {key: dict(report.get(key) or {}) for _, key in parts}
    if facts["training"].get("epochs") == 0:
        facts["training"]["epochs"] = "less than one"
    notes = "".join(_note(escape(notice)) for notice in facts["data"].pop("notices", None) or ())
    body = "".join(_facts(title, facts[key]) for title, key in parts)
    body += _facts("Cleaning", facts["data"].get("cleaning") or {})
    advice = "".join(_note(escape(sentence)) for sentence in report.get("advice") or ())
    return (f'<div class="columns">{body}</div>' if body else "") + notes + advice


def setup(report: Mapping[str, Any]) -> str:
    """Hyper-parameters, versions, seed, hashes of the data."""
    seed = {"seed": report["seed"]} if "seed" in report else {}
    environment = {**seed, **(report.get("environment") or {})}
    versions = environment.pop("versions", {})
    body = (
        _facts("Settings", report.get("settings") or {}, exact=True)
        + _facts("Versions", versions)
        + _facts("Environment", environment)
    )
    hashes = (report.get("data") or {}).get("sha256") or {}
    if hashes:
        rows = "".join(f'<tr><td>{escape(f)}</td><td class="hash">{escape(h)}</td></tr>' for f, h in hashes.items())
        body += f"<div><h3>Data, SHA-256</h3>{_scrolled(f'<table>{rows}</table>')}</div>"
    return f'<div class="columns">{body}</div>' if body else ""


def curves(records: Sequence[Mapping[str, Any]]) -> str:
    """Loss, held-out figures and learning rate over steps."""
    charts = "".join(curve_chart(panel) for panel in curve_panels(records))
    return f'<div class="columns">{charts}</div>' if charts else ""


def figures(report: Mapping[str, Any]) -> str:
    """All numbers of the evaluations side by side."""
    parts = [(title, report[key]) for key, title in (("held_out", "held out"), ("test", "test")) if report.get(key)]
    keys = dict.fromkeys(("samples", *_FIRST, *(key for _, part in parts for key in part)))
    shown = [key for key in keys if any(is_number(part.get(key)) for _, part in parts)]
    rows = [(escape(figure_name(key)), *(_number(part.get(key), key) for _, part in parts)) for key in shown]
    return _table(("", *(title for title, _ in parts)), rows) if rows else ""


def classes(judged: Mapping[str, Any]) -> str:
    """Scores of each class, the worst first. Of many classes, all but the worst are folded away."""
    rows = sorted(judged.get("classes") or (), key=lambda row: (row["f1"], str(row["label"])))
    body = ""
    if rows:
        first = ("label", "precision", "recall", "f1", "support")
        more = [key for key in rows[0] if key not in first and is_number(rows[0][key])]
        cells = [
            (
                escape(row["label"]), _meter(row["f1"]), f"{row['f1']:.3f}", f"{row['precision']:.3f}",
                f"{row['recall']:.3f}", *(_number(row[key]) for key in more), str(row["support"]),
            )
            for row in rows
        ]  # fmt: skip
        header = ("class", "", "F1", "precision", "recall", *map(escape, map(figure_name, more)), "support")
        body += _table(header, cells[:_CLASSES], text=2, kind="wide") + _note("Worst F1 first.")
        rest = cells[_CLASSES:]
        if rest:
            table = _table(header, rest, text=2, kind="wide")
            body += f"<details><summary>The other {len(rest)} of {len(cells)} classes</summary>{table}</details>"
    return body


def confusion(judged: Mapping[str, Any]) -> str:
    """The most confused pairs, and the confusion matrix; with many classes, only those with the most mistakes."""
    pairs = [
        (escape(p["true"]), escape(p["predicted"]), str(p["count"]), f"{p['share']:.0%}")
        for p in judged.get("most_confused") or ()
    ]
    body = _table(("true", "taken for", "times", "of its samples"), pairs, text=2) if pairs else ""
    if not judged.get("confusion"):
        return body
    labels = [str(label) for label in judged["confusion"]["labels"]]
    counts, names = condense_confusion(judged["confusion"]["counts"], labels, 40)
    note = "Blue is right, red is wrong. The colour shows the share of a row, the number counts samples."
    if len(names) < len(labels) or re.fullmatch(
        r"\(\d+ others\)", labels[-1]
    ):  # put together here, or at the evaluation
        note += " The classes with the most mistakes are drawn; all others are put together."
    title = "<h3>All mistakes</h3>" if body else ""
    return body + title + _scrolled(confusion_chart(counts, names)) + _note(note)


def points(judged: Mapping[str, Any]) -> str:
    """Predicted over true numbers of a regression."""
    pairs = judged.get("points") or {}
    true, predicted = pairs.get("true") or [], pairs.get("predicted") or []
    fits = len(true) == len(predicted)
    require(fits, "html_report", "points", f"as many predicted numbers as true ones ({len(true)})", len(predicted))
    return scatter_chart(true, predicted) + _note("Predictions on the dashed line are right.") if len(true) else ""


def calibration(figures: Mapping[str, Any] | None) -> str:
    """Reliability diagrams and the figures of calibration, before and after temperature scaling."""
    if not figures:
        return ""
    sides = [("before", "as trained")]
    if "after" in figures:
        sides.append(("after", f"scaled by T = {figures['temperature']:.3f}"))
    charts = "".join(
        f"<figure><figcaption>{title}</figcaption>"
        f"{reliability_chart(*(figures[key][name] for name in ('count', 'confidence', 'accuracy')))}</figure>"
        for key, title in sides
    )
    rows = [
        (name, *(f"{figures[key][figure]:.4f}" for key, _ in sides))
        for figure, name in (("ece", "expected calibration error"), ("brier", "Brier score"), ("loss", "loss"))
    ]
    note = (
        "A bar shows how many of the predictions with that probability are right. Where bars end at the dashed line, the "
        "probabilities are true. The calibration error is the mean distance from the line. Temperature scaling divides all "
        "logits by one number and changes no prediction."
    )
    table = _table(("", *(title for _, title in sides)), rows)
    return f'<div class="columns">{charts}{table}</div>' + _note(note)


def groups(columns: Sequence[Mapping[str, Any]]) -> str:
    """Figures by the values of columns of the data, and their gaps."""
    body = ""
    for column in columns:
        rates = ("error_rate", "macro_f1", "false_positive_rate", "false_negative_rate", "selection_rate")
        shown = [key for key in rates if any(row.get(key) is not None for row in column["groups"])]
        rows = []
        for row in column["groups"]:
            name = escape(row["group"]) if row["group"] else "<i>(empty)</i>"
            flag = ' <span class="badge">few samples</span>' if row.get("small") else ""
            interval = f"{row['accuracy_low']:.3f} – {row['accuracy_high']:.3f}"
            rest = ["–" if row.get(key) is None else f"{row[key]:.3f}" for key in shown]
            accuracy = f"{row['accuracy']:.3f}"
            rows.append((name + flag, _meter(row["accuracy"]), str(row["support"]), accuracy, interval, *rest))
        header = ("group", "", "samples", "accuracy", "95 % interval", *map(figure_name, shown))
        body += f"<h3>By {escape(column['column'])}</h3>" + _table(header, rows, text=2, kind="wide")
        gaps = [
            (
                escape(figure_name(g["figure"])),
                f"{g['gap']:.3f}",
                *(escape(g[end] or "(empty)") for end in ("lowest", "highest")),
            )
            for g in column["gaps"]
        ]
        if gaps:
            body += "<h3>Gaps</h3>" + _table(("figure", "gap", "lowest", "highest"), gaps)
    if body:
        body += _note(
            "A gap is the largest value minus the smallest. A group has few samples if its interval is wider than 0.2; such "
            "groups count only if there are fewer than two larger ones."
        )
    return body


def examples(rows: Sequence[Mapping[str, Any]]) -> str:
    """Texts with their true and predicted label, and what each token added to the prediction."""
    body = ""
    for row in rows:
        tokens, weights = row.get("tokens"), row.get("attributions")
        if tokens is not None and weights is not None:
            expected = f"an attribution for each of {len(tokens)} tokens"
            require(len(tokens) == len(weights), "html_report", "examples", expected, len(weights))
            text = coloured(tokens, weights)
        else:
            text = escape(row.get("text", readable(tokens or [])))
        verdict = [f"{key} <b>{_number(row[key])}</b>" for key in ("true", "predicted") if key in row]
        verdict += [f"{key} {row[key]:.3f}" for key in ("probability", "loss") if is_number(row.get(key))]
        verdict += [escape(row["where"])] if row.get("where") else []
        body += (
            f'<div class="example"><div class="text">{text}</div><div class="verdict">{" · ".join(verdict)}</div></div>'
        )
    if any(row.get("tokens") is not None and row.get("attributions") is not None for row in rows):
        body += _note(
            "Blue tokens raised the score of the predicted label, red tokens lowered it (integrated gradients). A stronger "
            "colour means a larger part."
        )
    return body


def attention(maps: Mapping[str, Any] | None) -> str:
    """What the tokens of one text attend to in each layer, as the mean of its heads."""
    if not maps:
        return ""
    weights, tokens = np.asarray(maps["weights"], dtype=np.float64), [str(t) for t in maps["tokens"]]
    n = len(tokens)
    fits = weights.ndim == 4 and weights.shape[2:] == (n, n)
    require(fits, "html_report", "attention", f"shape (layers, heads, {n}, {n})", weights.shape)
    shown = min(n, _TOKENS)
    charts = "".join(
        attention_map(layer.mean(0)[:shown, :shown], tokens[:shown], f"layer {i + 1}")
        for i, layer in enumerate(weights)
    )
    note = "Each row shows what one token attends to; the columns are the tokens. Values are means of a layer's heads."
    if shown < n:
        note += f" Only the first {shown} of {n} tokens are shown."
    return f'<div class="columns">{charts}</div>' + _note(note)
