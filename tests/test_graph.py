"""The recorded graph as tools that draw it read it: names, edges, hooks of nodes, leaves."""

from __future__ import annotations

import gc
import weakref

import pytest

import engine
import engine.nn.functional as F
from engine import nn
from engine.autograd.node import AccumulateGrad


def leaf(*values: float) -> engine.Tensor:
    return engine.tensor(values, requires_grad=True)


def test_a_node_has_the_name_of_its_op_and_so_has_its_class() -> None:
    x = leaf(1.0, 2.0)
    for y, name in (
        (x * 2, "MulBackward0"),
        (x.clone().mul_(2), "MulBackward0"),
        (x.sum(), "SumBackward0"),
        (x.log_softmax(0), "LogSoftmaxBackward0"),
        (F.layer_norm(x, (2,)), "LayerNormBackward0"),
    ):
        assert y.grad_fn.name() == type(y.grad_fn).__name__ == name
        assert isinstance(y.grad_fn, engine.autograd.Node) and y.grad_fn is y.grad_fn
    assert repr(x.sum()) == "tensor(3., grad_fn=<SumBackward0>)"


def test_the_node_of_a_function_has_the_name_of_its_class() -> None:
    class Twice(engine.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    assert Twice.apply(leaf(1.0)).grad_fn.name() == "TwiceBackward"


def test_next_functions_lead_to_the_leaves() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w + x).sum()
    (add, index), *others = y.grad_fn.next_functions
    assert (add.name(), index, others) == ("AddBackward0", 0, [])
    (mul, _), (end, _) = add.next_functions
    assert mul.name() == "MulBackward0" and isinstance(end, AccumulateGrad) and end.variable is x
    assert mul.next_functions[0][0] is end and mul.next_functions[1][0].variable is w
    assert end.next_functions == () and end.name() == "torch::autograd::AccumulateGrad"
    assert (x * 2).grad_fn.next_functions[1] == (None, 0)
    parts = (x * 1).split(1)
    assert [p.output_nr for p in parts] == [0, 1] and parts[0].grad_fn is parts[1].grad_fn
    assert (parts[1] * 1).grad_fn.next_functions[0] == (parts[1].grad_fn, 1)


def edges_of(root: engine.autograd.Node) -> set[tuple[str, str]]:
    """As tools that draw graphs walk: from node to node, each once, by `next_functions`."""
    seen, found, left = set(), set(), [root]
    while left:
        node = left.pop()
        if node in seen:
            continue
        seen.add(node)
        for following, _ in node.next_functions:
            if following is not None:
                found.add((type(node).__name__, type(following).__name__))
                left.append(following)
    return found


def test_a_walk_meets_every_parameter_once() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    loss = F.cross_entropy(model(engine.randn(5, 3)), engine.tensor([0, 1, 0, 1, 1]))
    assert {("LinearBackward0", "AccumulateGrad"), ("LinearBackward0", "ReluBackward0")} <= edges_of(loss.grad_fn)
    leaves, left = [], [loss.grad_fn]
    while left:
        for node, _ in left.pop().next_functions:
            if node is not None:
                leaves += [node.variable] if hasattr(node, "variable") else []
                left.append(node)
    assert {id(p) for p in leaves} == {id(p) for p in model.parameters()}


def test_an_op_without_a_gradient_says_its_name_in_backward() -> None:
    y = engine.unique(leaf(1.0, 1.0))
    assert y.requires_grad and y.grad_fn.name().startswith("Unique")
    with pytest.raises(NotImplementedError, match=r"\[unique\] backward"):
        y.sum().backward()


def test_metadata_is_a_dictionary_of_the_node() -> None:
    y = leaf(1.0) * 2
    y.grad_fn.metadata["block"] = 3
    assert y.grad_fn.metadata == {"block": 3} and (y * 2).grad_fn.metadata == {}


def test_hooks_of_a_node_see_and_replace_gradients() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * w
    seen = []
    first = y.grad_fn.register_hook(lambda inputs, outputs: seen.append((inputs, outputs)))
    y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 10, None))
    y.grad_fn.register_prehook(lambda outputs: (outputs[0] + 1,))
    y.sum().backward(retain_graph=True)
    ((dx, dw), (dy,)) = seen[0]
    assert dy.tolist() == [2.0, 2.0] and dx.tolist() == [6.0, 8.0] and dw.tolist() == [2.0, 4.0]
    assert x.grad.tolist() == [60.0, 80.0] and w.grad is None
    first.remove()
    y.sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [120.0, 160.0]


def test_hooks_of_a_leaf_run_around_the_accumulation() -> None:
    x = leaf(1.0, 2.0)
    end = x.expand_as(x).grad_fn.next_functions[0][0]
    seen = []
    end.register_prehook(lambda outputs: (outputs[0] * 2,))
    end.register_hook(lambda inputs, outputs: seen.append((inputs, outputs[0].tolist(), x.grad.tolist())))
    (x * 3).sum().backward()
    (x * 1).sum().backward()
    assert seen == [((), [6.0, 6.0], [6.0, 6.0]), ((), [2.0, 2.0], [8.0, 8.0])]


def test_hooks_see_gradients_of_looked_up_rows() -> None:
    table = engine.ones(4, 2, requires_grad=True)
    y = F.embedding(engine.tensor([1, 1]), table)
    seen = []
    y.grad_fn.register_hook(lambda inputs, outputs: seen.extend(g for g in inputs if g is not None))
    y.sum().backward()
    assert seen[0].tolist() == table.grad.tolist() == [[0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (lambda i, o: (i[0],), r"\[mul\] hook: expected 2 gradients, got 1"),
        (lambda i, o: (i[0][:1], i[1]), r"\[mul\] hook: expected gradient 0 of shape \(2,\)"),
        (lambda i, o: (1.0, i[1]), r"\[mul\] hook, gradient 0: expected a Tensor"),
    ],
)
def test_a_hook_that_returns_other_gradients_is_refused(hook, message) -> None:
    y = leaf(1.0, 2.0) * leaf(1.0, 2.0)
    y.grad_fn.register_hook(hook)
    with pytest.raises((RuntimeError, ValueError, TypeError), match=message):
        y.sum().backward()


def test_a_graph_that_was_looked_at_is_freed() -> None:
    x = leaf(1.0)
    y = x * 2
    assert y.grad_fn.next_functions[0][0].variable is x
    gone = weakref.ref(x)
    del x, y
    gc.collect()
    assert gone() is None
