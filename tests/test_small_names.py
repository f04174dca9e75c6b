"""Small ops and settings that scripts for PyTorch use."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import tensor

WINDOWS = {
    "hann_window": lambda x: 0.5 - 0.5 * np.cos(2 * np.pi * x),
    "hamming_window": lambda x: 0.54 - 0.46 * np.cos(2 * np.pi * x),
    "blackman_window": lambda x: 0.42 - 0.5 * np.cos(2 * np.pi * x) + 0.08 * np.cos(4 * np.pi * x),
    "bartlett_window": lambda x: 1 - np.abs(2 * x - 1),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name) -> None:
    window = getattr(engine, name)
    for length in (2, 5, 8):
        assert np.allclose(window(length).numpy(), WINDOWS[name](np.arange(length) / length), atol=1e-6)
        equal_ends = window(length, False, dtype=engine.float64).numpy()
        assert np.allclose(equal_ends, WINDOWS[name](np.arange(length) / (length - 1)), atol=1e-6)
    assert window(1).tolist() == [1.0] and window(0).tolist() == []
    assert window(3, requires_grad=True).requires_grad
    with pytest.raises(ValueError, match="window_length: expected a number >= 0"):
        window(-1)
    with pytest.raises(TypeError, match="a floating-point dtype"):
        window(3, dtype=engine.int64)


def test_heaviside() -> None:
    x = tensor([-2.0, -0.0, 0.0, 3.0, float("nan"), float("inf")])
    found = engine.heaviside(x, tensor([0.5])).tolist()
    assert found[:4] == [0, 0.5, 0.5, 1] and np.isnan(found[4]) and found[5] == 1
    assert engine.heaviside(tensor([-1, 0, 2]), tensor(7)).tolist() == [0, 7, 1]
    with pytest.raises(TypeError, match="values: expected float32, as input"):
        engine.heaviside(x, tensor([1]))


def test_cov_and_corrcoef() -> None:
    x = np.random.default_rng(0).standard_normal((3, 6))
    rows = tensor(x, dtype=engine.float64)
    assert np.allclose(engine.cov(rows).numpy(), np.cov(x))
    assert np.allclose(engine.cov(rows, correction=0).numpy(), np.cov(x, ddof=0))
    assert np.allclose(engine.cov(rows[0]).item(), np.cov(x[0]))
    assert np.allclose(engine.corrcoef(rows).numpy(), np.corrcoef(x))
    assert engine.cov(tensor([[1, 2], [3, 5]])).dtype is engine.float32
    assert engine.autograd.gradcheck(engine.cov, (rows.clone().requires_grad_(),))
    with pytest.raises(ValueError, match="at most 2 dimensions"):
        engine.cov(rows.view(1, 3, 6))
    often, much = np.array([1, 2, 1, 3, 1, 1]), np.array([0.5, 1, 2, 1, 0.1, 1])
    weights = {"fweights": tensor(often), "aweights": tensor(much, dtype=engine.float64)}
    assert np.allclose(engine.cov(rows, **weights).numpy(), np.cov(x, fweights=often, aweights=much))
    with pytest.raises(ValueError, match=r"fweights: expected shape \(6,\)"):
        engine.cov(rows, fweights=tensor([1, 2]))


def test_views_and_aliases() -> None:
    x = engine.arange(6.0).view(1, 2, 3)
    assert engine.equal(engine.adjoint(x), x.mT)
    y = engine.ones(2, requires_grad=True) * 2
    assert not engine.detach(y).requires_grad and engine.detach(y).data_ptr() == y.data_ptr()
    assert engine.equal(engine.special.expit(x), engine.sigmoid(x))
    assert engine.equal(engine.special.log_softmax(x, -1), engine.log_softmax(x, -1))


def test_default_device() -> None:
    """The CPU is the only default. Another one is refused, because tensors would not follow."""
    for cpu in ("cpu", None, engine.device("cpu")):
        engine.set_default_device(cpu)
    with engine.device("cpu") as device:
        assert device.type == engine.zeros(1).device.type == "cpu"
    for call in (lambda: engine.set_default_device("cuda"), lambda: engine.device("cuda:0").__enter__()):
        with pytest.raises(ValueError, match=r"pass device= to the calls that make tensors"):
            call()


def test_arguments_of_older_scripts() -> None:
    x = engine.ones(2, requires_grad=True)
    unused = engine.ones(1, requires_grad=True)
    # PyTorch's order: outputs, inputs, grad_outputs, retain_graph, create_graph, only_inputs, allow_unused
    found, none = engine.autograd.grad((x * 2).sum(), (x, unused), None, True, False, True, True)
    assert found.tolist() == [2, 2] and none is None
    with pytest.raises(RuntimeError, match="allow_unused=True"):
        engine.autograd.grad((x * 2).sum(), (x, unused), None, True, False, True)
    with pytest.raises(ValueError, match="only_inputs: expected True"):
        engine.autograd.grad((x * 2).sum(), x, only_inputs=False)
    assert engine.FloatTensor([1, 2], device="cpu").tolist() == [1, 2]
    assert engine.LongTensor(2, 3, device=engine.device("cpu")).shape == (2, 3)


def test_types_of_cuda_are_known_as_such() -> None:
    """`x.type(engine.cuda.FloatTensor)` moves the tensor, and isinstance asks for the place too."""
    for name in ("FloatTensor", "LongTensor", "BoolTensor"):
        there, here = getattr(engine.cuda, name), getattr(engine, name)
        assert there.on_cuda and not here.on_cuda and there.dtype is here.dtype
        x = engine.zeros(1, dtype=here.dtype)
        assert isinstance(x, here) and not isinstance(x, there)
    if not engine.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            engine.zeros(1).type(engine.cuda.FloatTensor)
