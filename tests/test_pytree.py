"""Trees of lists, tuples and dicts: flat, and back."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest

import engine
from engine.utils import _pytree as tree

Pair = namedtuple("Pair", "a b")
TREE = {
    "x": [1, (2, None)],
    "p": Pair(3, {"k": 4}),
    "o": OrderedDict(b=5),
    "d": defaultdict(list, q=6),
    "u": deque([7], 3),
    "e": [],
}


def test_there_and_back() -> None:
    leaves, spec = tree.tree_flatten(TREE)
    assert leaves == [1, 2, None, 3, 4, 5, 6, 7] and spec.num_leaves == 8
    again = tree.tree_unflatten(leaves, spec)
    assert again == TREE and type(again["p"]) is Pair and type(again["o"]) is OrderedDict
    assert again["d"].default_factory is list and again["u"].maxlen == 3
    assert tree.tree_flatten(again)[1] == spec
    with pytest.raises(ValueError, match="leaves: expected 8 leaves, got 7"):
        tree.tree_unflatten(leaves[:7], spec)


def test_map() -> None:
    x = {"a": engine.ones(2), "b": [engine.zeros(1), "s"]}
    moved = tree.tree_map_only(engine.Tensor, lambda t: t + 1, x)
    assert moved["a"].tolist() == [2, 2] and moved["b"][0].tolist() == [1] and moved["b"][1] == "s"
    assert tree.tree_map(lambda a, b: a + b, [1, (2,)], [10, (20,)]) == [11, (22,)]
    with pytest.raises(ValueError, match="rests: expected trees of one shape"):
        tree.tree_map(max, [1, 2], [1])
    seen = []
    assert tree.tree_map_(seen.append, [1, [2]]) == [1, [2]] and seen == [1, 2]
    assert tree.tree_all(bool, [1, [2]]) and tree.tree_any(bool, [0, [2]]) and tree.tree_leaves(5) == [5]
    assert tree.tree_leaves([(1, 2), [3]], lambda v: isinstance(v, tuple)) == [(1, 2), 3]
