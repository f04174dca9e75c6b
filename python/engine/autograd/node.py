"""Node: what one differentiable call leaves behind."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from engine._core import Array
from engine.autograd.modes import mode
from engine.errors import BadState
from engine.tensor import Tensor

__all__ = ["Node"]

_numbers = count()  # nodes in the order in which they are made
NOTHING: Any = {}  # never written to
Edge = Any  # None, a leaf Tensor, or (Node, output index)
place: Callable[[], str] | None = None  # while anomaly detection is on: where the program called the op


class Node:
    """One differentiable call. `backward(node, *gradients)` returns a gradient (Array or None) for each input."""

    # Defaults are set on the class, because every op of a training step pays for what `__init__` sets.
    outputs: tuple[tuple[tuple[int, ...], Any, int], ...] = ()  # shape, dtype and device of each
    _versions: Sequence[int | None] = ()
    _hooks: dict[int, dict[int, Any]] = NOTHING  # by output, then by the hook's number
    _retained: dict[int, weakref.ref[Tensor]] = NOTHING  # by output
    made_at: str | None = None  # with anomaly detection: the line of the program that called the op
    _call: Any = None  # the call of a checkpointed function, which runs again to make what the op saved

    def __init__(
        self, name: str, inputs: Sequence[Tensor | None], backward: Callable[..., Any], saved: tuple[Any, ...]
    ) -> None:
        self.name = name
        self.backward = backward
        self.number = next(_numbers)
        self.edges: list[Edge] = [
            None if x is None or not x._requires_grad else x if x._node is None else (x._node, x._index) for x in inputs
        ]
        self._saved: tuple[Any, ...] | None = saved
        if place is not None:
            self.made_at = place()
        if saved:
            self._versions = [a.version if type(a) is Array else None for a in saved]
            if mode.recorder is not None:
                self._saved = mode.recorder(self, saved)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def needs(self) -> tuple[bool, ...]:
        """Which inputs need a gradient."""
        return tuple([edge is not None for edge in self.edges])

    @property
    def saved(self) -> tuple[Any, ...]:
        """What the op saved. Raises RuntimeError if it was freed or has been overwritten since."""
        if self._call is not None:
            self._call.again()
        if self._saved is None:
            raise freed(self.name)
        for i, version in enumerate(self._versions):
            if version is not None and self._saved[i].version != version:
                array = self._saved[i]
                got = f"array {i} of shape {array.shape}, modified by an in-place operation"
                hint = f"it was saved at version {version} and is at version {array.version}"
                raise BadState(self.name, "backward", "the arrays that the op saved, unchanged", got, hint)
        return self._saved

    def hooks_of(self, index: int) -> dict[int, Any]:
        """The hooks of the output with that number; the caller may add to them."""
        self._hooks = self._hooks or {}
        return self._hooks.setdefault(index, {})

    def retain(self, index: int, tensor: Tensor) -> None:
        """Puts the gradient of that output into `tensor.grad` too, as long as the tensor lives."""
        self._retained = {**self._retained, index: weakref.ref(tensor)}

    def hand_over(self, index: int, tensor: Tensor, node: Node) -> None:
        """`tensor` was output `index` of this node and becomes the output of `node`: `retain` of it moves along."""
        reference = self._retained.get(index)
        if reference is not None and reference() is tensor:
            self._retained = {i: r for i, r in self._retained.items() if i != index}
            node._retained = {0: reference}

    def free(self) -> None:
        """Lets go of the arrays that the op saved. A node that saved no array stays as it is and can be visited again."""
        if any(version is not None for version in self._versions):
            self._saved = self._call = None


def freed(name: str) -> BadState:
    """The error of a second walk over a graph that the first one freed."""
    return BadState(
        name,
        "backward",
        "a graph that backward has not freed",
        "one that it has freed",
        "pass retain_graph=True to the first backward",
    )
