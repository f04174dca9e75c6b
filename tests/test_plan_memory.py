"""The memory that a training announces is what its process then takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli_runs import texts, write_rows

PROGRAM = """
import re, sys
from engine.runs import StartConfig, TextData, train_text
from engine.runs.facts import peak_memory_bytes
from engine.train import TrainerConfig

data, output, fraction, rank = sys.argv[1:]
sizes = {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}
start = StartConfig(sizes=sizes) if rank == "0" else StartConfig(sizes=sizes, lora_rank=int(rank))
said = []
train_text(
    TextData((data,), max_length=64, validation_fraction=float(fraction)), TrainerConfig(max_steps=2, batch_size=32), output,
    start=start, announce=said.append,
)
print(re.search(r"up to ([\\d,]+) MiB", said[0])[1].replace(",", ""), peak_memory_bytes() / 2**20)
"""


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the system does not say how much memory a process has"
)
@pytest.mark.parametrize(("fraction", "rank"), [(0.1, 0), (0.0, 0), (0.1, 4)])
def test_the_announced_memory_is_that_of_the_run(tmp_path, fraction, rank):
    pytest.importorskip("matplotlib")
    rows = [(f"{text} {' '.join(text.split() * 6)}", label) for text, label in texts(6)]
    data = write_rows(tmp_path / "train.csv", ("text", "label"), rows)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(data), str(tmp_path / "run"), str(fraction), str(rank)],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    announced, peak = map(float, done.stdout.split())
    assert announced == pytest.approx(peak, rel=0.2)
