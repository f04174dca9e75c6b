"""Pictures of a run with matplotlib (extra `plot`): curves, a confusion matrix, a reliability diagram."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.errors import not_installed
from engine.metrics import condense_confusion
from engine.report.fonts import Fonts, fonts_for

__all__ = ["Panel", "curve_panels", "plot_confusion", "plot_curves", "plot_reliability"]

_NOT_FIGURES = {"event", "step", "epoch", "loss", "seconds", "samples", "tokens"}
_DISTANCES = {"mse", "rmse", "mae", "perplexity"}
_NAMES = {"macro_f1": "macro F1", "micro_f1": "micro F1", "mcc": "MCC", "f1": "F1", "r2": "R²"}
_LABEL = 32  # letters of a label that are drawn
_DPI = 130


class Panel(NamedTuple):
    """A diagram over steps: its title, and (name, steps, values, whether to mark each point) of its curves."""

    title: str
    curves: list[tuple[str, list[float], list[float], bool]]


def curve_panels(records: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """What is worth drawing of the records of a log (`read_log`): loss, held-out figures of any name, learning rate.

    Figures within -1 … 1 share a panel; errors and what is larger have their own. A figure that repeats another is left out.
    """
    train = [r for r in records if r["event"] == "train"]
    held_out = [r for r in records if r["event"] == "eval"]

    def curve(rows: list[Mapping[str, Any]], key: str, name: str, marked: bool) -> Any:
        points = [(r["step"], r[key]) for r in rows if _is_number(r.get(key))]
        return name, [float(p[0]) for p in points], [float(p[1]) for p in points], marked

    seen = [curve(held_out, "loss", "held out", True)]
    shares: list[Any] = []
    others: list[Panel] = []
    for key in dict.fromkeys(key for r in held_out for key in r):
        if key in _NOT_FIGURES or key.endswith("_per_second"):
            continue
        drawn = curve(held_out, key, _NAMES.get(key, key.replace("_", " ")), True)
        if not drawn[2] or any(drawn[1:3] == other[1:3] for other in seen):
            continue
        seen.append(drawn)
        if key in _DISTANCES or max(map(abs, drawn[2])) > 1:
            others.append(Panel(drawn[0], [drawn]))
        else:
            shares.append(drawn)
    panels = [
        Panel("loss", [curve(train, "loss", "training (with dropout)", False), seen[0]]),
        Panel("held out", shares),
        *others,
        Panel("learning rate", [curve(train, "lr", "learning rate", False)]),
    ]
    panels = [Panel(p.title, [c for c in p.curves if c[1]]) for p in panels]
    return [p for p in panels if p.curves]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def plot_curves(records: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> Path:
    """Draw loss, held-out figures and learning rate over steps from the records of a log (`read_log`).

    Raises ImportError if matplotlib is missing (extra `plot`).
    """
    figure_type = _figure_type("plot_curves")
    panels = curve_panels(records)
    columns = min(3, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = figure_type(figsize=(3.7 * columns, 3.6 * rows), layout="constrained", dpi=_DPI)
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1)
        for name, steps, values, marked in panel.curves:
            axes.plot(steps, values, "o-" if marked else "-", label=name, ms=4, lw=1.2)
        axes.set(title=panel.title, xlabel="step")
        axes.grid(alpha=0.3)
        if panel.title in ("loss", "held out"):  # below the panel: within, it would cover some run's curve
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize="small", frameon=False)
    return _save(figure, path)


def plot_confusion(
    confusion: np.ndarray, labels: Sequence[str], path: str | os.PathLike[str], max_classes: int = 40
) -> Path:
    """Draw a confusion matrix, integers (classes, classes) with rows true and columns predicted: shares of a row in colour,
    hits in blue and mistakes in red, counts as numbers.

    With more than max_classes classes the ones with the most mistakes are drawn and the others put together. Raises
    ImportError if matplotlib is missing (extra `plot`), ValueError for a matrix that does not fit the labels.
    """
    figure_type = _figure_type("plot_confusion")
    counts, names = condense_confusion(confusion, labels, max_classes)
    fonts = fonts_for(names)
    n = len(names)
    names = [_shortened(fonts.drawable(name)) for name in names]
    cell = 0.5 if n <= 8 else 0.3 if n <= 20 else 0.24
    margin = 0.3 + 0.085 * max((_width(name) for name in names), default=0)
    side = max(cell * n, 1.6)
    figure = figure_type(figsize=(side + margin + 0.6, side + margin + 0.6), layout="constrained", dpi=_DPI)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(_colours(shares), interpolation="nearest")
    size = 9 if n <= 20 else 7
    for i in range(n):
        for j in range(n):
            if counts[i, j]:
                dark = shares[i, j] > (0.45 if i == j else 0.3)
                digits = len(str(counts[i, j]))
                fits = min(size, cell * 72 * 0.9 / (0.62 * digits))  # a digit is 0.62 of the font's size wide
                axes.text(
                    j, i, str(counts[i, j]), ha="center", va="center", fontsize=fits, color="white" if dark else "black"
                )
    for ticks, rotation in ((axes.set_xticks, 90), (axes.set_yticks, 0)):
        for text in ticks(range(n), names, fontsize=size, fontfamily=fonts.families, rotation=rotation):
            text.label1.set_parse_math(False)  # a "$" in a label is a dollar
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_xticks(np.arange(n - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(n - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="0.85", lw=0.5)
    axes.tick_params(which="both", length=0)
    _add_note(figure, fonts)
    return _save(figure, path)


def plot_reliability(calibration: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Draw how often predictions of each confidence are right, before and after temperature scaling, from
    `metrics.calibration_figures`.

    Raises ImportError if matplotlib is missing (extra `plot`).
    """
    figure_type = _figure_type("plot_reliability")
    sides = [
        (title, calibration[key])
        for key, title in (("before", "as trained"), ("after", "scaled"))
        if key in calibration
    ]
    figure = figure_type(figsize=(3.6 * len(sides) + 0.4, 4.0), layout="constrained", dpi=_DPI)
    for i, (title, side) in enumerate(sides):
        axes = figure.add_subplot(1, len(sides), i + 1)
        count, bins = np.array(side["count"]), len(side["count"])
        some = count > 0
        left = np.arange(bins) / bins
        axes.bar(
            left[some], np.array(side["accuracy"])[some], 1 / bins, align="edge", color="#3a76c4", edgecolor="white"
        )
        axes.plot([0, 1], [0, 1], color="0.4", lw=1, ls="--")
        axes.plot(np.array(side["confidence"])[some], np.array(side["accuracy"])[some], "o", ms=3.5, color="#c43a3a")
        scaled = f" by T = {calibration['temperature']:.2f}" if title == "scaled" else ""
        axes.set(
            title=f"{title}{scaled}: ECE {side['ece']:.3f}",
            xlabel="probability of the predicted class", ylabel="share that is right",
            xlim=(0, 1), ylim=(0, 1), aspect="equal",
        )  # fmt: skip
    return _save(figure, path)


def _figure_type(op: str) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise not_installed(op, "matplotlib", "plot") from error
    return Figure


def _save(figure: Any, path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    log.setLevel(logging.ERROR)  # it tells of fonts, such as Chinese ones, that have no weight called normal
    try:
        figure.savefig(target)
    finally:
        log.setLevel(level)
    return target


def _colours(shares: np.ndarray) -> np.ndarray:
    """(n, n, 3): white to blue on the diagonal, white to red off it; small shares of mistakes are raised to be seen."""
    strength = np.sqrt(shares)
    np.fill_diagonal(strength, np.diag(shares))
    full = np.empty((*shares.shape, 3))
    full[:] = (0.70, 0.09, 0.09)
    full[np.arange(len(shares)), np.arange(len(shares))] = (0.10, 0.33, 0.62)
    return 1 - strength[..., None] * (1 - full)


def _width(text: str) -> int:
    """Width in letters: characters past U+1100 (Chinese, Japanese, Korean) are about two wide."""
    return sum(1 + (ord(c) >= 0x1100) for c in text)


def _shortened(text: str) -> str:
    """The beginning and the end of a long label: names of classes differ in either."""
    if _width(text) <= _LABEL:
        return text
    keep = len(text) - 1
    while _width(text[: keep - keep // 3] + text[len(text) - keep // 3 :]) >= _LABEL:
        keep -= 1
    return text[: keep - keep // 3] + "…" + text[len(text) - keep // 3 :]


def _add_note(figure: Any, fonts: Fonts) -> None:
    if fonts.note:
        figure.supxlabel(fonts.note, fontsize=7)
