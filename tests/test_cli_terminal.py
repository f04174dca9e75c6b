"""What a person sees: tables and sentences that fit the terminal, colours, bars of progress, and no orders from the data."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli_runs import SCRATCH, read_json, run_engine, texts, write_encoder, write_rows, write_texts
from engine.commands import cli
from engine.report import format_evaluation, format_report, show_evaluation, show_report
from engine.report.blocks import Figures, Heading, Items, Page, Sentence, Table, as_markdown, as_terminal
from engine.report.words import folded, shortened, text_width, visible

pytest.importorskip("click")

LONG = "the-customer-asks-why-the-card-that-was-ordered-last-month-has-still-not-arrived-at-home"
ESCAPE = "card\x1b[2J\x9b31m\x07\u202e"
PATHS = {name: os.path.abspath(path) for name in ("PYTHONPATH",) if (path := os.environ.get(name))}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose labels are long, Chinese or hold orders for a terminal, in a folder with a long name."""
    folder = tmp_path_factory.mktemp("terminal") / ("a-folder-with-a-long-name-" * 3)
    folder.mkdir()
    names = {"card": ESCAPE, "money": LONG, "login": "为什么我的银行卡还没有寄到我家里来呢请尽快告诉我谢谢" * 3}
    write_rows(folder / "train.csv", ("text", "label"), [(text, names[label]) for text, label in texts(4)])
    run_engine("train", folder / "train.csv", "--test", folder / "train.csv", "-o", folder / "run", *SCRATCH)
    return folder


def on_a_terminal(*arguments: Any, typed: bytes = b"", columns: int = 80, output: Any = None, **env: str) -> str:
    """What the command writes to a terminal; with `output`, what it writes there of standard error alone."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "engine.cli", *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs if output is None else output, stderr=theirs,
        env={**kept, "TERM": "xterm", **PATHS, **env}, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        said, last = b"", time.monotonic() + 120
        while time.monotonic() < last:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    chunk = os.read(ours, 1 << 16)
                except OSError:  # the other side is closed
                    break
                said += chunk
                if typed and b"Ctrl-D" in said:
                    os.write(ours, typed)
                    typed = b""
            elif process.poll() is not None:
                break
        process.wait(10)
    os.close(ours)
    assert process.returncode == 0, said
    return said.decode()


def too_wide(text: str, limit: int = 80) -> list[str]:
    """The lines that a terminal would wrap. A path is whole, so that it can be copied."""
    lines = re.sub("\x1b\\[[0-9;]*m", "", text).split("\n")
    return [line for line in lines if text_width(line.rstrip("\r")) > limit and "/" not in line]


# ---- widths


@pytest.mark.parametrize(
    ("text", "width"),
    [("abc", 3), ("银行卡", 6), ("ｶﾅ", 2), ("カナ", 4), ("e\u0301", 1), ("🙂", 2), ("한글", 4), ("a\u200bb", 2), ("", 0)],
)  # fmt: skip
def test_the_width_of_a_text(text, width):
    assert text_width(text) == width


def test_a_long_name_keeps_its_beginning_and_its_end():
    for text in (LONG, "银行卡" * 30, "e\u0301" * 100):
        for limit in (7, 20, 40):
            cut = shortened(text, limit)
            assert limit - 2 <= text_width(cut) <= limit and cut[0] == text[0] and cut[-1] == text[-1]
    assert shortened("银行", 4) == "银行"


def test_lines_are_folded_at_spaces_and_paths_stay_whole():
    assert folded("one two three", 8) == ["one two", "  three"]
    assert folded("  - one two three", 10) == ["  - one", "    two", "    three"]
    assert folded("a\n\nb", 40) == ["a", "", "b"] and folded("a " * 60, None) == ["a " * 60]
    path = "/tmp/" + "x" * 60
    assert folded(f"written to {path}", 40) == ["written to", f"  {path}"]
    for text in ("银行卡" * 40, "x" * 200, "word " * 50, "note: " + "银行卡 " * 40):
        lines = folded(text, 40)
        assert all(text_width(line) <= 40 for line in lines)
        assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)


def test_control_characters_are_spelled_out():
    assert visible("a\x1b[2J\x9b\r\x7f\u202e\udcffb\tc\n") == "a\\x1b[2J\\x9b\\x0d\\x7f\\u202e\\udcffb\tc\n"


def test_blocks_on_paper_and_on_a_terminal():
    blocks = [
        Heading("Test"), Figures([("samples", "12"), ("accuracy", "0.9000")]),
        Table(("class", "F1"), [("银行|卡", "0.5000"), ("b\x1b", "1.0000")]), Items(["one \x1b", "two"]), Sentence("end"),
    ]  # fmt: skip
    assert as_markdown(blocks).splitlines() == [
        "## Test", "", "| samples | accuracy |", "|--------:|---------:|", "|      12 |   0.9000 |", "",
        "| class    |     F1 |", "|----------|-------:|", "| 银行\\|卡 | 0.5000 |", "| b\\x1b    | 1.0000 |",
        "", "- one \\x1b", "- two", "", "end",
    ]  # fmt: skip
    assert as_terminal(blocks, Page(bold=lambda text: f"<{text}>")).splitlines() == [
        "<Test>", "", "  samples       12", "  accuracy  0.9000", "", "<  class        F1>", "  银行|卡  0.5000", "  b\\x1b    1.0000",
        "", "- one \\x1b", "- two", "", "end",
    ]  # fmt: skip


def test_150_classes_fit():
    rows = [(f"{LONG}-{i}", *["0.1234"] * 3, str(i)) for i in range(150)]
    lines = as_terminal([Table(("class", "precision", "recall", "F1", "support"), rows)], Page()).splitlines()
    assert len(lines) == 151 and {text_width(line) for line in lines[1:]} == {80}
    assert "…" in lines[1] and lines[1].split("  ")[1].endswith("-0")


# ---- the commands


@pytest.mark.parametrize("columns", [80, 60])
def test_nothing_wraps_and_there_is_no_markdown(place, columns, tmp_path):
    said = [
        on_a_terminal("evaluate", place / "run", place / "train.csv", "--per-class", columns=columns),
        on_a_terminal("check", place / "train.csv", columns=columns),
        on_a_terminal("train", place / "train.csv", "-o", tmp_path / "run", *SCRATCH, columns=columns),
    ]
    for text in said:
        assert not too_wide(text, columns)
        assert not re.search(r"^\s*(#+ |\|)", text, re.M) and "![" not in text
        for order in ("\x1b[2J", "\x9b", "\x07", "\u202e"):
            assert order not in text
    lines = re.sub("\x1b\\[[0-9;]*m", "", said[2]).splitlines()
    assert str(tmp_path / "run/report.html") in "".join(lines[-3:]) and "accuracy" in lines[-1]


def test_colours_are_for_terminals(place):
    command = ("evaluate", place / "run", place / "train.csv")
    assert "\x1b[1m" in on_a_terminal(*command)
    for setting in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        assert "\x1b" not in on_a_terminal(*command, **setting)
    assert "\x1b" not in run_engine(*command)


def test_colours_can_be_forced(place, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1mMost confused" not in (
        out := run_engine("evaluate", place / "run", place / "train.csv", "--per-class")
    )
    assert "\x1b[1m" in out
    error = io.StringIO()
    with contextlib.redirect_stderr(error), pytest.raises(SystemExit):
        from engine.cli import main

        main(["evaluate"])
    assert error.getvalue().startswith("\x1b[31mengine evaluate:\x1b[0m Missing argument")


def test_reports_hold_no_orders_from_names(place):
    """Reading cleans the labels of files, but a published model's labels may be anything."""
    report = read_json(place / "run/report.json")
    report["test"]["classes"][0]["label"] = report["test"]["most_confused"][0]["true"] = ESCAPE
    report["data"]["notices"] = [f"the label {ESCAPE} is odd"]
    shown = [
        format_report(report), show_report(report, f"report: {ESCAPE}", Page(80, 80)),
        format_evaluation(report["test"], True), show_evaluation(report["test"], "accuracy", True, Page()),
    ]  # fmt: skip
    for text in shown:
        assert "card\\x1b[2J\\x9b31m\\x07\\u202e" in text
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


@pytest.mark.parametrize("command", [(), *((name,) for name in cli.commands)])
def test_help_fits(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert not [line for line in run_engine(*command, "--help").splitlines() if text_width(line) > 80]


@pytest.mark.parametrize("output", ["answers.jsonl", None])
def test_a_bar_is_drawn_on_a_terminal_only(place, tmp_path, output):
    many = write_texts(tmp_path / "many.csv", 6)
    command = ["predict", place / "run", "--input", many, "--batch-size", 8]
    command += ["--overwrite", "--output", tmp_path / output] if output else []
    with open(tmp_path / "out", "wb") as stream:
        assert "72/72" in on_a_terminal(*command, output=stream)
        assert "72" not in on_a_terminal(*command, "--no-progress", output=stream)
        assert "72" not in on_a_terminal(*command, output=stream, TERM="dumb")
    if output is None:  # among the answers a bar would be in the way
        assert "72/72" not in on_a_terminal(*command)


def test_the_bar_begins_below_the_plan(place, tmp_path):
    seen = on_a_terminal("train", place / "train.csv", "-o", tmp_path / "run", *SCRATCH[:-1], "2", "--progress")
    assert "step" in seen
    plan = seen.partition("of training on")[0]
    assert "plan:" in plan and "step/s" not in plan and "0%" not in plan


def test_evaluation_and_embedding_have_a_bar(place, tmp_path):
    assert "48/48" in on_a_terminal("evaluate", place / "run", place / "train.csv")
    encoder = write_encoder(tmp_path / "encoder")
    assert "48/48" in on_a_terminal("embed", encoder, place / "train.csv", "-o", tmp_path / "v.npy")


def test_a_word_while_it_waits_for_the_keyboard(place):
    said = on_a_terminal("predict", place / "run", typed=b"where is my card\n\x04")
    assert "reading texts from standard input, one on a line; end with Ctrl-D" in said
    assert re.search(r"0\.\d{4}\twhere is my card", said.expandtabs(1).replace(" where", "\twhere"))
    assert "Ctrl-D" not in run_engine("predict", place / "run", stdin=b"card\n")
