"""Derivatives of functions, by first-order autograd: jacobian and vjp. What needs gradients of gradients is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.autograd.modes import enable_grad
from engine.autograd.tape import filled, grad
from engine.errors import BadState, BadType, BadValue, require
from engine.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _called(
    op: str, func: Callable[..., Any], inputs: Any
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], bool, bool]:
    """Inputs cut off from their history, the outputs of func, and whether each of them is one Tensor."""
    one_input = isinstance(inputs, Tensor)
    given = (inputs,) if one_input else tuple(inputs)
    for i, x in enumerate(given):
        fits = isinstance(x, Tensor) and x.is_floating_point()
        require(fits, op, f"inputs[{i}]", "a floating-point Tensor", type(x).__name__, error=BadType)
    sources = tuple([x.detach().requires_grad_() for x in given])
    with enable_grad():
        made = func(*sources)
    one_output = isinstance(made, Tensor)
    outputs = (made,) if one_output else tuple(made)
    for i, y in enumerate(outputs):
        require(isinstance(y, Tensor), op, "func", f"a Tensor as output {i}", type(y).__name__, error=BadType)
    return sources, outputs, one_input, one_output


def _first_order(op: str, create_graph: bool) -> None:
    if create_graph:
        raise BadState(op, "create_graph", "False: engine has no gradients of gradients", True)


def _gradients(op: str, outputs: Any, sources: Any, weights: Any, strict: bool) -> tuple[Tensor, ...]:
    needed = [(y, v) for y, v in zip(outputs, weights) if y.requires_grad]
    if strict and len(needed) < len(outputs):
        raise BadState(op, "strict", "outputs that depend on the inputs", "one that does not")
    if not needed:
        return tuple([Tensor(filled(x._data.meta, 0.0)) for x in sources])
    ys, vs = zip(*needed)
    found = grad(ys, sources, vs, retain_graph=True, allow_unused=True)
    if strict and any(g is None for g in found):
        raise BadState(op, "strict", "outputs that depend on each input", "an input on which none depends")
    return tuple([Tensor(filled(x._data.meta, 0.0)) if g is None else g for g, x in zip(found, sources)])


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), the gradients of the outputs weighted by v). v: of the outputs' shapes; None: 1, if there is one number.

    strict: raises RuntimeError if an output does not depend on an input, instead of giving zeros. create_graph must be False.
    """
    _first_order("vjp", create_graph)
    sources, outputs, one_input, one_output = _called("vjp", func, inputs)
    if v is None:
        single = len(outputs) == 1 and outputs[0].numel() == 1
        require(single, "vjp", "v", "a Tensor for each output, unless func gives one number", "None")
        weights: Any = (Tensor(filled(outputs[0]._data.meta, 1.0)),)
    else:
        weights = (v,) if isinstance(v, Tensor) else tuple(v)
    shapes, expected = [w.shape for w in weights], [y.shape for y in outputs]
    if shapes != expected:
        raise BadValue("vjp", "v", f"shapes {[*map(tuple, expected)]}, as the outputs", [*map(tuple, shapes)])
    found = _gradients("vjp", outputs, sources, weights, strict)
    values = tuple([y.detach() for y in outputs])
    return (values[0] if one_output else values), (found[0] if one_input else found)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The slopes of each output element by each input element: of shape (*output, *input); for several outputs or inputs tuples of
    these, outputs outside.

    One backward is computed for each output element; vectorize changes nothing. strict as in `vjp`. create_graph must be False,
    and strategy "reverse-mode" (RuntimeError, ValueError).
    """
    _first_order("jacobian", create_graph)
    require(strategy == "reverse-mode", "jacobian", "strategy", "'reverse-mode'", repr(strategy))
    sources, outputs, one_input, one_output = _called("jacobian", func, inputs)
    table = []
    for y in outputs:
        found = [Tensor(filled(((*y.shape, *x.shape), x.dtype, x._data.device), 0.0)) for x in sources]
        rows = [g.reshape(y.numel(), *x.shape) for g, x in zip(found, sources)]
        for i in range(y.numel()):
            weight = Tensor(filled(y._data.meta, 0.0))
            weight.reshape(-1)[i] = 1.0
            for row, g in zip(rows, _gradients("jacobian", (y,), sources, (weight,), strict)):
                row[i] = g
        table.append(found[0] if one_input else tuple(found))
    return table[0] if one_output else tuple(table)


def _refused(op: str, needs: str) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise BadState(op, "func", "jacobian or vjp, which need one backward", f"{op}, which needs {needs}")

    function.__name__, function.__doc__ = op, f"Raises RuntimeError: it needs {needs}, which engine does not have."
    return function


hessian, hvp = _refused("hessian", "gradients of gradients"), _refused("hvp", "gradients of gradients")
vhp, jvp = _refused("vhp", "gradients of gradients"), _refused("jvp", "forward mode")
