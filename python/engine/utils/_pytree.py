"""Nested lists, tuples and dicts as flat lists of leaves, and back: what public code takes from `torch.utils._pytree`.

What is not a list, tuple, named tuple, dict, OrderedDict, defaultdict or deque is a leaf. Subclasses of them are leaves, too.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from engine.errors import require

__all__ = [
    "TreeSpec",
    "tree_all",
    "tree_any",
    "tree_flatten",
    "tree_iter",
    "tree_leaves",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_unflatten",
]

_SEQUENCES, _DICTS = (list, tuple, deque), (dict, OrderedDict, defaultdict)


class TreeSpec(NamedTuple):
    """The shape of a tree: the type of the node (None: a leaf), its keys, a defaultdict's factory or a deque's maxlen, its children."""

    type: Any
    context: Any
    children: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        return 1 if self.type is None else sum(child.num_leaves for child in self.children)

    def is_leaf(self) -> bool:
        return self.type is None


_LEAF = TreeSpec(None, None, ())


def _parts(tree: Any) -> tuple[list[Any], Any] | None:
    """The children of a node and what else it takes to make it again; None for a leaf."""
    kind = type(tree)
    if kind in _DICTS:
        return list(tree.values()), (list(tree), getattr(tree, "default_factory", None))
    if kind in _SEQUENCES or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return list(tree), getattr(tree, "maxlen", None)
    return None


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """(leaves, shape). is_leaf: what counts as a leaf, too."""
    parts = None if is_leaf is not None and is_leaf(tree) else _parts(tree)
    if parts is None:
        return [tree], _LEAF
    leaves, specs = [], []
    for child in parts[0]:
        more, spec = tree_flatten(child, is_leaf)
        leaves += more
        specs.append(spec)
    return leaves, TreeSpec(type(tree), parts[1], tuple(specs))


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of that shape with these leaves. Raises ValueError for another number of them."""
    values = list(leaves)
    wanted = treespec.num_leaves
    require(len(values) == wanted, "tree_unflatten", "leaves", f"{wanted} leaves", len(values))
    return _made(iter(values), treespec)


def _made(leaves: Any, spec: TreeSpec) -> Any:
    if spec.type is None:
        return next(leaves)
    children = [_made(leaves, child) for child in spec.children]
    if spec.type in _DICTS:
        keys, factory = spec.context
        pairs = zip(keys, children)
        return defaultdict(factory, pairs) if spec.type is defaultdict else spec.type(pairs)
    if spec.type is deque:
        return deque(children, spec.context)
    return spec.type(children) if spec.type in _SEQUENCES else spec.type(*children)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a tree."""
    return tree_flatten(tree, is_leaf)[0]


tree_iter = tree_leaves


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The tree with func(leaf) in place of each leaf; with `rests`, trees of the same shape, func(leaf, leaf of each)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = []
    for rest in rests:
        more, shape = tree_flatten(rest, is_leaf)
        require(shape == spec, "tree_map", "rests", "trees of one shape", "another shape")
        others.append(more)
    return tree_unflatten([func(*each) for each in zip(leaves, *others)], spec)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Calls func as `tree_map` does, and returns the tree as it is."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(
    kind: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """`tree_map` for the leaves of a type, or of one of several; the others stay."""
    return tree_map(lambda leaf: func(leaf) if isinstance(leaf, kind) else leaf, tree, is_leaf=is_leaf)


def tree_all(predicate: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether the predicate holds for all leaves."""
    return all(map(predicate, tree_leaves(tree, is_leaf)))


def tree_any(predicate: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether the predicate holds for a leaf."""
    return any(map(predicate, tree_leaves(tree, is_leaf)))
