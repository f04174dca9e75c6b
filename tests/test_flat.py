"""Nothing leaks in a long training: memory, open files, threads and what the engine holds stay as they are.

`python tests/test_flat.py STEPS FOLDER` trains, with evaluations and checkpoints, and prints a line of JSON at each tenth of the steps.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import engine
from engine import _core
from engine.train import Callback, Trainer
from test_trainer import CONFIG, TASK, toy_data, toy_model

if not Path("/proc/self/status").exists():
    pytest.skip("what a process holds is read from /proc", allow_module_level=True)


class Sample(Callback):
    def __init__(self, every: int) -> None:
        self.every, self.since = every, time.process_time()

    def on_step_end(self, trainer: Trainer, loss: Any) -> None:
        step = trainer.state.step
        if step % self.every:
            return
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        now = time.process_time()
        sample = {
            "step": step,
            "kibibytes": int(status["VmRSS"].split()[0]),
            "files": len(os.listdir("/proc/self/fd")),
            "threads": int(status["Threads"]),
            "reserved": _core.memory_stats()["reserved_bytes"],
            "ms_a_step": round(1000 * (now - self.since) / self.every, 3),
        }
        print(json.dumps(sample), flush=True)
        self.since = time.process_time()


def train(steps: int, folder: str) -> None:
    every = steps // 10
    config = replace(CONFIG, epochs=None, max_steps=steps, eval_every=every // 2, checkpoint_every=every // 2)
    Trainer(toy_model(), TASK, config, toy_data(), toy_data(20, 1), output=folder, callbacks=[Sample(every)]).train()


def samples(steps: int, folder: Path) -> list[dict[str, Any]]:
    path = os.pathsep.join([str(Path(engine.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, __file__, str(steps), str(folder)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(found: list[dict[str, Any]], growth: int) -> None:
    """Between the second tenth, when all that is loaded once is loaded, and the last ones. A thread that loads ahead comes and goes."""
    assert len(found) == 10
    before, after = found[1], found[-1]
    assert after["kibibytes"] - before["kibibytes"] <= growth, found
    for name in ("files", "threads", "reserved"):
        assert min(sample[name] for sample in found[-4:]) <= before[name], found


def test_a_short_training_holds_nothing(tmp_path):
    check(samples(400, tmp_path), 1024)


@pytest.mark.long
def test_ten_thousand_steps_are_flat(tmp_path):
    found = samples(10_000, tmp_path)
    print(*found, sep="\n")
    check(found, 2048)


if __name__ == "__main__":
    train(int(sys.argv[1]), sys.argv[2])
