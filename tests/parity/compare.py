"""When two results agree, and what a failure is called."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import torch

from .sides import Missing

# (rtol, atol): sums of another order, and exp and erf of another polynomial, differ by a few units in the last place.
TOLERANCES = {
    torch.float64: (1e-7, 1e-9),
    torch.float32: (2e-4, 2e-5),
    torch.float16: (5e-3, 1e-3),
    torch.bfloat16: (2e-2, 1e-2),
}


@dataclass(frozen=True)
class Fault:
    """A disagreement: where (forward, method, in-place, gradient, …), its kind, and what was seen."""

    stage: str
    kind: str
    example: str


def difference(expected: Any, got: Any, *, values: bool = True, loose: bool = False) -> tuple[str, str] | None:
    """The kind of the first disagreement of two results and a sentence on it; None if they agree.

    values: whether values count, beside types, dtypes and shapes. loose: for figures at the end of a training.
    """
    if isinstance(expected, torch.Tensor) or isinstance(got, torch.Tensor):
        if not isinstance(expected, torch.Tensor) or not isinstance(got, torch.Tensor):
            return "type", f"{type(expected).__name__} expected, got {type(got).__name__}"
        return _tensors(expected, got, values, 10 if loose else 1)
    if isinstance(expected, list | dict):
        if type(got) is not type(expected) or len(got) != len(expected):
            return "number of outputs", f"{_brief(expected)} expected, got {_brief(got)}"
        if isinstance(expected, dict):
            if list(expected) != list(got):
                return "names", f"{list(expected)} expected, got {list(got)}"
            expected, got = list(expected.values()), list(got.values())
        return next((d for e, g in zip(expected, got) if (d := difference(e, g, values=values, loose=loose))), None)
    if isinstance(expected, float) and isinstance(got, int | float):
        rtol, atol = TOLERANCES[torch.float32]
        scale = 10 if loose else 1
        same = math.isclose(expected, got, rel_tol=rtol * scale, abs_tol=atol * scale) or (
            expected != expected and got != got
        )
        return None if same or not values else ("value", f"{expected} expected, got {got}")
    if expected == got or (not values and type(expected) is type(got)):
        return None
    return "value", f"{_brief(expected)} expected, got {_brief(got)}"


ROUNDED = (torch.float32, torch.bfloat16, torch.float16)


def in_double(value: Any) -> Any:
    """An argument of a sample of less precision for float64."""
    if isinstance(value, torch.Tensor) and value.dtype in ROUNDED:
        return value.detach().double().requires_grad_(value.requires_grad)
    return torch.float64 if isinstance(value, torch.dtype) and value in ROUNDED else value


def near_exact(expected: Any, got: Any, truth: Any) -> bool:
    """Whether float32 results that differ are both near those of float64: `got` at most twice as far as PyTorch's own."""
    ours, theirs, exact = (_all_tensors(v) for v in (got, expected, truth))
    if not len(ours) == len(theirs) == len(exact) or any(o.shape != x.shape for o, x in zip(ours, exact)):
        return False
    return all(
        bool(((o - x).abs().max() <= 2 * (t - x).abs().max()) if x.is_floating_point() else (o == x).all())
        for o, t, x in zip(ours, theirs, exact)
        if x.numel()
    )


def _all_tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [t for v in value for t in _all_tensors(v)]
    return [value] if isinstance(value, torch.Tensor) else []


def _tensors(expected: torch.Tensor, got: torch.Tensor, values: bool, scale: int) -> tuple[str, str] | None:
    if expected.dtype != got.dtype:
        return "dtype", f"{expected.dtype} expected, got {got.dtype}"
    if expected.shape != got.shape:
        return "shape", f"{tuple(expected.shape)} expected, got {tuple(got.shape)}"
    if not values:
        return None
    rtol, atol = TOLERANCES.get(expected.dtype, (0, 0))
    near = torch.isclose(expected, got, rtol=rtol * scale, atol=atol * scale, equal_nan=True)
    if near.all():
        return None
    at = tuple((~near).nonzero()[0].tolist())
    return "value", f"{expected[at].item()} expected at {list(at)}, got {got[at].item()}"


def _brief(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_brief(v) for v in value[:6]) + ("]" if len(value) <= 6 else f", … {len(value)} in all]")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_brief(v)}" for k, v in value.items()) + "}"
    if isinstance(value, torch.nn.Module):
        return f"a {type(value).__name__}"
    return getattr(value, "__name__", None) or repr(value)[:80]


def describe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """A call's arguments in short: `float32[3, 4], dim=1`."""
    return ", ".join([_brief(a) for a in args] + [f"{k}={_brief(v)}" for k, v in kwargs.items()])


def kind_of_error(error: Exception) -> str:
    """What an exception says of the side that raised it: which name, argument or dtype is missing."""
    text = str(error)
    if isinstance(error, Missing):
        return f"missing name: {error.name}"
    if found := re.search(r"unexpected keyword argument '(\w+)'", text):
        return f"missing argument: {found[1]}"
    if re.search(r"positional arguments? but|missing \d+ required|multiple values for|positional-only", text):
        return "missing argument, or another order"
    if found := re.search(r"has no attribute '(\w+)'|cannot import name '(\w+)'|No module named '([\w.]+)'", text):
        return f"missing name: {found[1] or found[2] or found[3]}"
    dtypes = r"float16|bfloat16|float32|float64|int8|int16|int32|int64|uint8|bool"
    if found := re.search(rf"got (?:a tensor of )?(?:dtype )?({dtypes})\b", text):
        return f"missing dtype: {found[1]}"
    return f"refused ({type(error).__name__})"


def sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
