"""What the methods of a task must give back. Own tasks are written by others, so errors name the task's class and its method."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from engine.errors import BadType, BadValue, require
from engine.settings import checked
from engine.tensor import Tensor

__all__ = ["checked_attributes", "checked_figures", "checked_settings", "checked_weight", "plain"]


def checked_attributes(task: Any) -> None:
    """Raises TypeError for names of figures that are not strings, or for one string instead of a list of them."""
    for name, kind in (("metric", str), ("headline", str | None), ("metrics", tuple[str, ...] | None)):
        checked(type(task).__name__, name, kind, getattr(task, name))
    checked(type(task).__name__, "minimize", tuple[str, ...], task.minimize)


def checked_figures(task: Any, figures: Any) -> dict[str, float]:
    """The figures of `task.evaluate` as Python's numbers. Raises TypeError for anything but a mapping of names to numbers."""
    op, expected = f"{type(task).__name__}.evaluate", "a mapping of names to numbers"
    require(isinstance(figures, Mapping), op, "figures", expected, type(figures).__name__, error=BadType)
    return {checked(op, "figures", str, name): _number(op, name, value) for name, value in figures.items()}


def _number(op: str, name: str, value: Any) -> Any:
    if isinstance(value, (Tensor, np.ndarray)) and math.prod(value.shape) == 1:
        value = value.item()
    return checked(op, name, float, value)


def checked_weight(task: Any, batch: Any) -> float:
    """`task.weight(batch)`. Raises TypeError if it is not a number, ValueError if it is negative or not finite."""
    op = f"{type(task).__name__}.weight"
    weight = float(_number(op, "weight", task.weight(batch)))
    require(0 <= weight < math.inf, op, "weight", "a finite number >= 0", weight)
    return weight


def checked_settings(task: Any) -> dict[str, Any]:
    """`task.settings()` as JSON gives it back. Raises TypeError or ValueError for what does not fit JSON."""
    op = f"{type(task).__name__}.settings"
    settings = task.settings()
    require(isinstance(settings, Mapping), op, "settings", "a mapping", type(settings).__name__, error=BadType)
    return plain(op, "settings", settings, finite=True)


def plain(op: str, name: str, value: Any, finite: bool = False) -> Any:
    """`value` as JSON would give it back: lists for tuples and arrays, Python's numbers for NumPy's, strings for paths and keys.

    finite: whether infinite numbers and NaN, which JSON does not have, are refused. Raises TypeError or ValueError; `name` is where
    in the whole the wrong value is.
    """
    if isinstance(value, Mapping):
        found = {}
        for key, each in value.items():
            right = isinstance(key, (str, Integral))
            require(right, op, name, "names as keys", repr(key), error=BadType)
            found[str(key)] = plain(op, f"{name}[{key!r}]", each, finite)
        require(len(found) == len(value), op, name, "keys that differ as strings", ", ".join(map(repr, value)))
        return found
    if isinstance(value, (Tensor, np.ndarray)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(op, f"{name}[{i}]", each, finite) for i, each in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, (str, bool, np.bool_)):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, Integral):
        return int(value)
    if not isinstance(value, Real):
        raise BadType(op, name, "a value that fits JSON", type(value).__name__)
    if finite and not math.isfinite(value):
        raise BadValue(op, name, "a finite number, as JSON has no other", float(value))
    return float(value)
