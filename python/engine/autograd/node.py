"""Node: what one differentiable call leaves behind."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from engine._core import Array, first_changed, versions
from engine.autograd.modes import mode
from engine.autograd.rows import dense
from engine.device import device_of
from engine.errors import BadState, BadValue, amount
from engine.tensor import RemovableHandle, Tensor, as_array

__all__ = ["AccumulateGrad", "Node"]

_numbers = count()  # nodes in the order in which they are made
NOTHING: Any = {}  # never written to
Edge = Any  # None, a leaf Tensor, or (Node, output index)
place: Callable[[], str] | None = None  # while anomaly detection is on: where the program called the op


class Node:
    """One differentiable call. `backward(node, *gradients)` returns a gradient (Array or None) for each input."""

    # Defaults are set on the class, because every op of a training step pays for what `__init__` sets.
    outputs: tuple[tuple[tuple[int, ...], Any, int], ...] = ()  # shape, dtype and device of each
    _versions: tuple[int | None, ...] = ()
    _hooks: dict[int, dict[int, Any]] = NOTHING  # by output, then by the hook's number
    _retained: dict[int, weakref.ref[Tensor]] = NOTHING  # by output
    made_at: str | None = None  # with anomaly detection: the line of the program that called the op
    _around: tuple[dict[Any, Any], dict[Any, Any]] | None = None  # hooks before and after `backward`
    _call: Any = None  # the call of a checkpointed function, which runs again to make what the op saved

    def __init__(
        self, op: str, inputs: Sequence[Tensor | None], backward: Callable[..., Any], saved: tuple[Any, ...]
    ) -> None:
        self.op = op
        self.backward = backward
        self.number = next(_numbers)
        self.edges: list[Edge] = [
            None if x is None or not x._requires_grad else x if x._node is None else (x._node, x._index) for x in inputs
        ]
        self._saved: tuple[Any, ...] | None = saved
        if place is not None:
            self.made_at = place()
        if saved:
            self._versions = versions(saved)
            if mode.recorder is not None:
                self._saved = mode.recorder(self, saved)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    def name(self) -> str:
        """The op as PyTorch writes it: "MulBackward0" for mul and mul_; of a user's Function "SquareBackward"."""
        words = self.op.strip("_").split("_")
        return (
            f"{self.op}Backward"
            if self.op[:1].isupper()
            else "".join(w[:1].upper() + w[1:] for w in words) + "Backward0"
        )

    def named(self) -> Node:
        """This node, once it is of a class with the name of the op: tools that draw graphs read the name of the class."""
        kind = type(self)
        if kind.__name__ != self.name():
            self.__class__ = _kind(kind, self.name())
        return self

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """For each input the node that made it, and which output of that node it is; of a leaf its `AccumulateGrad`."""
        return tuple(
            [
                (None, 0) if e is None else (e[0].named(), e[1]) if type(e) is tuple else (accumulator(e), 0)
                for e in self.edges
            ]
        )

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary for the user's notes."""
        notes: dict[Any, Any] = self.__dict__.setdefault("_metadata", {})
        return notes

    @property
    def requires_grad(self) -> bool:
        """True: there are nodes only for what requires grad."""
        return True

    def register_prehook(self, hook: Callable[[tuple[Tensor | None, ...]], Any]) -> RemovableHandle:
        """Calls `hook(grad_outputs)` before the backward of this node. If it returns a tuple, that replaces the gradients."""
        return RemovableHandle(self._hooks_around()[0], hook)

    def register_hook(
        self, hook: Callable[[tuple[Tensor | None, ...], tuple[Tensor | None, ...]], Any]
    ) -> RemovableHandle:
        """Calls `hook(grad_inputs, grad_outputs)` after the backward of this node. If it returns a tuple, that replaces grad_inputs."""
        return RemovableHandle(self._hooks_around()[1], hook)

    def _hooks_around(self) -> tuple[dict[Any, Any], dict[Any, Any]]:
        if self._around is None:
            self._around, self.backward = ({}, {}), _hooked(self.backward)
        return self._around

    @property
    def needs(self) -> tuple[bool, ...]:
        """Which inputs need a gradient."""
        return tuple([edge is not None for edge in self.edges])

    @property
    def saved(self) -> tuple[Any, ...]:
        """What the op saved. Raises RuntimeError if it was freed or has been overwritten since."""
        if self._call is not None:
            self._call.again()
        saved = self._saved
        if saved is None:
            raise freed(self.op)
        changed = first_changed(saved, self._versions)
        if changed >= 0:
            array, version = saved[changed], self._versions[changed]
            got = f"array {changed} of shape {array.shape}, modified by an in-place operation"
            hint = f"it was saved at version {version} and is at version {array.version}"
            raise BadState(self.op, "backward", "the arrays that the op saved, unchanged", got, hint)
        return saved

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


def described(array: Array) -> str:
    """What a gradient is, in an error."""
    return f"shape {array.shape} and dtype {array.dtype.name} on {device_of(array.device)}"


def freed(name: str) -> BadState:
    """The error of a second walk over a graph that the first one freed."""
    return BadState(
        name,
        "backward",
        "a graph that backward has not freed",
        "one that it has freed",
        "pass retain_graph=True to the first backward",
    )


_kinds: dict[tuple[Any, str], type[Node]] = {}


def _kind(kind: type[Node], name: str) -> type[Node]:
    """The subclass of `kind` with that name, the same at each call."""
    if (kind, name) not in _kinds:
        _kinds[kind, name] = type(name, (kind,), {"__module__": kind.__module__})
    return _kinds[kind, name]


def _hooked(backward: Callable[..., Any]) -> Callable[..., Any]:
    """`backward` with the hooks of its node around it."""

    def run(node: Node, *gradients: Any) -> tuple[Any, ...]:
        assert node._around is not None
        before, after = node._around
        given = _tensors(gradients)
        for hook in list(before.values()):
            given = _replaced(node, given, hook(given))
        results = backward(node, *_arrays(given))
        made = _tensors(results if type(results) is tuple else (results,))
        for hook in list(after.values()):
            made = _replaced(node, made, hook(made, given))
        return _arrays(made)

    return run


def _tensors(gradients: tuple[Any, ...]) -> tuple[Tensor | None, ...]:
    return tuple([None if g is None else Tensor(dense(g)) for g in gradients])


def _arrays(tensors: tuple[Tensor | None, ...]) -> tuple[Array | None, ...]:
    return tuple([None if t is None else t._data for t in tensors])


def _replaced(node: Node, before: tuple[Tensor | None, ...], result: Any) -> tuple[Tensor | None, ...]:
    """The gradients that a hook returned; `before` if it returned None."""
    if result is None:
        return before
    given = result if isinstance(result, tuple | list) else (result,)
    if len(given) != len(before):
        raise BadState(node.op, "hook", amount(len(before), "gradient"), len(given))
    for i, (new, old) in enumerate(zip(given, before)):
        if new is None or old is None:
            continue
        if as_array(node.op, f"hook, gradient {i}", new).meta != old._data.meta:
            raise BadValue(node.op, "hook", f"gradient {i} of {described(old._data)}", described(new._data))
    return tuple(given)


# ---------------------------------------------------------------- where a graph ends


class AccumulateGrad(Node):
    """The end of a graph at the leaf `variable`: what adds a gradient to its `grad`."""

    def __init__(self, variable: Tensor) -> None:
        super().__init__("accumulate_grad", (), lambda node, g: None, ())
        self.variable = variable
        self._last: Tensor | None = None

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def register_prehook(self, hook: Callable[[tuple[Tensor | None, ...]], Any]) -> RemovableHandle:
        """Calls `hook((gradient,))` before the gradient is added. If it returns a tuple, that replaces the gradient."""
        return self.variable.register_hook(lambda g: _replaced(self, (g,), hook((g,)))[0])

    def register_hook(
        self, hook: Callable[[tuple[Tensor | None, ...], tuple[Tensor | None, ...]], Any]
    ) -> RemovableHandle:
        """Calls `hook((), (gradient,))` after the gradient was added to `variable.grad`."""
        self.variable.register_hook(self._keep)
        return self.variable.register_post_accumulate_grad_hook(lambda _: hook((), (self._last,)))

    def _keep(self, gradient: Tensor) -> None:
        self._last = gradient


def accumulator(leaf: Tensor) -> AccumulateGrad:
    """The one AccumulateGrad of a leaf."""
    if leaf._accumulator is None:
        leaf._accumulator = AccumulateGrad(leaf)
    found: AccumulateGrad = leaf._accumulator
    return found
