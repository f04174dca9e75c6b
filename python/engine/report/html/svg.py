"""Charts as SVG inside a page. Fonts and colours are those of the page's style sheet, for both its light and its dark form."""

from __future__ import annotations

import base64
import html
import math
import struct
import unicodedata
import zlib
from collections.abc import Sequence

import numpy as np

from engine.errors import amount
from engine.report.panels import Panel
from engine.report.words import shortened, text_width

__all__ = ["attention_map", "confusion_chart", "curve_chart", "escape", "reliability_chart", "scatter_chart"]


def escape(text: object) -> str:
    """The text made safe for any place in a page; control characters and lone surrogates become U+FFFD."""
    shown = "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else "\ufffd" for c in str(text))
    return html.escape(shown, quote=True)


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers between low and high."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    step = 10 ** math.floor(math.log10(raw))
    step *= next(f for f in (1, 2, 5, 10) if f * step >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _frame(
    width: int, height: int, x: tuple[float, float], y: tuple[float, float], xlabel: str, ylabel: str = ""
) -> tuple[list[str], tuple[float, float, float, float]]:
    """Grid, ticks and names of the axes, and the numbers (a, b, c, d) that place a point at (a + b·x, c + d·y)."""
    left, bottom, top, right = 52 if ylabel else 40, 38, 8, 10
    b = (width - left - right) / ((x[1] - x[0]) or 1)
    d = -(height - top - bottom) / ((y[1] - y[0]) or 1)
    a, c = left - b * x[0], height - bottom - d * y[0]
    parts = []
    for v in _ticks(*y):
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{c + d * v:.1f}" y2="{c + d * v:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{c + d * v + 4:.1f}" text-anchor="end">{_tick(v)}</text>')
    for v in _ticks(*x):
        parts.append(f'<text x="{a + b * v:.1f}" y="{height - bottom + 16}" text-anchor="middle">{_tick(v)}</text>')
    parts.append(f'<path class="axis" d="M{left} {top}V{height - bottom}H{width - right}"/>')
    middle = (left + width - right) / 2
    parts.append(f'<text x="{middle:.0f}" y="{height - 4}" text-anchor="middle">{escape(xlabel)}</text>')
    if ylabel:
        at = (top + height - bottom) / 2
        parts.append(
            f'<text transform="translate(12 {at:.0f}) rotate(-90)" text-anchor="middle">{escape(ylabel)}</text>'
        )
    return parts, (a, b, c, d)


def _svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def curve_chart(panel: Panel) -> str:
    """A panel of curves over steps, with its legend below."""
    xs = [v for curve in panel.curves for v in curve[1]]
    ys = [v for curve in panel.curves for v in curve[2]]
    low, high = min(ys), max(ys)
    pad = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    low = 0.0 if 0 <= low < 0.4 * high else low - pad
    span = (min(xs), max(xs)) if max(xs) > min(xs) else (xs[0] - 1, xs[0] + 1)  # puts a single point in the middle
    parts, (a, b, c, d) = _frame(300, 220, span, (low, high + pad), "step")
    for i, (name, steps, values, marked) in enumerate(panel.curves):
        points = [(a + b * x, c + d * y) for x, y in _thinned(steps, values)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="curve s{i % 6}" points="{path}"><title>{escape(name)}</title></polyline>')
        if marked or len(points) == 1:  # a line of one point would be invisible
            parts += [f'<circle class="f{i % 6}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in points]
    legend = "".join(f'<span><i class="f{i % 6}"></i>{escape(c[0])}</span>' for i, c in enumerate(panel.curves))
    return (
        f"<figure><figcaption>{escape(panel.title)}</figcaption>{_svg(300, 220, parts, panel.title)}"
        f'<div class="legend">{legend if len(panel.curves) > 1 else ""}</div></figure>'
    )


def _thinned(steps: Sequence[float], values: Sequence[float], limit: int = 400) -> list[tuple[float, float]]:
    """(step, value) of at most `limit` points; of more, the means of neighbours."""
    block = -(-len(steps) // limit)
    return [
        (float(np.mean(steps[i : i + block])), float(np.mean(values[i : i + block])))
        for i in range(0, len(steps), block)
    ]


def reliability_chart(count: Sequence[int], confidence: Sequence[float], accuracy: Sequence[float]) -> str:
    """A bar for the share that is right in each bin, with a dot at the bin's mean probability; the diagonal is the ideal."""
    parts, (a, b, c, d) = _frame(290, 280, (0, 1), (0, 1), "probability of the predicted class", "share that is right")
    bins = len(count)
    for i, (n, p, right) in enumerate(zip(count, confidence, accuracy)):
        if n:
            about = f"<title>{amount(n, 'sample')}: probability {p:.3f}, {right:.3f} right</title>"
            x, y, w = a + b * i / bins, c + d * right, b / bins
            parts.append(
                f'<rect class="f0" fill-opacity="0.55" x="{x + 0.5:.1f}" y="{y:.1f}" width="{w - 1:.1f}" '
                f'height="{max(0.0, -d * right):.1f}">{about}</rect>'
            )
            parts.append(f'<circle class="f1" cx="{a + b * p:.1f}" cy="{y:.1f}" r="3">{about}</circle>')
    parts.append(f'<line class="axis" stroke-dasharray="4 4" x1="{a}" y1="{c}" x2="{a + b:.1f}" y2="{c + d:.1f}"/>')
    return _svg(290, 280, parts, "reliability diagram")


def scatter_chart(true: Sequence[float], predicted: Sequence[float], limit: int = 1500) -> str:
    """Predicted over true numbers; the diagonal is a perfect prediction. Of more than `limit` points, an even choice is drawn."""
    chosen = np.linspace(0, len(true) - 1, min(limit, len(true))).round().astype(int)
    x, y = np.asarray(true, float)[chosen], np.asarray(predicted, float)[chosen]
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    pad = (high - low) * 0.04 or 1.0
    box = (low - pad, high + pad)
    parts, (a, b, c, d) = _frame(380, 360, box, box, "true", "predicted")
    ends = [(a + b * v, c + d * v) for v in box]
    parts.append(
        f'<line class="axis" stroke-dasharray="4 4" x1="{ends[0][0]:.1f}" y1="{ends[0][1]:.1f}" '
        f'x2="{ends[1][0]:.1f}" y2="{ends[1][1]:.1f}"/>'
    )
    parts += [
        f'<circle class="f0" fill-opacity="0.45" cx="{a + b * u:.1f}" cy="{c + d * v:.1f}" r="3"/>'
        for u, v in zip(x, y)
    ]
    return _svg(380, 360, parts, "predicted over true numbers")


def _widest(names: Sequence[str]) -> float:
    """About how many pixels the widest label takes, whose font has 11 pixels."""
    return 6.6 * max(map(text_width, names), default=0)


def confusion_chart(counts: np.ndarray, labels: Sequence[str]) -> str:
    """A confusion matrix (n, n): a row for each true class, a column for each predicted one; colours show shares of a row, numbers
    are counts."""
    n = len(labels)
    names = [shortened(label, 26) for label in labels]
    left = 30 + _widest(names)
    cell = 46 if n <= 8 else 28 if n <= 20 else 22
    cell = max(16, min(cell, int((960 - left) / max(n, 1))))  # the page is 960 wide
    width, height = left + n * cell + 10, 8 + n * cell + left
    total = np.maximum(counts.sum(1), 1)
    parts = [
        f'<path class="grid" d="M{left:.0f} {8 + i * cell}h{n * cell}M{left + i * cell:.0f} 8v{n * cell}"/>'
        for i in range(n + 1)
    ]
    for i, j in np.argwhere(counts):
        share = counts[i, j] / total[i]
        strength = share if i == j else math.sqrt(share)  # small shares of mistakes are drawn stronger, to be seen
        x, y = left + j * cell, 8 + i * cell
        about = f"{escape(labels[i])} → {escape(labels[j])}: {counts[i, j]} ({share:.1%})"
        size = min(12, cell * 0.92 / (0.6 * len(str(counts[i, j]))))
        parts.append(
            f'<rect class="{"hit" if i == j else "miss"}" fill-opacity="{max(0.06, strength):.2f}" x="{x:.0f}" y="{y}" '
            f'width="{cell}" height="{cell}"><title>{about}</title></rect>'
            f'<text class="{"on" if strength > 0.5 else "off"}" style="font-size:{size:.1f}px" x="{x + cell / 2:.1f}" '
            f'y="{y + cell / 2 + 4:.1f}" text-anchor="middle" pointer-events="none">{counts[i, j]}</text>'
        )
    for i, (name, label) in enumerate(zip(names, labels)):
        middle, below = i * cell + cell / 2 + 4, 8 + n * cell + 8
        hover = f"<title>{escape(label)}</title>"
        parts.append(
            f'<text class="label" x="{left - 6:.0f}" y="{8 + middle:.1f}" text-anchor="end">{escape(name)}{hover}</text>'
            f'<text class="label" transform="translate({left + middle:.1f} {below}) rotate(-90)" text-anchor="end">'
            f"{escape(name)}{hover}</text>"
        )
    parts.append(f'<text transform="translate(12 {8 + n * cell / 2:.0f}) rotate(-90)" text-anchor="middle">true</text>')
    parts.append(f'<text x="{left + n * cell / 2:.0f}" y="{height - 6:.0f}" text-anchor="middle">predicted</text>')
    return _svg(width, height, parts, "confusion matrix")


def attention_map(weights: np.ndarray, tokens: Sequence[str], title: str) -> str:
    """Probabilities (n, n) as a picture with its tokens: row i shows what token i attends to."""
    n, cell = len(tokens), 15
    names = [shortened(token, 14) for token in tokens]
    left = 10 + _widest(names)
    side = n * cell
    parts = [
        f'<image x="{left:.0f}" y="{left:.0f}" width="{side}" height="{side}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="{_png(weights)}"/>',
        f'<rect class="axis" x="{left:.0f}" y="{left:.0f}" width="{side}" height="{side}"/>',
    ]
    for i, name in enumerate(names):
        at = left + i * cell + cell / 2 + 4
        parts.append(f'<text class="label" x="{left - 4:.0f}" y="{at:.1f}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<text class="label" transform="translate({at:.1f} {left - 4:.0f}) rotate(-90)">{escape(name)}</text>'
        )
    return f"<figure><figcaption>{escape(title)}</figcaption>{_svg(left + side + 4, left + side + 4, parts, title)}</figure>"


def _png(shares: np.ndarray) -> str:
    """A matrix of numbers in [0, 1] as a PNG in a data URL: a pixel each, in one colour, opaque at 1."""
    h, w = shares.shape
    pixels = np.empty((h, w, 4), np.uint8)
    pixels[..., :3] = 47, 111, 201
    pixels[..., 3] = np.rint(255 * np.sqrt(np.clip(shares, 0, 1)))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", w, h, 8, 6, 0, 0, 0)
    picture = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(picture).decode()
