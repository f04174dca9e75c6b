"""Edges of the CUDA backend that once went wrong, or that a user meets first."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import engine


@pytest.mark.parametrize("name", ["sum", "mean", "var", "prod", "norm", "any", "all"])
@pytest.mark.parametrize(
    "shape, dim", [((0, 3, 2), 1), ((0, 1031), 0), ((1031, 0), 0), ((4, 0, 300), 2), ((0, 31), (0, 1))]
)
def test_reductions_of_no_elements_give_what_the_cpu_gives(name: str, shape, dim, cuda: str) -> None:
    x = engine.zeros(*shape)
    wanted = getattr(engine, name)(x, dim=dim).numpy()
    found = getattr(engine, name)(x.to(cuda), dim=dim)
    assert np.array_equal(found.cpu().numpy(), wanted, equal_nan=True)


def test_gradients_through_no_elements(cuda: str) -> None:
    x = engine.zeros(5, 0, device=cuda, requires_grad=True)
    engine.nn.functional.layer_norm(x, (0,)).sum().backward()
    b = engine.zeros(0, 1, 3, device=cuda, requires_grad=True)
    (engine.zeros(0, 5, 3, device=cuda) * b).sum().backward()
    q = engine.zeros(0, 2, 4, device=cuda, requires_grad=True)
    engine.attention(q, q, q, engine.zeros(1, dtype=engine.int32, device=cuda)).sum().backward()
    assert x.grad.shape == (5, 0) and b.grad.shape == (0, 1, 3) and q.grad.shape == (0, 2, 4)


def test_an_index_out_of_range_writes_nothing(cuda: str) -> None:
    x = engine.arange(1200.0, device=cuda).reshape(100, 12)
    for write in (lambda i: x.__setitem__(i, 100.0), lambda i: x.__setitem__((i, 0), 1.0)):
        write(engine.tensor([100, 3]).to(cuda))
        with pytest.raises(IndexError, match="100"):
            engine.cuda.synchronize()
    kept = x.cpu().numpy()
    assert np.array_equal(np.delete(kept, 3, 0), np.delete(np.arange(1200.0).reshape(100, 12), 3, 0))
    p = engine.zeros(100, 12, device=cuda, requires_grad=True)
    p[engine.tensor([-101]).to(cuda)].sum().backward()
    with pytest.raises(IndexError, match="-101"):
        engine.cuda.synchronize()
    assert not p.grad.cpu().numpy().any()


def test_events_answer_in_other_threads(cuda: str) -> None:
    start, end = engine.cuda.Event(enable_timing=True), engine.cuda.Event(enable_timing=True)
    start.record()
    engine.ones(1100, device=cuda).sum()
    end.record()
    seen: list = []

    def look() -> None:
        end.synchronize()
        seen.extend([end.query(), start.elapsed_time(end) >= 0])
        engine.cuda.empty_cache()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [True, True]


def test_wrong_probabilities_are_named(cuda: str) -> None:
    with pytest.raises(
        ValueError, match=r"\[bernoulli\] input: expected probabilities in \[0, 1\], got 1.5 at position 2"
    ):
        engine.bernoulli(engine.tensor([0.5, 1.0, 1.5]).to(cuda)).cpu()


def test_subnormal_numbers_count_as_zero(cuda: str) -> None:
    x = np.zeros(1100, np.float32)
    x[[3, 1050]] = 1e-40, 2.0
    for t in (engine.tensor(x), engine.tensor(x).to(cuda)):
        assert engine.nonzero(t).cpu().numpy().tolist() == [[1050]] and int(engine.count_nonzero(t).item()) == 1


def test_a_forked_process_is_told(cuda: str) -> None:
    x = engine.ones(4, device=cuda)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            engine.zeros(3, device=cuda)
            text = "no error"
        except RuntimeError as error:
            text = str(error)
        os.write(writing, text.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert "got a fork of it" in os.read(reading, 1000).decode()
    assert x.sum().item() == 4
    os.close(reading)
    os.close(writing)
