"""Errors name the op that the user called, even if it is made of an op or a kernel with another name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from warnings import warn

from engine.errors import ArgumentError


def called_as(op: str, call: Callable[..., Any], *args: Any, input_as: str = "input", **kwargs: Any) -> Any:
    """call(*args, **kwargs), whose errors name `op`. input_as: the name that `op` gives to the argument `input`."""
    try:
        return call(*args, **kwargs)
    except ArgumentError as error:
        error.relabel(op, {"input": input_as})
        raise


def in_old_order(op: str, keyword: str) -> None:
    """Warns that the arguments stand in the order of PyTorch before version 1.5: the factor first."""
    warn(f"{op}(number, tensor) is PyTorch's old order; write {op}(tensor, {keyword}=number)", stacklevel=3)
