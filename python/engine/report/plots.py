"""Pictures of a run with matplotlib (extra `plot`): curves, a confusion matrix, a reliability diagram."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import not_installed
from engine.files import replace_file
from engine.metrics import condense_confusion
from engine.report.fonts import fonts_for
from engine.report.panels import curve_panels
from engine.report.words import shortened, text_width

__all__ = ["plot_confusion", "plot_curves", "plot_reliability"]

_LABEL = 32  # letters of a label that are drawn
_DPI = 130


def plot_curves(records: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> Path:
    """Draw loss, held-out figures and learning rate over steps from the records of a log (`read_log`). Returns the path.

    Raises ImportError if matplotlib is missing (extra `plot`).
    """
    figure_type = _figure_type("plot_curves")
    panels = curve_panels(records)
    fonts = fonts_for([panel.title for panel in panels] + [curve[0] for panel in panels for curve in panel.curves])
    columns = min(3, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = figure_type(figsize=(3.7 * columns, 3.6 * rows), layout="constrained", dpi=_DPI)
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1)
        for name, steps, values, marked in panel.curves:
            axes.plot(steps, values, "o-" if marked else "-", label=fonts.drawable(name), ms=4, lw=1.2)
        axes.set(xlabel="step")
        axes.set_title(fonts.drawable(panel.title), fontfamily=fonts.families, parse_math=False)
        axes.grid(alpha=0.3)
        if panel.title in ("loss", "held out"):  # below the panel: inside, it would cover some run's curve
            style = {"prop": {"family": fonts.families, "size": "small"}, "frameon": False}
            legend = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, **style)
            for text in legend.get_texts():
                text.set_parse_math(False)  # a "$" in a name is a dollar
    if fonts.note:
        figure.supxlabel(fonts.note, fontsize=7)
    return _save(figure, path)


def plot_confusion(
    confusion: np.ndarray, labels: Sequence[str], path: str | os.PathLike[str], max_classes: int = 40
) -> Path:
    """Draw a confusion matrix: integers (classes, classes), a row for each true class, a column for each predicted one. Colour is
    the share of a row, blue where the prediction is right and red where it is wrong; numbers are counts. Returns the path.

    With more than max_classes classes, those with the most mistakes are drawn and the others put together. Raises
    ImportError if matplotlib is missing (extra `plot`), ValueError for a matrix that does not fit the labels.
    """
    figure_type = _figure_type("plot_confusion")
    counts, names = condense_confusion(confusion, labels, max_classes)
    fonts = fonts_for(names)
    n = len(names)
    names = [shortened(fonts.drawable(name), _LABEL) for name in names]
    cell = 0.5 if n <= 8 else 0.3 if n <= 20 else 0.24
    side = max(cell * n, 1.6) + 0.9 + 0.085 * max(map(text_width, names), default=0)
    figure = figure_type(figsize=(side, side), layout="constrained", dpi=_DPI)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(_colours(shares), interpolation="nearest")
    size = 9 if n <= 20 else 7
    for i, j in np.argwhere(counts):
        text = str(counts[i, j])
        fits = min(size, cell * 72 * 0.9 / (0.62 * len(text)))  # a digit is 0.62 of the font's size wide
        colour = "white" if shares[i, j] > (0.45 if i == j else 0.3) else "black"
        axes.text(j, i, text, ha="center", va="center", fontsize=fits, color=colour)
    for ticks, rotation in ((axes.set_xticks, 90), (axes.set_yticks, 0)):
        for label in ticks(range(n), names, fontsize=size, fontfamily=fonts.families, rotation=rotation):
            label.label1.set_parse_math(False)  # a "$" in a label is a dollar
        ticks(np.arange(n - 1) + 0.5, minor=True)
    axes.set(xlabel="predicted", ylabel="true")
    axes.grid(which="minor", color="0.85", lw=0.5)
    axes.tick_params(which="both", length=0)
    if fonts.note:
        figure.supxlabel(fonts.note, fontsize=7)
    return _save(figure, path)


def plot_reliability(calibration: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Draw how often predictions of each confidence are right, before and after temperature scaling, from
    `metrics.calibration_figures`. Returns the path.

    Raises ImportError if matplotlib is missing (extra `plot`).
    """
    figure_type = _figure_type("plot_reliability")
    sides = [key for key in ("before", "after") if key in calibration]
    figure = figure_type(figsize=(3.6 * len(sides) + 0.4, 4.0), layout="constrained", dpi=_DPI)
    for i, key in enumerate(sides):
        side = calibration[key]
        count, right, sure = (np.array(side[name]) for name in ("count", "accuracy", "confidence"))
        some, width = count > 0, 1 / len(count)
        left = np.arange(len(count))[some] * width
        axes = figure.add_subplot(1, len(sides), i + 1)
        axes.bar(left, right[some], width, align="edge", color="#3a76c4", edgecolor="white")
        axes.plot([0, 1], [0, 1], color="0.4", lw=1, ls="--")
        axes.plot(sure[some], right[some], "o", ms=3.5, color="#c43a3a")
        title = "as trained" if key == "before" else f"scaled by T = {calibration['temperature']:.2f}"
        axes.set(
            title=f"{title}: ECE {side['ece']:.3f}",
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
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns of fonts, such as Chinese ones, without a weight called normal
    kind = Path(path).suffix[1:] or "png"
    try:
        replace_file(path, lambda temporary: figure.savefig(temporary, format=kind), "plot")
    finally:
        log.setLevel(level)
    return Path(path)


def _colours(shares: np.ndarray) -> np.ndarray:
    """RGB (n, n, 3): from white to blue on the diagonal, to red off it. Small shares of mistakes are drawn stronger, to be seen."""
    strength = np.sqrt(shares)
    np.fill_diagonal(strength, np.diag(shares))
    full = np.where(np.eye(len(shares), dtype=bool)[..., None], (0.10, 0.33, 0.62), (0.70, 0.09, 0.09))
    return np.asarray(1 - strength[..., None] * (1 - full))
