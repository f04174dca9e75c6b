"""Methods about memory: `untyped_storage`, `storage_offset`, `detach_`, `sum_to_size`, `resize_`, `share_memory_`."""

from __future__ import annotations

import os

import pytest

import engine


def test_storage() -> None:
    x = engine.arange(12).reshape(3, 4)
    part = x[1:, 2:]
    assert part.storage_offset() == 6 and x.storage_offset() == 0
    assert part.untyped_storage().data_ptr() == x.untyped_storage().data_ptr() == x.data_ptr()
    assert part.untyped_storage().nbytes() == len(part.untyped_storage()) == x.untyped_storage().size() >= 96
    assert part.untyped_storage().device == engine.device("cpu")
    assert x.clone().untyped_storage().data_ptr() != x.data_ptr()


def test_detach_in_place() -> None:
    leaf = engine.ones(3, requires_grad=True)
    y = leaf * 2
    assert y.detach_() is y and y.is_leaf and not y.requires_grad
    (y * leaf).sum().backward()
    assert leaf.grad.tolist() == [2, 2, 2]
    assert not engine.ones(1, requires_grad=True).detach_().requires_grad
    with pytest.raises(RuntimeError, match=r"\[detach_\] self: expected a tensor that is no view"):
        (leaf * 2)[1:].detach_()


def test_sum_to_size() -> None:
    x = engine.arange(24.0).reshape(2, 3, 4).requires_grad_()
    y = x.sum_to_size(3, 1)
    assert y.tolist() == x.detach().sum(0).sum(1, keepdim=True).tolist()
    y.backward(engine.tensor([[1.0], [2.0], [3.0]]))
    assert x.grad[0].tolist() == x.grad[1].tolist() == [[1.0] * 4, [2.0] * 4, [3.0] * 4]
    assert x.sum_to_size((2, 3, 4)) is x and x.sum_to_size(()).shape == ()
    for size in ((2, 4), (1, 2, 3, 4)):
        with pytest.raises(ValueError, match=r"\[sum_to_size\] size: expected a shape that broadcasts to \(2, 3, 4\)"):
            x.sum_to_size(size)


def test_resize() -> None:
    x = engine.arange(6)
    place = x.data_ptr()
    assert x.resize_(2, 2) is x and x.tolist() == [[0, 1], [2, 3]] and x.data_ptr() == place
    assert x.resize_((6,)).tolist() == [0, 1, 2, 3, 4, 5]  # they were there all the time
    x.resize_(3, 100)
    assert x.shape == (3, 100) and x.is_contiguous() and x.flatten()[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert x.resize_(0).shape == (0,) and x.resize_(2, 0, 3).shape == (2, 0, 3)
    assert x.resize_as_(engine.zeros(2, 2)).shape == (2, 2)
    strided = engine.arange(6).reshape(2, 3).T
    assert strided.resize_(6).tolist() == [0, 1, 2, 3, 4, 5]  # the order of memory
    with pytest.raises(RuntimeError, match=r"\[resize_\] self: expected a tensor that does not require grad"):
        engine.ones(2, requires_grad=True).resize_(3)
    with pytest.raises(ValueError, match=r"\[resize_\] sizes"):
        engine.ones(2).resize_(-1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_shared_memory() -> None:
    x, alone = engine.arange(4.0).share_memory_(), engine.arange(4.0)
    assert x.tolist() == [0, 1, 2, 3]
    child = os.fork()
    if not child:
        x.numpy()[:] = 7  # NumPy alone: no threads of the pool after a fork
        alone.numpy()[:] = 7
        os._exit(0)
    os.waitpid(child, 0)
    assert x.tolist() == [7, 7, 7, 7] and alone.tolist() == [0, 1, 2, 3]
    y = engine.zeros(4)
    view = y[1:]
    with pytest.raises(RuntimeError, match=r"\[share_memory_\] self"):
        y.share_memory_()
    assert view.tolist() == [0, 0, 0]
