"""Function: an op that the user writes, forward and backward in Python, like `torch.autograd.Function`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from engine._core import Array
from engine.autograd.tape import Node, filled, needs_grad, no_grad, record, record_inplace
from engine.autograd.views import OF_FUNCTION, check_inplace, mark_view
from engine.device import placed
from engine.errors import BadState, BadType, NotDefined, amount, require
from engine.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


class FunctionCtx:
    """What `forward` and `backward` of a Function share."""

    def __init__(self) -> None:
        self._tensors: tuple[Tensor | None, ...] = ()
        self._not_differentiable: set[int] = set()
        self._dirty: set[int] = set()
        self._materialize = True
        self.needs_input_grad: tuple[bool, ...] = ()
        self._node: Node | None = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors for backward, which raises RuntimeError if one was overwritten in between."""
        self._tensors = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Says in forward that these outputs have no gradient."""
        self._not_differentiable |= {id(t) for t in outputs}

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Says in forward that these arguments were written in place. Forward must return them."""
        self._dirty |= {id(t) for t in tensors}

    def set_materialize_grads(self, value: bool) -> None:
        """False: backward gets None for an output that was not used. True, the default: it gets zeros."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept. Raises RuntimeError if it was freed or has been overwritten since."""
        if self._node is not None:
            self._node.saved  # noqa: B018 - raises if freed or overwritten
        return self._tensors


class Function:
    """Subclass it with static methods `forward(ctx, *args)` and `backward(ctx, *grad_outputs)`; call `Name.apply(*args)`.

    `forward` gets the arguments of `apply` and returns a Tensor or a tuple. `backward` gets a gradient for each output (zeros if an
    output was not used, None for what is no Tensor) and returns one for each argument of `forward`, None for those that are not tensors.
    If the subclass defines `setup_context(ctx, inputs, output)`, `forward` gets no ctx, and `setup_context` is called after it.

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
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keeps in ctx what backward needs of the arguments and of the result of a `forward` that takes no ctx."""
        raise NotDefined("Function", "setup_context", "a static method of this name in the subclass", "none")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments from those of the outputs."""
        raise NotDefined("Function", "backward", "a static method of this name in the subclass", "none")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs `forward` and records it.

        What forward returns beside Tensors, such as None or numbers, passes through, and backward gets None for it. An output that
        shares memory with an argument, without `mark_dirty`, cannot be written in place if it requires grad. Keyword arguments reach `forward` but get no gradient."""
        ctx = FunctionCtx()
        name = cls.__name__
        inputs = tuple(a if isinstance(a, Tensor) else None for a in args)
        ctx.needs_input_grad = tuple(needs_grad(t) for t in inputs)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                outputs = cls.forward(ctx, *args, **kwargs)
            else:
                outputs = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, outputs)
        single = not isinstance(outputs, tuple | list)
        everything = (outputs,) if single else tuple(outputs)
        made = tuple([out for out in everything if isinstance(out, Tensor)])
        is_tensor = [isinstance(out, Tensor) for out in everything]
        if not made:
            return outputs if single else everything

        def run_backward(node: Node, *gradients: Any) -> tuple[Any, ...]:
            given = [
                Tensor(filled(meta, 0.0) if g is None else g) if g is not None or ctx._materialize else None
                for g, meta in zip(gradients, node.outputs)
            ]
            rest = iter(given)
            given = [next(rest) if made else None for made in is_tensor]
            with no_grad():
                results = cls.backward(ctx, *given)
            results = results if isinstance(results, tuple) else (results,)
            if all(extra is None for extra in results[len(args) :]):
                results = results[: len(args)]
            expected = f"{amount(len(args), 'gradient')}, one for each argument of forward"
            require(len(results) == len(args), name, "backward", expected, len(results), error=BadState)
            return tuple([_gradient(name, i, r, x) for i, (r, x) in enumerate(zip(results, inputs))])

        saved = tuple(t._data for t in ctx._tensors if t is not None)
        dirty = [t for t in made if id(t) in ctx._dirty]
        _check_dirty(name, ctx, inputs, made, dirty)
        if dirty and single:
            ctx._node = record_inplace(name, dirty[0], inputs, run_backward, *saved)._node
            return dirty[0]
        tensors = list(record(name, tuple(t._data for t in made), inputs, run_backward, *saved))
        for i, (tensor, out) in enumerate(zip(tensors, made)):
            if tensor._node is not None:
                ctx._node = tensor._node
            if id(out) in ctx._not_differentiable:
                tensor._node, tensor._requires_grad = None, False
            if id(out) in ctx._dirty:
                out._node, out._index, out._requires_grad = tensor._node, tensor._index, tensor._requires_grad
                tensors[i] = out
                continue
            for x in inputs:
                if x is not None and out._data.shares_storage(x._data):
                    mark_view(tensor, x, OF_FUNCTION if tensor._requires_grad else "")
        if single:
            return tensors[0]
        rest = iter(tensors)
        return tuple([next(rest) if isinstance(out, Tensor) else out for out in everything])


def once_differentiable(fn: F) -> F:
    """Decorates a backward that has no gradient itself. It changes nothing: engine has no gradients of gradients."""
    return fn


def _check_dirty(
    name: str, ctx: FunctionCtx, inputs: tuple[Tensor | None, ...], made: tuple[Tensor, ...], dirty: list[Tensor]
) -> None:
    """Raises RuntimeError if an argument that forward wrote in place may not be written, or was not returned."""
    written = [x for x in inputs if x is not None and id(x) in ctx._dirty]
    if len({id(x) for x in written} & {id(t) for t in dirty}) != len(ctx._dirty):
        raise BadState(name, "mark_dirty", "arguments of forward that it returns", "a tensor that is not one")
    for x in written:
        check_inplace(name, x, next((t for t in inputs if t is not None and t._requires_grad), None))
        if x._base is not None and len(made) > 1 and any(ctx.needs_input_grad):
            raise BadState(name, "mark_dirty", "a tensor that is not a view, if forward has several outputs", "a view")


def _gradient(op: str, i: int, result: Any, source: Tensor | None) -> Array | None:
    """What backward returned for argument i, converted and moved like that argument, as PyTorch does."""
    if result is None or source is None:
        return None
    if not isinstance(result, Tensor):
        raise BadType(op, "backward", f"a Tensor or None as gradient {i}", type(result).__name__)
    require(result.shape == source.shape, op, "backward", f"shape {tuple(source.shape)} for gradient {i}", result.shape)
    return placed(result._data, source.dtype, source._data.device)
