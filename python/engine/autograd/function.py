"""Function: an op that the user writes, forward and backward in Python, like `torch.autograd.Function`."""

from __future__ import annotations

from typing import Any

from engine._core import Array
from engine.autograd.tape import Node, filled, no_grad, record
from engine.device import placed
from engine.errors import BadState, BadType, NotDefined, require
from engine.tensor import Tensor


class FunctionCtx:
    """What `forward` and `backward` of a Function share."""

    def __init__(self) -> None:
        self._tensors: tuple[Tensor | None, ...] = ()
        self._not_differentiable: set[int] = set()
        self.needs_input_grad: tuple[bool, ...] = ()
        self._node: Node | None = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors for backward, which raises RuntimeError if one was overwritten in between."""
        self._tensors = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Says in forward that these outputs have no gradient."""
        self._not_differentiable |= {id(t) for t in outputs}

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept. Raises RuntimeError if it was freed or has been overwritten since."""
        if self._node is not None:
            self._node.saved  # noqa: B018 - raises if freed or overwritten
        return self._tensors


class Function:
    """Subclass it with static methods `forward(ctx, *args)` and `backward(ctx, *grad_outputs)`; call `Name.apply(*args)`.

    `forward` gets the arguments of `apply` and returns a Tensor or a tuple of them. `backward` gets a gradient for each output
    (zeros if an output was not used) and returns one for each argument of `forward`, None for those that are not tensors.

        class Square(engine.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, grad):
                (x,) = ctx.saved_tensors
                return 2 * x * grad
    """

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Computes the outputs; nothing in it is recorded. ctx: a FunctionCtx, shared with `backward`."""
        raise NotDefined("Function", "forward", "a static method of this name in the subclass", "none")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments from those of the outputs."""
        raise NotDefined("Function", "backward", "a static method of this name in the subclass", "none")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs `forward` and records it.

        Raises TypeError if forward returns anything but Tensors. Keyword arguments reach `forward` but get no gradient."""
        ctx = FunctionCtx()
        inputs = tuple(a if isinstance(a, Tensor) else None for a in args)
        ctx.needs_input_grad = tuple(t is not None and t._requires_grad for t in inputs)
        with no_grad():
            outputs = cls.forward(ctx, *args, **kwargs)
        single = not isinstance(outputs, tuple | list)
        made = (outputs,) if single else tuple(outputs)
        for i, out in enumerate(made):
            got = type(out).__name__
            require(isinstance(out, Tensor), cls.__name__, "forward", f"a Tensor as output {i}", got, error=BadType)

        def run_backward(node: Node, *gradients: Any) -> tuple[Any, ...]:
            given = [Tensor(filled(meta, 0.0) if g is None else g) for g, meta in zip(gradients, node.outputs)]
            with no_grad():
                results = cls.backward(ctx, *given)
            results = results if isinstance(results, tuple) else (results,)
            expected = f"{len(args)} gradients, one for each argument of forward"
            require(len(results) == len(args), cls.__name__, "backward", expected, len(results), error=BadState)
            return tuple([_gradient(cls.__name__, i, r, x) for i, (r, x) in enumerate(zip(results, inputs))])

        saved = tuple(t._data for t in ctx._tensors if t is not None)
        tensors = record(cls.__name__, tuple(t._data for t in made), inputs, run_backward, *saved)
        for tensor, out in zip(tensors, made):
            if tensor._node is not None:
                ctx._node = tensor._node
            if id(out) in ctx._not_differentiable:
                tensor._node, tensor._requires_grad = None, False
        return tensors[0] if single else tensors


def _gradient(op: str, i: int, result: Any, source: Tensor | None) -> Array | None:
    """What backward returned for argument i, converted and moved like that argument, as PyTorch does."""
    if result is None or source is None:
        return None
    if not isinstance(result, Tensor):
        raise BadType(op, "backward", f"a Tensor or None as gradient {i}", type(result).__name__)
    require(result.shape == source.shape, op, "backward", f"shape {source.shape} for gradient {i}", result.shape)
    return placed(result._data, source.dtype, source._data.device)
