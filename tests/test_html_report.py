"""The page of a report: whole, harmless, without a network; a section for each part that is there."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from engine import metrics
from engine.metrics import evaluation, multilabel_evaluation, regression_evaluation, worst_examples
from engine.report import format_evaluation, format_report, html_report
from engine.report.html import render_report
from engine.report.html.tokens import coloured, readable

_VOID = {"meta", "br", "img", "link", "input", "hr"}
_EVIL = "</style></svg><script>alert(1)</script><img src=http://x/y.png onerror='x'> &amp; \"quoted\" \x00\ud800"


class Page(HTMLParser):
    """What stands in a page; fails where tags do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def whole_report(word: str = "plain") -> dict:
    rng = np.random.default_rng(0)
    names = [f"{word} 类{i}" for i in range(5)]
    true, logits = rng.integers(0, 5, 200), rng.normal(size=(200, 5))
    logits[np.arange(200), true] += 2
    tokens = ["[CLS]", word, "##ing", "我", "的", "[SEP]"]
    weights = np.full((2, 3, 6, 6), 1 / 6, np.float32)
    records = [{"event": "train", "step": i, "loss": 1 / i, "lr": 1e-3} for i in range(1, 900)]
    records += [{"event": "eval", "step": i, "loss": 1.0, "accuracy": 0.5, word: 0.3} for i in (5, 9)]
    figures = evaluation(true, logits, names, detail=True, temperature=1.3, groups={word: [word, ""] * 100})
    return {
        "title": word, "task": "text classification", "created": "2026", "seed": 3, "settings": {"lr": 1e-4, word: word},
        "data": {"train_samples": 12345, "sha256": {word: "ab" * 32}}, "model": {"layers": 2, "parameters": 22_700_000},
        "training": {"seconds": 3.2, word: word}, "memory": {"peak_resident_bytes": 2**30},
        "environment": {"versions": {"engine": "0.1", word: word}, "threads": 2}, "log": records,
        "held_out": evaluation(true, logits, names), "test": figures,
        "examples": [
            {"text": word, "true": word, "predicted": names[0], "loss": 3.0},
            {"true": word, "predicted": names[1], "probability": 0.9, "tokens": tokens, "attributions": np.arange(6) - 2.0},
        ],
        "attention": {"tokens": tokens, "weights": weights},
    }  # fmt: skip


def test_nothing_comes_from_a_network_and_no_text_is_markup(tmp_path):
    path = html_report(whole_report(_EVIL), tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "img", "form"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png")), (tag, attributes)
        assert "url(" not in (attributes.get("style") or "")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style and not re.search(r"url\(|@import|http", style[1])
    assert "<script>alert(1)</script>" in page.text and "\ufffd" in page.text and "\x00" not in text


def test_every_part_has_its_section():
    text = render_report(whole_report())
    page = Page(text)
    found = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert found == [
        "summary", "curves", "figures", "classes", "confusion", "calibration", "groups", "examples", "attention", "setup",
    ]  # fmt: skip
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in found]
    for words in ("12,345", "22.7 M", "1,024 MiB", "T = 1.300", "(empty)", "0.0001", "abab", "类4", "few samples"):
        assert words in page.text
    assert text.count("<polyline") == 5  # training and held-out loss, two figures, the learning rate
    assert max(len(points.split()) for points in re.findall(r'points="([^"]*)"', text)) <= 450  # of 899 steps


@pytest.mark.parametrize("key", [None, "data", "model", "training", "log", "test", "held_out", "examples", "attention"])
def test_every_part_is_optional(key):
    report = whole_report()
    Page(render_report({key: report[key]} if key else {}))
    report.pop(key, None)
    Page(render_report(report))


def test_other_tasks():
    rng = np.random.default_rng(1)
    true = rng.normal(size=3000)
    page = Page(render_report({"test": regression_evaluation(true, true + 1)}))
    assert sum(tag == "circle" for tag, _ in page.tags) == 1500 and "MAE" in page.text and "R²" in page.text
    labels = (rng.random((40, 3)) < 0.5).astype(int)
    page = Page(render_report({"test": multilabel_evaluation(labels, labels * 2.0 - 1, ["甲", "b", "c"])}))
    assert "甲" in page.text and "average precision" in page.text and "all labels right" in page.text
    spans = {"label": "city", "precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 4}
    page = Page(render_report({"test": {"f1": 0.9, "precision": 0.8, "classes": [spans]}}))
    assert "city" in page.text and "0.667" in page.text and "test F1" in page.text
    Page(render_report({"test": regression_evaluation(np.zeros(0), np.zeros(0))}))
    Page(render_report({"test": regression_evaluation(np.ones(1), np.ones((1, 1)))}))
    Page(render_report({"test": evaluation(np.zeros(0, np.int64), np.zeros((0, 2)), ["a", "b"], detail=True)}))


def test_a_single_point_stands_in_the_middle():
    page = Page(render_report({"log": [{"event": "eval", "step": 54, "loss": 0.5}]}))
    (point,) = [attributes for tag, attributes in page.tags if tag == "circle"]
    assert 140 < float(point["cx"]) < 190 and 20 < float(point["cy"]) < 180
    steps = [{"event": "train", "step": step, "lr": 0.1} for step in (20, 40)]
    assert [sum(tag == "circle" for tag, _ in Page(render_report({"log": steps[:n]})).tags) for n in (1, 2)] == [1, 0]


def test_short_trainings_and_what_was_cleaned():
    found = {"duplicate": 3, "near_duplicate": 0, "rows_removed": 3}
    page = Page(render_report({"training": {"epochs": 0, "padding_saved": 0.656}, "data": {"cleaning": found}}))
    for words in ("epochsless than one", "padding saved65.6%", "Cleaning", "near duplicate0", "rows removed3"):
        assert words in page.text, words
    assert "Cleaning" not in Page(render_report({"training": {"epochs": 2}})).text


def test_numbers_as_people_read_them():
    facts = {
        "a": 430.891,
        "b": 0.12345,
        "c": 12345.6,
        "d": 1e-5,
        "e": None,
        "f": 20000,
        "g_seconds": 2.0,
        "h": float("nan"),
    }
    page = Page(render_report({"model": facts, "settings": {"lr": 1e-5, "none": None}}))
    for words in (
        "a430.9",
        "b0.1235",
        "c12,346",
        "d1.00e-05",
        "e–",
        "f20,000",
        "g seconds2.0 s",
        "hnan",
        "lr1e-05",
        "none–",
    ):
        assert words in page.text, words


def test_many_classes_are_condensed():
    counts = np.diag(np.full(150, 9))
    counts[7, 8] = 3
    report = {"test": {"confusion": {"labels": [f"c{i}" for i in range(150)], "counts": counts.tolist()}}}
    page = Page(render_report(report))
    assert "(111 others)" in page.text and "c7 → c8: 3 (25.0%)" in page.text
    note = "The classes with the most mistakes are drawn"
    names = {"labels": ["a name as long as they are shown"] * 40, "counts": np.eye(40, dtype=int).tolist()}
    wide = render_report({"test": {"confusion": names}})
    assert 800 < float(re.search(r'<svg[^>]* width="(\d+)', wide)[1]) <= 980  # what the page has
    few = {"labels": ["a", "(38 others)"], "counts": [[1, 0], [0, 2]]}  # as a run's own report has them
    assert note in page.text and note in Page(render_report({"test": {"confusion": few}})).text
    few["labels"] = ["a", "others"]
    assert note not in Page(render_report({"test": {"confusion": few}})).text


def test_many_classes_fold_to_the_worst():
    rows = [
        {"label": f"class {i}", "precision": 0.5, "recall": 0.5, "f1": i / 150, "support": 3}
        for i in range(149, -1, -1)
    ]
    text = render_report({"test": {"classes": rows}})
    shown, folded = text.split("<details>")
    assert re.findall(r"class \d+", shown) == [f"class {i}" for i in range(20)]
    assert re.findall(r"class \d+", folded) == [f"class {i}" for i in range(20, 150)]
    assert "The other 130 of 150 classes" in Page(text).text
    assert "<details>" not in render_report({"test": {"classes": rows[:20]}})


def test_the_most_confused_pairs_stand_above_the_matrix():
    pairs = [{"true": "a<", "predicted": "b", "count": 3, "share": 0.25}]
    matrix = {"labels": ["a<", "b"], "counts": [[9, 3], [0, 2]]}
    text = render_report({"test": {"most_confused": pairs, "confusion": matrix}})
    assert text.index("taken for") < text.index("confusion matrix") and "a&lt;" in text
    page = Page(render_report({"test": {"most_confused": pairs}}))
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == ["confusion"]


def test_all_tables_scroll_and_keys_move_them():
    page = render_report(whole_report())
    assert page.count("<table") == len(re.findall(r'<div class="scroll" tabindex="0"><table', page)) > 5


def test_an_example_says_where_it_stands():
    row = {"text": "t", "true": "a", "predicted": "b", "where": "line 12 of <data>.csv"}
    assert "line 12 of <data>.csv" in Page(render_report({"examples": [row]})).text


def test_attention_is_a_picture_of_the_mean_over_heads():
    weights = np.zeros((1, 2, 2, 2))
    weights[0, 0], weights[0, 1] = [[1, 0], [0, 1]], [[0, 1], [0, 1]]
    page = Page(render_report({"attention": {"tokens": ["a", "b"], "weights": weights.tolist()}}))
    (href,) = [attributes["href"] for tag, attributes in page.tags if tag == "image"]
    data = base64.b64decode(href.split(",", 1)[1])
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", data[16:24]) == (2, 2)
    size = struct.unpack(">I", data[33:37])[0]
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + size]), np.uint8).reshape(2, 9)[:, 1:].reshape(2, 2, 4)
    np.testing.assert_allclose(rows[..., 3] / 255, np.sqrt([[0.5, 0.5], [0, 1]]), atol=0.003)


def test_tokens_become_text_again():
    assert readable(["[CLS]", "un", "##real", "!", "我", "的", "cat", "[SEP]"]) == "[CLS] unreal! 我的 cat [SEP]"
    assert readable(["<s>", "Hello", "Ġwor", "ld", ",", "Ġyes", "</s>"]) == "<s> Hello world, yes </s>"
    assert readable(["▁Hel", "lo", "▁你", "好"]) == "Hello 你好" and readable([]) == ""
    page = Page(coloured(["a", "<b>"], [0.5, -1.0]))
    assert page.text == "a <b>"
    assert "rgba(47,111,201,0.38)" in page.tags[0][1]["style"] and "rgba(210,59,59,0.75)" in page.tags[1][1]["style"]
    Page(coloured(["a"], [0.0]))


def test_worst_examples():
    logits = np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 1.0]])
    rows = worst_examples(["a", "b", "c"], np.array([0, 0, 0]), logits, ["no", "yes"], k=2)
    assert [(r["index"], r["text"], r["true"], r["predicted"]) for r in rows] == [
        (1, "b", "no", "yes"),
        (2, "c", "no", "yes"),
    ]
    assert rows[0]["loss"] == pytest.approx(np.log(1 + np.exp(3))) and rows[0]["probability"] == pytest.approx(
        1 / (1 + np.exp(-3))
    )
    assert worst_examples([], np.zeros(0, np.int64), np.zeros((0, 2)), ["a", "b"]) == []
    with pytest.raises(ValueError, match="texts: expected as many"):
        worst_examples(["a"], np.zeros(2, np.int64), np.zeros((2, 2)), ["a", "b"])


def test_the_last_line_of_a_report_is_what_says_most():
    report = {
        "training": {"epochs": 1, "steps": 2, "seconds": 1.0, "tokens_per_second": 1.0, "samples_per_second": 1.0, "padding_saved": 0.5},
        "model": {"parameters": 9, "description": "9 parameters"}, "seed": 0,
        "data": {"train_samples": 3, "description": "3 training texts"}, "environment": {"threads": 1, "cpu_isa": "avx2"},
        "memory": {"peak_resident_bytes": 1, "peak_array_bytes": 1},
    }  # fmt: skip
    assert "test" not in format_report(report).splitlines()[-1]
    assert "- epochs: 1, steps: 2" in format_report(report) and "cleaning" not in format_report(report)
    report["training"]["epochs"] = 0
    report["data"]["cleaning"] = {"markup": 1, "near_leak": 2, "rows_removed": 2}
    assert "- epochs: less than one, steps: 2" in format_report(report)
    assert "- cleaning: markup 1, near leak 2; 2 training rows removed" in format_report(report)
    for metric, figures, line in (
        ("accuracy", {"accuracy": 0.9, "macro_f1": 0.8, "loss": 1.0}, "test accuracy 0.9000"),
        ("f1", {"accuracy": 0.9, "f1": 0.8, "loss": 1.0}, "test F1 0.8000"),
        ("pearson", {"pearson": -0.5, "rmse": 1.0}, "test Pearson -0.5000"),
        ("micro_f1", {"subset_accuracy": 0.1, "micro_f1": 0.25}, "test micro F1 0.2500"),
    ):
        both = {"test": {"samples": 4, **figures}, "held_out": {"samples": 3, "accuracy": 0.7, "loss": 1.0}}
        assert format_report({**report, **both, "metric": metric}).splitlines()[-1] == line
    held_out = {"held_out": both["held_out"], "metric": "accuracy"}
    assert format_report({**report, **held_out}).splitlines()[-1] == "held-out accuracy 0.7000"
    assert "3 training texts; 9 parameters; seed 0." in format_report(report)


def test_markdown_of_any_task():
    lines = format_evaluation(regression_evaluation(np.array([1.0, 2.0]), np.array([1.0, 2.0]))).splitlines()
    names = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert names == ["samples", "RMSE", "MAE", "R²", "Pearson", "Spearman", "loss"]
    assert lines[2].split()[1:6:2] == ["2", "0.0000", "0.0000"] and len({len(line) for line in lines}) == 1
    table = format_evaluation(multilabel_evaluation(np.eye(2, dtype=int), np.eye(2) - 0.5, ["x", "y"]), per_class=True)
    assert "| x " in table and "all labels right" in table


def test_parts_that_do_not_fit_are_refused(tmp_path):
    bad = [
        (
            {"examples": [{"tokens": ["a"], "attributions": [1.0, 2.0]}]},
            "examples: expected an attribution for each of 1",
        ),
        (
            {"attention": {"tokens": ["a"], "weights": np.zeros((1, 1, 2, 2))}},
            r"attention: expected shape \(layers, heads, 1",
        ),
        ({"test": {"points": {"true": [1], "predicted": []}}}, "points: expected as many"),
        ({"test": {"confusion": {"labels": ["a"], "counts": [[1, 2]]}}}, r"confusion: expected shape \(1, 1\)"),
    ]
    for report, text in bad:
        with pytest.raises(ValueError, match=text):
            html_report(report, tmp_path / "report.html")
        assert not (tmp_path / "report.html").exists()


def test_evaluation_without_details_is_as_before():
    assert set(evaluation(np.array([0, 1]), np.eye(2), ["a", "b"])) == {
        "samples", "loss", "accuracy", "macro_f1", "micro_f1", "mcc", "classes", "most_confused",
    }  # fmt: skip
    detailed = evaluation(np.array([0, 1]), np.eye(2), ["a", "b"], detail=True)
    assert detailed["confusion"] == {"labels": ["a", "b"], "counts": [[1, 0], [0, 1]]}
    assert detailed["calibration"]["before"]["ece"] == pytest.approx(1 - metrics.softmax(np.eye(2))[0, 0])


def test_only_hashes_break_in_the_middle_of_a_word():
    style = re.search(r"<style>(.*?)</style>", render_report({"title": "x"}), re.DOTALL)[1]
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", style)
    assert len(rules) > 40
    breaking = [name.strip() for name, rule in rules if re.search(r"overflow-wrap: anywhere|word-break: break", rule)]
    assert breaking == ["td.hash"]  # such a cell shrinks to a letter, so words in it break beside other cells
