"""Pictures: nothing overlaps, every character is drawn or said not to be, figures of any name have a curve."""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest

from engine.metrics import calibration_figures, condense_confusion
from engine.report import fonts, plot_confusion, plot_curves, plot_reliability
from engine.report.panels import curve_panels

CHINESE = ["体育新闻", "财经", "娱乐"]


def confused(classes: int, each: int = 20) -> np.ndarray:
    rng = np.random.default_rng(classes)
    matrix = np.diag(np.full(classes, each))
    matrix[rng.integers(0, classes, 2 * classes), rng.integers(0, classes, 2 * classes)] += 1
    return matrix


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were written."""
    figure_type = pytest.importorskip("matplotlib.figure").Figure
    figures, savefig = [], figure_type.savefig
    monkeypatch.setattr(figure_type, "savefig", lambda self, *a, **k: (figures.append(self), savefig(self, *a, **k)))
    return figures


@pytest.mark.parametrize("classes", [1, 2, 9, 40, 150])
def test_labels_of_a_confusion_matrix_do_not_overlap(tmp_path, drawn, classes):
    labels = [f"a rather long name of the class number {i}" for i in range(classes)]
    path = plot_confusion(confused(classes), labels, tmp_path / "confusion.png")
    assert path.read_bytes()[:4] == b"\x89PNG"
    (axes,) = drawn[0].axes
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert len(ticks) == min(classes, 40)
        boxes = [text.get_window_extent() for text in ticks]
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))
        assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= drawn[0].bbox.x1 + 1 for box in boxes)
    cell = axes.transData.transform((1, 0))[0] - axes.transData.transform((0, 0))[0]
    assert all(text.get_window_extent().width <= cell for text in axes.texts)


def test_condensed_confusion_keeps_the_worst_and_loses_nothing():
    matrix = np.diag(np.full(6, 10))
    matrix[1, 4] = 7
    matrix[5, 0] = 1
    counts, names = condense_confusion(matrix, list("abcdef"), 3)
    assert names == ["b", "e", "(4 others)"]
    assert counts.tolist() == [[10, 7, 0], [0, 10, 0], [0, 0, 41]]
    assert condense_confusion(matrix, list("abcdef"), 6)[1] == list("abcdef")
    with pytest.raises(ValueError, match=r"confusion: expected shape \(2, 2\), got \(6, 6\)"):
        condense_confusion(matrix, ["a", "b"])
    with pytest.raises(ValueError, match="limit: expected at least 2"):
        condense_confusion(matrix, list("abcdef"), 1)


def test_characters_that_no_font_has_become_a_box_and_a_note(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(fonts, "_families", lambda: ["DejaVu Sans"])  # as where no other font is installed
    monkeypatch.setattr(fonts, "_add_new_fonts", lambda: None)
    found = fonts.fonts_for(["plain", "财"])
    assert found.missing == {"财"} and found.drawable("a财\n\ue000$") == "a□  $"
    assert "fonts-noto-cjk" in found.note and fonts.fonts_for(["plain"]).note == ""
    assert "fonts-noto-core" not in found.note and "fonts-noto-core" in fonts.fonts_for(["हिन्दी"]).note
    assert len(fonts.fonts_for(["日本語 한국어 हिन्दी ไทย"]).note.splitlines()) == 3
    plot_confusion(confused(2), ["$x 财", "$y"], tmp_path / "c.png")  # a warning would be an error
    assert [text.get_text() for text in drawn[0].axes[0].get_yticklabels()] == ["$x □", "$y"]
    assert "no installed font" in drawn[0].get_supxlabel()
    records = [{"event": "eval", "step": 1, "loss": 1.0, "F1 财 $x": 0.5, "其他": 3.0}]
    plot_curves(records, tmp_path / "curves.png")
    assert "fonts-noto-cjk" in drawn[1].get_supxlabel()
    assert [axes.get_title() for axes in drawn[1].axes] == ["loss", "held out", "□□"]
    assert [text.get_text() for text in drawn[1].axes[1].get_legend().get_texts()] == ["F1 □ $x"]


def test_a_last_resort_font_draws_nothing():
    """The one that comes with matplotlib has a box for every code point, also for those that Unicode never gives a character."""
    font_manager = pytest.importorskip("matplotlib.font_manager")
    names = [font.name for font in font_manager.fontManager.ttflist if "Last Resort" in font.name]
    names = names or pytest.skip("this matplotlib has none")
    fonts._characters_of.cache_clear()
    assert not any(fonts._characters_of(name, frozenset("a财")) for name in names)
    assert not set(fonts.fonts_for(["财", "ह", "🦆", "\U00013000"]).families) & set(names)


def test_a_note_fits_into_the_picture(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(fonts, "_families", lambda: ["DejaVu Sans"])
    monkeypatch.setattr(fonts, "_add_new_fonts", lambda: None)
    for count in (1, 9):
        plot_confusion(confused(count), [f"财 हिन्दी {i}" for i in range(count)], tmp_path / "c.png")
        note = drawn[-1]._supxlabel.get_window_extent()
        assert note.x0 >= 0 and note.x1 <= drawn[-1].bbox.x1


def test_chinese_labels_are_drawn_where_a_font_has_them(tmp_path, drawn):
    pytest.importorskip("matplotlib")
    found = fonts.fonts_for(CHINESE)
    if found.missing:
        pytest.skip("no installed font draws Chinese")
    assert len(found.families) > 1
    plot_confusion(confused(3), CHINESE, tmp_path / "c.png")
    assert [text.get_text() for text in drawn[0].axes[0].get_yticklabels()] == CHINESE


def test_the_preferred_of_fonts_that_draw_as_much_is_taken(monkeypatch):
    pytest.importorskip("matplotlib")
    has = {"DejaVu Sans": "ab", "A Font": "财", "SimHei": "财", "Noto Sans CJK SC": "财经"}
    monkeypatch.setattr(fonts, "_families", lambda: list(has))
    monkeypatch.setattr(fonts, "_add_new_fonts", lambda: None)
    monkeypatch.setattr(fonts, "_characters_of", lambda name, wanted: wanted & frozenset(has[name]))
    assert fonts.fonts_for(["a财"]).families == ["DejaVu Sans", "Noto Sans CJK SC"]
    del has["Noto Sans CJK SC"]
    assert fonts.fonts_for(["财"]).families == ["DejaVu Sans", "SimHei"]
    assert fonts.fonts_for(["财経"]).missing == {"経"}


def test_reliability_diagram(tmp_path, drawn):
    figures = calibration_figures(np.eye(3) * 2, [0, 1, 1], 2.0)
    assert plot_reliability(figures, tmp_path / "r.png").stat().st_size > 1000
    assert [axes.get_title()[:10] for axes in drawn[0].axes] == ["as trained", "scaled by "]
    plot_reliability(calibration_figures(np.eye(3), [0, 1, 1]), tmp_path / "r.png")
    assert len(drawn[1].axes) == 1


def test_panels_of_figures_of_any_name():
    records = [
        {"event": "train", "step": i, "epoch": 0, "loss": 1.0, "lr": 0.1, "tokens_per_second": 9} for i in (1, 2)
    ]
    evals = {"loss": 2.0, "mse": 2.0, "spearman": -0.5, "perplexity": 7.4, "best": True, "f1": None, "r2": float("nan")}
    records += [{"event": "eval", "step": i, "epoch": 0, **evals} for i in (1, 2)]
    panels = curve_panels(records)
    assert [(p.title, [c[0] for c in p.curves]) for p in panels] == [
        ("loss", ["training (with dropout)", "held out"]),
        ("held out", ["Spearman"]),
        ("perplexity", ["perplexity"]),
        ("learning rate", ["learning rate"]),
    ]
    assert panels[1].curves[0][1:3] == ([1.0, 2.0], [-0.5, -0.5])
    assert curve_panels([]) == []


def test_curves_of_no_records_and_of_many_panels(tmp_path):
    pytest.importorskip("matplotlib")
    assert plot_curves([], tmp_path / "none.png").stat().st_size > 100
    many = [{"event": "eval", "step": 1, "loss": 1.0, **{f"figure_{i}": 2.0 + i for i in range(5)}}]
    assert plot_curves(many, tmp_path / "many.png").stat().st_size > 1000


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for call in (
        lambda: plot_confusion(confused(2), ["a", "b"], tmp_path / "c.png"),
        lambda: plot_reliability({}, tmp_path / "c.png"),
        lambda: plot_curves([], tmp_path / "c.png"),
    ):
        with pytest.raises(ImportError, match=r"engine\[plot\]"):
            call()
