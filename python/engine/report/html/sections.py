"""The sections of a report's page, each a string of HTML; empty where the report has nothing for it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from engine.errors import BadValue
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
from engine.report.plots import curve_panels

_NAMES = {
    "macro_f1": "macro F1", "micro_f1": "micro F1", "mcc": "MCC", "f1": "F1", "r2": "R²", "mse": "MSE", "mae": "MAE",
    "rmse": "RMSE", "ece": "ECE", "subset_accuracy": "all labels right", "mean_average_precision": "mean AP",
    "train_samples": "training samples", "held_out_samples": "held-out samples",
    "seconds": "time", "peak_resident_bytes": "peak memory", "peak_array_bytes": "of it arrays",
}  # fmt: skip
_FIRST = (
    "f1", "accuracy", "subset_accuracy", "macro_f1", "micro_f1", "pearson", "spearman", "r2", "rmse", "mae", "perplexity",
    "mcc", "loss",
)  # fmt: skip
_TOKENS = 32  # of a text, that attention maps show


def _name(key: str) -> str:
    return _NAMES.get(key, key.replace("_", " "))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _number(value: Any, key: str = "") -> str:
    """A number as people read it; other values as they are."""
    if value is None:
        return "–"
    if not _is_number(value):
        return escape(value)
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
    if size >= 10:
        return f"{value:,.0f}" if size >= 1000 else f"{value:.1f}"
    return f"{value:.4f}" if size >= 1e-3 or not value else f"{value:.2e}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1, kind: str = "") -> str:
    """Cells are HTML; the first `text` columns stand left, the others are numbers and stand right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        number = f'<{tag} class="n">'
        return "".join(f"{number if i >= text else f'<{tag}>'}{cell}</{tag}>" for i, cell in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{cells("th", header)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _facts(title: str, facts: Mapping[str, Any], exact: bool = False) -> str:
    """A small table of names and values; exact: numbers as they were given."""
    rows = "".join(
        f'<tr><td class="key">{escape(_name(key))}</td><td>{escape(value) if exact and value is not None else _number(value, key)}</td></tr>'
        for key, value in facts.items()
        if not isinstance(value, Mapping)
    )
    return f"<div><h3>{escape(title)}</h3><table>{rows}</table></div>" if rows else ""


def _meter(share: float) -> str:
    return f'<span class="meter"><i style="width:{100 * min(max(share, 0), 1):.1f}%"></i></span>'


def _note(text: str) -> str:
    return f'<p class="note">{text}</p>'


def tiles(report: Mapping[str, Any], judged: Mapping[str, Any]) -> str:
    """The few numbers to see first."""
    of = "test" if report.get("test") else "held out"
    keys = [key for key in _FIRST if _is_number(judged.get(key))]
    if "accuracy" in keys and "micro_f1" in keys:
        keys.remove("micro_f1")  # the same number, with one label a sample
    keys = keys[:4]
    shown = [(f"{of} {_name(key)}", _number(judged[key], key)) for key in keys]
    calibration = judged.get("calibration")
    if calibration:
        side, name = ("after", "ECE, scaled") if "after" in calibration else ("before", "ECE")
        shown.append((name, f"{calibration[side]['ece']:.3f}"))
    if _is_number(report.get("training", {}).get("seconds")):
        shown.append(("training", _number(report["training"]["seconds"], "seconds")))
    if _is_number(report.get("model", {}).get("parameters")):
        shown.append(("parameters", _short(report["model"]["parameters"])))
    body = "".join(f'<div class="tile"><b>{value}</b><span>{escape(name)}</span></div>' for name, value in shown)
    return f'<div class="tiles">{body}</div>' if body else ""


def _short(count: float) -> str:
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def summary(report: Mapping[str, Any]) -> str:
    """Data, model and training in small tables."""
    parts = [("Data", "data"), ("Model", "model"), ("Training", "training"), ("Memory", "memory")]
    facts = {key: dict(report.get(key) or {}) for _, key in parts}
    if facts["training"].get("epochs") == 0:
        facts["training"]["epochs"] = "less than one"
    body = "".join(_facts(title, facts[key]) for title, key in parts)
    body += _facts("Cleaning", facts["data"].get("cleaning") or {})
    return f'<div class="columns">{body}</div>' if body else ""


def setup(report: Mapping[str, Any]) -> str:
    """Hyper-parameters, versions, seed, hashes of the data."""
    environment = dict(report.get("environment") or {})
    versions = environment.pop("versions", {})
    if "seed" in report:
        environment = {"seed": report["seed"], **environment}
    body = (
        _facts("Settings", report.get("settings") or {}, exact=True)
        + _facts("Versions", versions)
        + _facts("Environment", environment)
    )
    hashes = (report.get("data") or {}).get("sha256") or {}
    if hashes:
        rows = "".join(f'<tr><td>{escape(f)}</td><td class="hash">{escape(h)}</td></tr>' for f, h in hashes.items())
        body += f'<div><h3>Data, SHA-256</h3><div class="scroll"><table>{rows}</table></div></div>'
    return f'<div class="columns">{body}</div>' if body else ""


def curves(records: Sequence[Mapping[str, Any]]) -> str:
    """Loss, held-out figures and learning rate over steps."""
    charts = "".join(curve_chart(panel) for panel in curve_panels(records))
    return f'<div class="columns">{charts}</div>' if charts else ""


def figures(report: Mapping[str, Any]) -> str:
    """All numbers of the evaluations side by side."""
    parts = [(title, report[key]) for key, title in (("held_out", "held out"), ("test", "test")) if report.get(key)]
    found = [key for _, part in parts for key, value in part.items() if _is_number(value)]
    order = {key: i for i, key in enumerate(("samples", *_FIRST))}
    keys = sorted(dict.fromkeys(found), key=lambda key: order.get(key, len(order)))
    rows = [(escape(_name(key)), *(_number(part.get(key), key) for _, part in parts)) for key in keys]
    return _table(("", *(title for title, _ in parts)), rows) if rows else ""


def classes(judged: Mapping[str, Any]) -> str:
    """Scores of each class, the worst first, and the most confused pairs."""
    rows = judged.get("classes") or ()
    body = ""
    if rows:
        first = ("label", "precision", "recall", "f1", "support")
        more = [key for key in rows[0] if key not in first and _is_number(rows[0][key])]
        ordered = sorted(rows, key=lambda row: (row["f1"], str(row["label"])))
        cells = [
            (
                escape(row["label"]), _meter(row["f1"]), f"{row['f1']:.3f}", f"{row['precision']:.3f}",
                f"{row['recall']:.3f}", *(_number(row[key]) for key in more), str(row["support"]),
            )
            for row in ordered
        ]  # fmt: skip
        header = ("class", "", "F1", "precision", "recall", *map(escape, map(_name, more)), "support")
        body += _table(header, cells, text=2, kind="wide") + _note("Worst F1 first.")
    if judged.get("most_confused"):
        pairs = [
            (escape(p["true"]), escape(p["predicted"]), str(p["count"]), f"{p['share']:.0%}")
            for p in judged["most_confused"]
        ]
        body += "<h3>Most confused</h3>" + _table(("true", "taken for", "times", "of its samples"), pairs, text=2)
    return body


def confusion(judged: Mapping[str, Any]) -> str:
    """The confusion matrix; of many classes, those with the most mistakes."""
    if not judged.get("confusion"):
        return ""
    labels = [str(label) for label in judged["confusion"]["labels"]]
    counts, names = condense_confusion(judged["confusion"]["counts"], labels, 40)
    note = "Blue: right; red: mistakes. Colour: the share of a row; numbers: samples."
    if len(names) < len(labels) or re.fullmatch(r"\(\d+ others\)", labels[-1]):  # here, or when the run was judged
        note += " The classes with the most mistakes are drawn, the others are put together."
    return f'<div class="scroll">{confusion_chart(counts, names)}</div>' + _note(note)


def points(judged: Mapping[str, Any]) -> str:
    """Predicted over true numbers of a regression."""
    pairs = judged.get("points") or {}
    true, predicted = pairs.get("true") or [], pairs.get("predicted") or []
    if len(true) != len(predicted):
        raise BadValue("html_report", "points", "as many predicted as true", f"{len(predicted)}, {len(true)}")
    return scatter_chart(true, predicted) + _note("On the dashed line a prediction is right.") if len(true) else ""


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
        "Bars: the share that is right among predictions of that probability; on the dashed line probabilities can be "
        "believed. The calibration error is the mean distance from it. Temperature scaling divides logits by one number and "
        "changes no prediction."
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
            share = f"{row['accuracy']:.3f}"
            rest = ["–" if row.get(key) is None else f"{row[key]:.3f}" for key in shown]
            rows.append((name + flag, _meter(row["accuracy"]), str(row["support"]), share, interval, *rest))
        header = ("group", "", "samples", "accuracy", "95 % interval", *map(_name, shown))
        body += f"<h3>By {escape(column['column'])}</h3>" + _table(header, rows, text=2, kind="wide")
        gaps = [
            (
                escape(_name(g["figure"])),
                f"{g['gap']:.3f}",
                escape(g["lowest"] or "(empty)"),
                escape(g["highest"] or "(empty)"),
            )
            for g in column["gaps"]
        ]
        if gaps:
            body += "<h3>Gaps</h3>" + _table(("figure", "gap", "lowest", "highest"), gaps)
    if body:
        body += _note(
            "A gap is the largest less the smallest value. Groups of few samples, whose interval is wider than 0.2, count "
            "only where there are no two others."
        )
    return body


def examples(rows: Sequence[Mapping[str, Any]]) -> str:
    """Texts with their true and predicted label, and what each token added to the prediction."""
    body = ""
    explained = False
    for row in rows:
        tokens, weights = row.get("tokens"), row.get("attributions")
        if tokens is not None and weights is not None:
            if len(tokens) != len(weights):
                raise BadValue(
                    "html_report", "examples", f"an attribution for each of {len(tokens)} tokens", len(weights)
                )
            explained = True
            text = coloured(tokens, weights)
        else:
            text = escape(row.get("text", readable(tokens or [])))
        verdict = [
            f"{name} <b>{_number(row[key])}</b>"
            for key, name in (("true", "true"), ("predicted", "predicted"))
            if key in row
        ]
        if _is_number(row.get("probability")):
            verdict.append(f"probability {row['probability']:.3f}")
        if _is_number(row.get("loss")):
            verdict.append(f"loss {row['loss']:.3f}")
        body += (
            f'<div class="example"><div class="text">{text}</div><div class="verdict">{" · ".join(verdict)}</div></div>'
        )
    if explained:
        body += _note(
            "Colour: what a token added to the score of the predicted label (blue) or took from it (red), by integrated "
            "gradients; the darkest token of each text has the largest part."
        )
    return body


def attention(maps: Mapping[str, Any] | None) -> str:
    """Where the tokens of one text look, in each layer, as a mean of its heads."""
    if not maps:
        return ""
    weights, tokens = np.asarray(maps["weights"], dtype=np.float64), [str(t) for t in maps["tokens"]]
    n = len(tokens)
    if weights.ndim != 4 or weights.shape[2:] != (n, n):
        raise BadValue("html_report", "attention", f"shape (layers, heads, {n}, {n})", weights.shape)
    shown = min(n, _TOKENS)
    charts = "".join(
        attention_map(layer.mean(0)[:shown, :shown], tokens[:shown], f"layer {i + 1}")
        for i, layer in enumerate(weights)
    )
    note = "Each row is a token that looks, each column one that it looks at; the mean of a layer's heads."
    if shown < n:
        note += f" The first {shown} of {n} tokens."
    return f'<div class="columns">{charts}</div>' + _note(note)
