"""BERT against `transformers` on PyTorch, from published weights: the same hidden states, losses and gradients.

The figures are those of `python -m bench --only parity`. The same without PyTorch, on tiny models: tests/golden.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import finetune_data, parity
from bench.finetune import load

pytest.importorskip("tokenizers")
# `transformers` leaves config.json open to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def folder() -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    try:
        return finetune_data.checkpoint()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def banking77(folder: Path) -> finetune_data.Task:
    return load("banking77")


def test_packed_hidden_states_are_those_of_the_padded_model(folder: Path) -> None:
    ids = parity.encode(parity.sentences(), folder)
    lengths = [len(x) for x in ids]
    assert len(ids) == 200 and min(lengths) < 6 and max(lengths) == 512
    ours, theirs = parity.hidden(folder, ids)
    assert ours.shape == theirs.shape == (sum(lengths), 384)
    difference = float(np.abs(ours - theirs).max())
    print(f"largest difference {difference:.2g}")
    assert difference <= parity.HIDDEN


def test_a_hundred_steps_follow_pytorch(banking77: finetune_data.Task) -> None:
    ours, theirs = parity.losses("engine", banking77), parity.losses("torch", banking77)
    assert len(ours) == len(theirs) == 100
    assert np.mean(theirs[-10:]) < theirs[0] - 0.01  # it learns: equal losses say something
    errors = parity.loss_errors(ours, theirs)
    print(f"largest relative difference {errors.max():.2g} at step {errors.argmax()}")
    assert errors.max() <= parity.LOSS


def test_the_gradient_of_every_parameter_agrees(banking77: finetune_data.Task) -> None:
    errors = parity.gradient_errors(parity.gradients("engine", banking77), parity.gradients("torch", banking77))
    assert len(errors) == 5 + 6 * 16 + 2 + 2
    worst = max(errors, key=errors.__getitem__)
    print(f"largest relative difference {errors[worst]:.2g}: {worst}")
    assert errors[worst] <= parity.GRADIENT
