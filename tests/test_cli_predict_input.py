"""What `engine predict` says of its input: standard input by its usual name, headers in it, and an output over the input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

RUN = Path(__file__).parent / "runs-0.1" / "classification"


def _predict(*arguments, stdin=""):
    command = [sys.executable, "-m", "engine", "predict", str(RUN), *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_an_output_over_the_input_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text\nmy card\n")
    done = _predict("--input", path, "--output", path)
    assert done.returncode == 2 and "--output: expected another file" in done.stderr
    assert "expected another file" in _predict("--input", path, "--output", path, "--overwrite").stderr
    assert path.read_text() == "text\nmy card\n"


def test_a_hyphen_is_standard_input_and_a_header_is_noted():
    done = _predict("-", stdin="text,label\nmy card,x\n")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2
    assert "looks like the header of a table; --input" in " ".join(done.stderr.split())
    assert "header" not in _predict(stdin="Hello, my card\n").stderr
