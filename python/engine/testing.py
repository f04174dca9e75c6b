"""What PyTorch has in `torch.testing`: `assert_close`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine import _core
from engine.errors import require
from engine.ops.closeness import isclose
from engine.ops.factory import as_tensor
from engine.tensor import Tensor

__all__ = ["assert_close"]

# rtol and atol by dtype, PyTorch's; all others: equal.
_TOLERANCES = {
    _core.float16: (1e-3, 1e-5),
    _core.bfloat16: (1.6e-2, 1e-5),
    _core.float32: (1.3e-6, 1e-5),
    _core.float64: (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: Any = None,
) -> None:
    """Raises AssertionError unless |actual - expected| <= atol + rtol * |expected| for all elements, and shape, dtype and device are equal.

    Tensors, numbers, arrays, and sequences and mappings of them. rtol, atol: both or neither; by default by the dtype, the larger one
    of the two tensors. equal_nan: NaN equals NaN. check_*: also compare that. msg: the text of the error, or a function of the usual text.
    """
    require((rtol is None) == (atol is None), "assert_close", "rtol, atol", "both or neither", f"{rtol} and {atol}")
    checks = {"device": check_device, "dtype": check_dtype, "stride": check_stride}
    problem = _problem(actual, expected, "", rtol, atol, equal_nan, checks)
    if problem:
        raise AssertionError(msg(problem) if callable(msg) else msg or problem)


def _problem(a: Any, b: Any, at: str, rtol: Any, atol: Any, equal_nan: bool, checks: Mapping[str, bool]) -> str:
    """What differs, in a sentence; "" if nothing does. at: where in the sequences and mappings."""
    where = f" at {at}" if at else ""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if set(a) != set(b):
            return f"The keys{where} differ: {sorted(map(str, a))} and {sorted(map(str, b))}."
        pairs = [(f"{at}[{key!r}]", a[key], b[key]) for key in a]
        return next(filter(None, (_problem(x, y, i, rtol, atol, equal_nan, checks) for i, x, y in pairs)), "")
    if isinstance(a, Sequence) and isinstance(b, Sequence) and not isinstance(a, str):
        if len(a) != len(b):
            return f"The lengths{where} differ: {len(a)} and {len(b)}."
        pairs = [(f"{at}[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b))]
        return next(filter(None, (_problem(x, y, i, rtol, atol, equal_nan, checks) for i, x, y in pairs)), "")
    numbers = not isinstance(a, Tensor) and not isinstance(b, Tensor)
    a, b = as_tensor(a).detach(), as_tensor(b).detach()
    if a.shape != b.shape:
        return f"The shapes{where} differ: {tuple(a.shape)} and {tuple(b.shape)}."
    for name, wanted in checks.items():
        x, y = (t.stride() if name == "stride" else getattr(t, name) for t in (a, b))
        if wanted and x != y and not numbers:
            return f"The {name}s{where} differ: {x} and {y}."
    if rtol is None:
        rtol, atol = (max(pair) for pair in zip(*(_TOLERANCES.get(t.dtype, (0.0, 0.0)) for t in (a, b))))
    if a.dtype is not b.dtype:
        a, b = a.double().cpu(), b.double().cpu()
    near = isclose(a, b.to(a.device), rtol=rtol, atol=atol, equal_nan=equal_nan)
    if near.all():
        return ""
    first = tuple((~near).nonzero()[0].tolist())
    count = near.numel() - int(near.sum())
    return (
        f"{count} of {near.numel()} elements{where} differ by more than atol={atol} and rtol={rtol} allow. "
        f"The first, at {list(first)}: {a[first].item()} and {b[first].item()}."
    )
