"""The printed form of a tensor, and its options."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import _core
from engine.errors import BadValue
from engine.tensor import Tensor, tensor_method

__all__ = ["set_printoptions"]

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 75, "sci_mode": None},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 75, "sci_mode": None},
    "full": {"precision": 4, "threshold": float("inf"), "edgeitems": 3, "linewidth": 75, "sci_mode": None},
}
_options = dict(_PROFILES["default"])


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed from now on; what is None stays as it is, except sci_mode.

    precision: digits behind the point. threshold: a tensor of more elements is shortened, to edgeitems at each end of a
    dimension. linewidth: characters in a line. profile: "default", "short" or "full" sets all of these first. sci_mode: True
    or False chooses numbers with or without exponents; None leaves it to the numbers. Raises ValueError for other profiles.
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise BadValue("set_printoptions", "profile", "'default', 'short' or 'full'", repr(profile))
        _options.update(_PROFILES[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({name: value for name, value in given.items() if value is not None})
    _options["sci_mode"] = sci_mode


def _text(x: Any, prefix: str) -> str:
    scientific, precision = _options["sci_mode"], _options["precision"]
    formatter: Any = None
    if scientific is not None and x.dtype.kind == "f":
        style = f".{precision}{'e' if scientific else 'f'}"
        formatter = {"float_kind": lambda v: format(v, style)}
    return np.array2string(
        x,
        separator=", ",
        precision=precision,
        prefix=prefix,
        threshold=_options["threshold"],
        edgeitems=_options["edgeitems"],
        max_line_width=_options["linewidth"],
        formatter=formatter,
    )


@tensor_method("__repr__")
def _repr(self: Tensor) -> str:
    x = self._data.to_device(-1)
    if x.dtype is _core.bfloat16:
        x = x.cast(_core.float32)
    suffix = "" if x.size or x.ndim == 1 else f", size={tuple(self.shape)}"
    if self.is_cuda:
        suffix += f", device='{self.device}'"
    if self.dtype not in (_core.float32, _core.int64, _core.bool):
        suffix += f", dtype={self.dtype}"
    if self.grad_fn is not None:
        suffix += f", grad_fn=<{self.grad_fn.name()}>"
    elif self.requires_grad:
        suffix += ", requires_grad=True"
    text = _text(np.asarray(x), "tensor(") if x.size else "[]"
    return f"tensor({text}{suffix})"
