"""Anomaly detection: backward stops at the first op whose gradient has a NaN, and says where the op was called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd import node
from engine.errors import BadState

__all__ = ["detect_anomaly", "set_detect_anomaly"]

K = _core.kernels
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class _State:
    enabled = False
    check_nan = True


state = _State()  # of the whole program, as in PyTorch


class set_detect_anomaly:
    """Switches anomaly detection on or off at once. As a context manager it restores the state of before at the end.

    mode: while it is on, each op notes where it is called, and backward raises RuntimeError at the first op whose gradient has a
    NaN. check_nan: False only notes the places.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = (state.enabled, state.check_nan)
        _switch(bool(mode), check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _switch(*self._before)


def _switch(enabled: bool, check_nan: bool) -> None:
    state.enabled, state.check_nan = enabled, check_nan
    node.place = place if enabled else None


class detect_anomaly(set_detect_anomaly):
    """`with engine.autograd.detect_anomaly():` switches anomaly detection on. check_nan as in `set_detect_anomaly`."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)


def place() -> str:
    """The nearest line outside of engine that led here, as "file, line n"."""
    frame = sys._getframe(1)
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(_OWN + os.sep):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"


def check(name: str, made_at: str | None, gradients: Sequence[Any]) -> None:
    """Raises RuntimeError if a gradient that the backward of the op `name` returned has a NaN."""
    for i, gradient in enumerate(gradients):
        values = gradient if type(gradient) is Array or gradient is None else gradient.values
        if values is None or not values.dtype.is_floating_point:
            continue
        if K.any(K.isnan(values), (1 << values.ndim) - 1, False).item():
            where = "before anomaly detection was on" if made_at is None else f"in {made_at}"
            got = f"NaN in the gradient of input {i}"
            raise BadState(name, "backward", "gradients without NaN", got, f"the op was called {where}")
