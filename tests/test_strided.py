"""Views of memory with other strides or as another dtype."""

from __future__ import annotations

import numpy as np
import pytest

import engine

NAMES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("target", NAMES)
def test_view_as_another_dtype_is_numpys(source: str, target: str) -> None:
    a = np.arange(48).reshape(3, 16).astype(source)
    x = engine.from_numpy(a)
    y = x.view(getattr(engine, target))
    expected = a.view(target)
    assert y.dtype is getattr(engine, target) and y.numpy().tobytes() == expected.tobytes()
    assert tuple(y.shape) == expected.shape and y.data_ptr() == x.data_ptr()
    part = x[1:, 8:].view(dtype=getattr(engine, target))
    assert part.clone().numpy().tobytes() == a[1:, 8:].view(target).tobytes()


def test_writing_through_a_view_of_bits() -> None:
    x = engine.tensor([1.0, -2.0])
    bits = x.view(engine.int32)
    bits &= 0x7FFFFFFF
    assert x.tolist() == [1.0, 2.0]
    assert engine.tensor(1.0).view(engine.int32).item() == 0x3F800000
    assert engine.tensor([1.0]).to(engine.bfloat16).view(engine.int16).item() == 0x3F80


def test_a_view_of_bits_has_no_gradient_and_its_own_dtype_has() -> None:
    x = engine.ones(2, requires_grad=True)
    assert not x.view(engine.int32).requires_grad
    x.view(engine.float32).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: engine.ones(3).view(engine.float64), "whole elements of float64"),
        (lambda: engine.ones(4, 4).T.view(engine.int8), "stride 1"),
        (lambda: engine.ones(4, 5)[:, :4].view(engine.int64), "a stride that fills"),
        (lambda: engine.ones(5)[1:].view(engine.int64), "an offset that fills"),
        (lambda: engine.tensor(1.0).view(engine.int8), "0 dimensions"),
        (lambda: engine.tensor([2], dtype=engine.uint8).view(engine.bool), "0 or 1"),
    ],
)
def test_what_cannot_be_viewed(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_bytes_of_truth() -> None:
    assert engine.tensor([1, 0], dtype=engine.uint8).view(engine.bool).tolist() == [True, False]
    assert engine.tensor([True]).view(engine.uint8).tolist() == [1]


def test_as_strided_is_a_view() -> None:
    x = engine.arange(10.0)
    windows = x.as_strided((4, 3), (2, 1))
    assert windows.tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 8]] and windows.data_ptr() == x.data_ptr()
    assert x[2:].as_strided((2,), (3,)).tolist() == [2, 5] and x[2:].as_strided((2,), (3,), 1).tolist() == [1, 4]
    engine.as_strided(x, (2,), (5,), 1)[0] = 9
    assert x[1] == 9
    with pytest.raises(ValueError, match="a view within the storage"):
        x.as_strided((4,), (4,))


def test_the_gradient_of_as_strided_is_summed_where_elements_share_a_place() -> None:
    x = engine.arange(5.0).requires_grad_()
    weight = engine.arange(6.0).view(3, 2)
    (x.as_strided((3, 2), (1, 1)) * weight).sum().backward()
    expected = np.zeros(5)
    for i in range(3):
        for j in range(2):
            expected[i + j] += 2 * i + j
    assert x.grad.tolist() == expected.tolist()


def test_the_gradient_of_a_view_that_reaches_beyond_its_input() -> None:
    x = engine.arange(6.0).requires_grad_()
    y = x[2:4]
    (y.as_strided((6,), (1,), 0) * engine.arange(6.0)).sum().backward()
    assert x.grad.tolist() == [0, 0, 2, 3, 0, 0]


def test_writing_to_a_strided_view_before_backward() -> None:
    x = engine.ones(4, requires_grad=True)
    y = x * 2
    y.as_strided((2,), (2,)).mul_(5)
    y.sum().backward()
    assert x.grad.tolist() == [10, 2, 10, 2]


def test_a_repeated_tensor_with_a_gradient_is_refused() -> None:
    x = engine.ones(1, requires_grad=True).expand(3)
    with pytest.raises(RuntimeError, match="some share a place"):
        x.as_strided((2,), (0,))
