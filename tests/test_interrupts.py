"""SIGINT and SIGTERM at random moments of a training: the model is usable, no lock is left, a second run works."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import engine
from engine.train import Trainer, latest_checkpoint, load_checkpoint
from test_trainer import CONFIG, TASK, toy_data, toy_model


def trainer(output: os.PathLike[str]) -> Trainer:
    return Trainer(toy_model(), TASK, replace(CONFIG, epochs=2, checkpoint_every=4), toy_data(), output=output)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[float, bytes]:
    """How long the training takes, and its weights."""
    folder, started = tmp_path_factory.mktemp("whole"), time.perf_counter()
    trainer(folder).train()
    return time.perf_counter() - started, (folder / "model.safetensors").read_bytes()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # an interrupt within pathlib's own listing
@pytest.mark.parametrize("seed", range(12))
def test_sigint_at_a_random_moment_leaves_all_usable(tmp_path, whole, seed):
    seconds, weights = whole
    first, delay = trainer(tmp_path), random.Random(seed).uniform(0, seconds)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        first.train()
        signal.pause()  # the training was quicker
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, before)
        timer.join()
    assert engine.is_grad_enabled()
    loss = TASK.loss(first.model, next(iter(first.train_loader)))  # the model computes, forward and backward
    loss.backward()
    assert loss.item() > 0
    latest = latest_checkpoint(tmp_path / "checkpoints")
    if latest is not None:
        load_checkpoint(latest)
    second = trainer(tmp_path)  # the first one is still there: it must not hold the lock
    second.train(resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints", "log.jsonl", "model.safetensors"]


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from test_interrupts import trainer
t = trainer({output!r})
print("begun", flush=True)
t.train(resume=True)
"""


def test_sigterm_at_random_moments_then_a_second_run(tmp_path, whole):
    seconds, weights = whole
    draw = random.Random(1)
    program = PROGRAM.format(tests=str(Path(__file__).parent), output=str(tmp_path))
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0, seconds))
            process.terminate()
        assert process.returncode in (0, -signal.SIGTERM)
    trainer(tmp_path).train(resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert not [p.name for p in tmp_path.rglob(".*")]
