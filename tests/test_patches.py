"""unfold and fold: against patches that are cut by hand, as each other's transpose, and against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import nn
from engine.autograd import gradcheck
from engine.nn import functional as F

SETTINGS = [
    {"kernel_size": 2},
    {"kernel_size": (2, 3), "stride": (1, 2)},
    {"kernel_size": 3, "padding": (1, 2), "stride": 2},
    {"kernel_size": 2, "dilation": (2, 1), "padding": 1},
]


def picture(*shape, grad=False):
    values = np.random.default_rng(0).standard_normal(shape)
    return engine.tensor(values, dtype=engine.float64, requires_grad=grad)


def cut(x, kernel_size, dilation=1, padding=0, stride=1):
    """The columns, one by one."""
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = [
        (v, v) if isinstance(v, int) else v for v in (kernel_size, dilation, padding, stride)
    ]
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    rows, columns = range(0, x.shape[2] - dh * (kh - 1), sh), range(0, x.shape[3] - dw * (kw - 1), sw)
    patches = [
        x[:, :, i : i + dh * (kh - 1) + 1 : dh, j : j + dw * (kw - 1) + 1 : dw].reshape(len(x), -1)
        for i in rows
        for j in columns
    ]
    return np.stack(patches, 2)


@pytest.mark.parametrize("how", SETTINGS)
def test_unfold_and_fold(how) -> None:
    x = picture(2, 3, 5, 6)
    columns = F.unfold(x, **how)
    assert np.array_equal(columns.numpy(), cut(x.numpy(), **how))
    assert engine.equal(nn.Unfold(**how)(x[0]), columns[0])
    # <unfold(x), y> = <x, fold(y)>
    y = picture(*columns.shape)
    together = nn.Fold((5, 6), **how)(y)
    assert np.isclose((columns * y).sum().item(), (x * together).sum().item())
    assert engine.equal(F.fold(y[0], (5, 6), **how), together[0])
    assert gradcheck(lambda a: F.unfold(a, **how), (picture(1, 2, 4, 5, grad=True),))
    small = F.unfold(picture(1, 2, 4, 5), **how).detach().requires_grad_()
    assert gradcheck(lambda a: F.fold(a, (4, 5), **how), (small,))


def test_mistakes() -> None:
    x = picture(1, 2, 4, 4)
    for call, match in [
        (lambda: F.unfold(x[0, 0], 2), "input: expected 3 or 4 dimensions"),
        (lambda: F.unfold(x, 5), "kernel_size: expected at least one patch"),
        (lambda: F.unfold(x, 0), "kernel_size: expected one number >= 1"),
        (lambda: F.unfold(x, (2, 2, 2)), "kernel_size: expected one number"),
        (lambda: F.fold(picture(1, 8, 8), 4, 2), r"input: expected shape \(1, a multiple of 4, 9\)"),
        (lambda: F.fold(picture(1, 7, 9), 4, 2), r"input: expected shape \(1, a multiple of 4, 9\)"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()


@pytest.mark.parametrize("how", SETTINGS)
def test_against_pytorch(how) -> None:
    torch = pytest.importorskip("torch")
    x = picture(2, 3, 5, 6)
    wanted = torch.nn.functional.unfold(torch.from_numpy(x.numpy()), **how)
    assert np.array_equal(F.unfold(x, **how).numpy(), wanted.numpy())
    back = torch.nn.functional.fold(wanted, (5, 6), **how)
    assert np.allclose(F.fold(F.unfold(x, **how), (5, 6), **how).numpy(), back.numpy())
    assert repr(nn.Fold((5, 6), 2)) == repr(torch.nn.Fold((5, 6), 2))
