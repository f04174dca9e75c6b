"""`torch.func`: `functional_call`, `grad`, `grad_and_value` and `vmap`. The other transforms are missing, because gradients have none."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from engine.autograd import enable_grad
from engine.autograd.tape import grad as _gradients
from engine.errors import BadType, require
from engine.nn.utils.stateless import functional_call
from engine.ops import stack
from engine.tensor import Tensor
from engine.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

__all__ = ["functional_call", "grad", "grad_and_value", "vmap"]


def grad_and_value(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function of func's arguments that gives (gradients of the argument or arguments, value of func).

    func gives one number, a 0-dim tensor; with has_aux a tuple of it and of anything, and the value is then such a tuple. The arguments
    at `argnums` are tensors, or lists and dicts of tensors. What is returned has no gradients itself: nested `grad` is an error.
    """

    @wraps(func)
    def both(*args: Any, **kwargs: Any) -> Any:
        places = (argnums,) if isinstance(argnums, int) else argnums
        given = list(args)
        leaves: list[Tensor] = []
        with enable_grad():
            for place in places:
                given[place] = tree_map_only(Tensor, lambda t: t.detach().requires_grad_(), given[place])
                leaves += [leaf for leaf in tree_flatten(given[place])[0] if isinstance(leaf, Tensor)]
            value = func(*given, **kwargs)
            number, *aux = value if has_aux else (value,)
            single = isinstance(number, Tensor) and number.ndim == 0
            require(
                single,
                "grad",
                "func",
                "a function that gives a 0-dim tensor",
                f"one that gives {number!r:.60}",
                error=BadType,
            )
            found = iter(_gradients(number, leaves, allow_unused=True))
        filled = [tree_map_only(Tensor, lambda t: _or_zeros(next(found), t), given[place]) for place in places]
        result = filled[0] if isinstance(argnums, int) else tuple(filled)
        return result, (number.detach(), *aux) if has_aux else number.detach()

    return both


def _or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    return like.detach() * 0 if gradient is None else gradient


def grad(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradients of `func`, as in `grad_and_value`; with has_aux (gradients, aux)."""
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func)
    def gradients(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradients


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """func, called for each entry of a dimension of its arguments; the results are stacked. A loop: it saves no time.

    in_dims: the dimension of each argument, or None for one that stays whole: one number for all, or a tuple with one for each argument;
    for an argument that is a list or a dict also such a list or dict. Keyword arguments are mapped over their first dimension.
    out_dims: where the dimension is in the results. randomness and chunk_size change nothing: each call draws its own numbers.
    Raises ValueError for tensors whose lengths differ, or are 0.
    """

    @wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        dims = tuple(in_dims) if isinstance(in_dims, tuple | list) else (in_dims,) * len(args)
        require(len(dims) == len(args), "vmap", "in_dims", f"one for each of {len(args)} arguments", in_dims)
        leaves, spec = tree_flatten((args, kwargs))
        where = [d for dim, arg in zip(dims, args) for d in _of_leaves(dim, arg)] + _of_leaves(0, kwargs)
        mappable = [(leaf, d) for leaf, d in zip(leaves, where) if isinstance(leaf, Tensor) and d is not None]
        lengths = {leaf.shape[d] for leaf, d in mappable}
        require(
            len(lengths) == 1 and 0 not in lengths,
            "vmap",
            "args",
            "tensors of one length > 0 along in_dims",
            sorted(lengths),
        )
        results = []
        for i in range(lengths.pop()):
            parts = [x.select(d, i) if isinstance(x, Tensor) and d is not None else x for x, d in zip(leaves, where)]
            some, named = tree_unflatten(parts, spec)
            results.append(func(*some, **named))
        columns = zip(*(tree_flatten(result)[0] for result in results))
        places = _of_leaves(out_dims, results[0])
        joined = [stack(list(column), dim) for column, dim in zip(columns, places)]
        return tree_unflatten(joined, tree_flatten(results[0])[1])

    return mapped


def _of_leaves(dims: Any, tree: Any) -> list[Any]:
    """The dimension of each leaf of a tree: one number or None for all, or a tree of the same shape."""
    count = len(tree_flatten(tree)[0])
    found = [dims] * count if dims is None or isinstance(dims, int) else tree_flatten(dims)[0]
    require(len(found) == count, "vmap", "in_dims", f"one for each of {count} tensors", dims)
    return found
