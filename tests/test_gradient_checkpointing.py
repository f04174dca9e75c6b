"""Gradient checkpointing: the bits of the plain computation, dropout included, with less memory."""

from __future__ import annotations

import gc
from contextlib import contextmanager

import numpy as np
import pytest

import engine
from engine import _core, nn
from engine.autograd import Function, checkpoint
from engine.nn import functional as F
from engine.utils.checkpoint import checkpoint_sequential, set_checkpoint_early_stop


def bits(tensor) -> bytes:
    return _core.to_bytes(tensor._data)


def plainly(function, *args, **kwargs):
    return function(*args, **kwargs)


class Block(nn.Module):
    """What a transformer layer is made of, dropout in three ways."""

    def __init__(self, d: int = 16) -> None:
        super().__init__()
        self.qkv, self.up, self.down = nn.Linear(d, 3 * d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.norm, self.drop = nn.LayerNorm(d), nn.Dropout(0.3)

    def forward(self, x, cu_seqlens):
        tokens, d = x.shape
        qkv = self.qkv(x).view(tokens, 3, 2, d // 2)
        y = engine.attention_qkv(qkv, cu_seqlens, dropout_p=0.2).view(tokens, d)
        y = F.dropout_add_layer_norm(y, x, self.norm.weight, self.norm.bias, 0.1)
        return self.drop(self.down(F.linear_gelu(y, self.up.weight, self.up.bias))) + y


def outcome(call, wrap=lambda block: block, blocks: int = 3, x_requires_grad: bool = True) -> list[bytes]:
    """Loss, gradients and the next random number, of blocks that `call` calls."""
    engine.manual_seed(5)
    stack = nn.ModuleList([Block() for _ in range(blocks)])
    x = engine.randn(12, 16)
    x.requires_grad_(x_requires_grad)
    cu = engine.tensor([0, 5, 12], dtype=engine.int32)
    y = x
    for block in stack:
        y = call(wrap(block), y, cu)
    loss = (y * y).sum()
    noise = engine.rand(3)  # draws after it go on from the same place
    loss.backward()
    grads = [p.grad for p in stack.parameters()] + ([x.grad] if x_requires_grad else [])
    assert all(g is not None for g in grads)
    return [bits(t) for t in (loss, noise, engine.rand(3), *grads)]


@pytest.mark.parametrize("x_requires_grad", [True, False])
def test_the_bits_are_those_without_it(x_requires_grad):
    plain = outcome(plainly, x_requires_grad=x_requires_grad)
    assert outcome(checkpoint, x_requires_grad=x_requires_grad) == plain


def test_the_bits_are_those_without_it_in_several_threads(threads):
    plain = outcome(plainly)
    threads(3)
    assert outcome(checkpoint) == plain


def test_nested_checkpoints():
    def within(block):
        def run(x, cu):
            y = checkpoint(block, x, cu)
            return checkpoint(lambda z: checkpoint(F.dropout, z * 2, 0.5) + y, y)

        return run

    def plain(block):
        def run(x, cu):
            y = block(x, cu)
            return F.dropout(y * 2, 0.5) + y

        return run

    assert outcome(checkpoint, within) == outcome(plainly, plain) == outcome(plainly, within)


def test_the_function_runs_a_second_time_only_where_backward_asks():
    runs = []

    def function(x):
        runs.append(engine.is_grad_enabled())
        return (x.exp() * x).sum()

    x = engine.randn(5, requires_grad=True)
    with engine.no_grad():
        assert not checkpoint(function, x).requires_grad
    assert not checkpoint(function, x.detach()).requires_grad and runs == [False, True]
    loss = checkpoint(function, x)
    assert runs == [False, True, True]
    loss.backward(retain_graph=True)
    assert len(runs) == 4 and all(runs[1:])
    first = x.grad.numpy().copy()
    loss.backward()
    assert len(runs) == 4  # what the second run made is there until it is freed
    np.testing.assert_allclose(first, (np.exp(x.detach().numpy()) * (1 + x.detach().numpy())), rtol=1e-6)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * first)
    with pytest.raises(RuntimeError, match="expected a graph that backward has not freed"):
        loss.backward()


def test_several_results_and_arguments_of_any_kind():
    def function(pair, scale, *, shift):
        a, b = pair
        return {"y": (a * b).exp(), "z": [a * scale, shift * shift], "n": 3}

    def both(call):
        engine.manual_seed(1)
        a, b = engine.randn(4, requires_grad=True), engine.randn(4)
        shift = engine.randn(4, requires_grad=True)
        got = call(function, (a, b), 2.0, shift=shift)
        assert got["n"] == 3
        (got["y"] * got["z"][0] + got["z"][1]).sum().backward()
        return bits(a.grad), bits(shift.grad), b.grad

    assert both(checkpoint) == both(plainly)
    # Only one of the results is used.
    a = engine.tensor([1.0, 2.0], requires_grad=True)
    y, _ = checkpoint(lambda x: (x * x, x.exp()), a)
    y.sum().backward()
    assert a.grad.tolist() == [2.0, 4.0]


def test_gradients_through_grad_hooks_and_functions_of_ones_own():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return 2 * x * dy

    w = nn.Parameter(engine.tensor([3.0]))
    x = engine.tensor([2.0], requires_grad=True)
    seen = []

    def function(x):
        y = Square.apply(x * w)
        if y.requires_grad:
            y.register_hook(lambda g: seen.append(g.item()))
        return y.exp().log()

    dx, dw = engine.autograd.grad(checkpoint(function, x), (x, w))
    assert (dx.item(), dw.item()) == (pytest.approx(36), pytest.approx(24)) and x.grad is None and w.grad is None
    assert seen == [pytest.approx(1.0)]


def test_memory():
    d, tokens, layers = 64, 512, 8

    def peak(call) -> int:
        engine.manual_seed(0)
        stack = nn.ModuleList([Block(d) for _ in range(layers)])
        x = engine.randn(tokens, d, requires_grad=True)
        cu = engine.tensor([0, tokens], dtype=engine.int32)
        for _ in range(2):  # gradients are there from the second one on
            stack.zero_grad()
            gc.collect()
            engine.reset_peak_memory_stats()
            before = engine.memory_stats()["allocated_bytes"]
            y = x
            for block in stack:
                y = call(block, y, cu)
            y.sum().backward()
            del y
        gc.disable()
        try:  # nothing waits for the garbage collector
            y = call(stack[0], x, cu)
            y.sum().backward()
            del y
            left = engine.memory_stats()["allocated_bytes"]
        finally:
            gc.enable()
        gc.collect()
        assert engine.memory_stats()["allocated_bytes"] == left
        return engine.memory_stats()["peak_allocated_bytes"] - before

    row = tokens * d * 4
    whole, kept = peak(plainly), peak(checkpoint)
    assert whole > layers * 12 * row  # each layer keeps q, k, v, four widths twice, and more
    assert kept < whole / 3 and kept < (layers + 30) * row


def test_a_nested_checkpoint_keeps_its_arguments_only_while_the_outer_one_is_walked():
    n = 1 << 16

    def inner(x):
        for _ in range(4):
            x = x.exp().tanh()
        return x

    def outer(x):
        for _ in range(6):
            x = checkpoint(inner, x)
        return x

    def held(call) -> int:
        x = engine.randn(n, requires_grad=True)
        before = engine.memory_stats()["allocated_bytes"]
        y = call(outer, x)
        got = (engine.memory_stats()["allocated_bytes"] - before) // (4 * n)
        y.sum().backward()
        return got

    assert held(plainly) == 6 and held(checkpoint) == 1


# ---- what cannot be


def test_another_function_the_second_time_is_refused():
    count = iter(range(100))
    x = engine.randn(3, requires_grad=True)

    def other(x):
        return x.exp() if next(count) % 2 == 0 else x.log()

    with pytest.raises(RuntimeError, match="expected the same ops when it runs again: 'exp', got 'log'"):
        checkpoint(other, x).sum().backward()
    longer = lambda x: x.exp() if next(count) % 2 == 0 else x.exp().exp()  # noqa: E731
    with pytest.raises(RuntimeError, match="no further one, got 'exp'"):
        checkpoint(longer, x).sum().backward()
    shorter = lambda x: x.exp().exp() if next(count) % 2 == 0 else x.exp()  # noqa: E731
    with pytest.raises(RuntimeError, match="2 of them, got 1"):
        checkpoint(shorter, x).sum().backward()
    # Modes are as they were.
    assert engine.is_grad_enabled() and (x.exp().sum().backward() or x.grad is not None)


def test_what_was_written_in_place_since_is_refused():
    layer = nn.Linear(3, 3)
    x = engine.randn(2, 3, requires_grad=True)
    y = checkpoint(layer, x)
    with engine.no_grad():
        layer.weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified"):
        y.sum().backward()
    z = x * 1
    y = checkpoint(lambda t: t.exp().exp(), z)
    with engine.no_grad():
        z.add_(1.0)
    with pytest.raises(RuntimeError, match="arguments unchanged since the call"):
        y.sum().backward()


def test_backward_within_is_refused():
    x = engine.randn(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="expected a function that does not call backward"):
        checkpoint(lambda t: t.exp().sum().backward() or t * 2, x)
    assert engine.is_grad_enabled() and x.exp().sum().requires_grad


def test_arguments_out_of_range():
    with pytest.raises(TypeError, match="function: expected a function, got int"):
        checkpoint(3)
    with pytest.raises(ValueError, match="arguments: expected no keywords for the function, got approximate"):
        checkpoint(F.gelu, engine.ones(2), use_reentrant=True, approximate="tanh")
    with pytest.raises(ValueError, match="use_reentrant: expected False with context_fn or debug, got True"):
        checkpoint(F.gelu, engine.ones(2), use_reentrant=True, debug=True)
    with pytest.raises(ValueError, match="determinism_check: expected 'default' or 'none', got 'some'"):
        checkpoint(F.gelu, engine.ones(2), determinism_check="some")
    for segments in (0, 3):
        with pytest.raises(ValueError, match=r"segments: expected a number in \[1, 2\]"):
            checkpoint_sequential([F.gelu, F.relu], segments, engine.ones(2))
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        checkpoint_sequential([F.gelu, F.relu], 1, engine.ones(2), approximate="tanh")


def test_the_reentrant_form_gives_the_same_and_keeps_its_rules():
    layer = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.GELU())

    def gradients(call):
        engine.manual_seed(1)
        layer.zero_grad()
        x = engine.ones(4, 8, requires_grad=True)
        y = call(layer, x)
        y.sum().backward()
        return [bits(t) for t in (y, x.grad, layer[0].weight.grad)]

    assert gradients(lambda f, x: checkpoint(f, x, use_reentrant=True)) == gradients(lambda f, x: f(x))
    with pytest.warns(UserWarning, match="no argument requires grad"):
        y = checkpoint(layer, engine.ones(4, 8), use_reentrant=True)
    assert not y.requires_grad  # as PyTorch's
    assert checkpoint(layer, engine.ones(4, 8)).requires_grad
    with engine.no_grad():
        checkpoint(layer, engine.ones(4, 8), use_reentrant=True)  # warns of nothing


def test_contexts_of_both_runs():
    told = []

    @contextmanager
    def around(name):
        told.append(f"{name} begins")
        yield
        told.append(f"{name} ends")

    def contexts():
        return around("first"), around("second")

    x = engine.ones(3, requires_grad=True)
    y = checkpoint(lambda t, scale: (t * scale).exp(), x, scale=2.0, context_fn=contexts)
    assert told == ["first begins", "first ends"]
    y.sum().backward()
    assert told[2:] == ["second begins", "second ends"] and x.grad is not None


def test_without_the_random_state_the_second_run_draws_again():
    def run(**keywords):
        engine.manual_seed(0)
        x = engine.ones(1000, requires_grad=True)
        y = checkpoint(lambda t: F.dropout(t, 0.5), x, **keywords)
        y.sum().backward()
        return y.detach(), x.grad

    y, gradient = run()
    assert engine.equal(y, gradient)
    y, gradient = run(preserve_rng_state=False)
    assert not engine.equal(y, gradient)


@pytest.mark.parametrize("reentrant", [True, False, None])
def test_segments_of_a_sequence(reentrant):
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(5)))
    x = engine.randn(2, 4, requires_grad=True)
    for parts in (model, list(model)):
        results = []
        for call in (lambda: model(x), lambda parts=parts: checkpoint_sequential(parts, 2, x, use_reentrant=reentrant)):
            model.zero_grad()
            x.grad = None
            with set_checkpoint_early_stop(False):
                y = call()
            y.sum().backward()
            results.append([bits(t) for t in (y, x.grad, *(p.grad for p in model.parameters()))])
        assert results[0] == results[1]


def test_an_error_in_the_function_leaves_nothing_behind():
    x = engine.randn(3, requires_grad=True)
    with pytest.raises(ZeroDivisionError):
        checkpoint(lambda t: t * (1 / 0), x)
    y = x.exp()
    assert y._node._call is None
    y.sum().backward()


def test_autocast_is_as_it_was_in_the_first_run(cuda):
    def both(call, cached):
        engine.manual_seed(0)
        layer = nn.Linear(8, 8).to(cuda)
        x = engine.randn(4, 8, device=cuda, requires_grad=True)
        with engine.autocast(dtype=engine.bfloat16, cache_enabled=cached):
            first = layer(x)  # where it is kept, the weight's bfloat16 form is there from here on
            y = call(lambda t: F.gelu(layer(t)), x) + first
        y.float().sum().backward()
        assert not engine.is_autocast_enabled()
        return [bits(t.cpu()) for t in (y, x.grad, layer.weight.grad)]

    assert both(checkpoint, True) == both(plainly, False)


def test_beside_torch():
    torch = pytest.importorskip("torch")
    from torch.utils.checkpoint import checkpoint as theirs

    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((5, 4)).astype(np.float32), rng.standard_normal((4, 4)).astype(np.float32)
    tx, tw = (torch.tensor(a, requires_grad=True) for a in (x, w))
    theirs(lambda a: torch.tanh(a @ tw).exp(), tx, use_reentrant=False).sum().backward()
    ex, ew = (engine.tensor(a.tolist(), requires_grad=True) for a in (x, w))
    checkpoint(lambda a: (a @ ew).tanh().exp(), ex).sum().backward()
    np.testing.assert_allclose(ex.grad.numpy(), tx.grad.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ew.grad.numpy(), tw.grad.numpy(), rtol=1e-4, atol=1e-5)
