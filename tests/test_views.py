"""In-place operations on tensors that share memory, and what reaches `.grad`, compared with PyTorch."""

import threading

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")


def leaf(library, *shape):
    values = library.arange(float(np.prod(shape)), dtype=library.float64).reshape(shape) / 7 - 0.5
    return values.clone().requires_grad_()


def parts(m):
    x, w = leaf(m, 3, 4), leaf(m, 3)
    y = x * 1
    y[:, 0] = w
    y[0] += w.sum()
    y[1].mul_(y[2].clone())
    v = y[2]
    y[2, 1:].mul_(w)
    ((v * v).sum() + (y * y).sum()).backward()
    return x.grad, w.grad, y


def rows_of_a_buffer(m):
    w, out = leaf(m, 3), m.zeros(4, 3, dtype=m.float64)
    row = out[1]
    for i in range(4):
        out[i] += w * (i + 1)
    assert row.requires_grad and not row.is_leaf
    ((out * out).sum() + row.sum()).backward()
    return w.grad, row


def transposed(m):
    x = leaf(m, 2, 3)
    y = (x * 2).t()
    y[1] = 0.0
    y.unsqueeze(0)[0, :, 1].mul_(5.0)
    (y**2).sum().backward()
    return x.grad, y


def expanded(m):
    x = leaf(m, 3, 1)
    y = x * 2
    wide = y.expand(3, 4)
    y.mul_(y.detach() + 1)
    (wide * m.arange(12, dtype=m.float64).reshape(3, 4)).sum().backward()
    return x.grad, wide


def powers_and_quotients(m):
    x, t = leaf(m, 4), m.tensor([1.0, -2.0, 4.0, 5.0], dtype=m.float64)
    scores = x / 2.0
    scores.masked_fill_(t > 3, -1.0)
    p = x**2
    p.add_(1)
    q = x / t
    q.mul_(3.0)
    r = 3.0 / (x + 10)
    r.zero_()
    (scores.sum() + p.sum() + q.sum() + r.sum()).backward()
    return x.grad, scores, p, q


def retained(m):
    x = leaf(m, 3)
    y = x * 2
    y.retain_grad()
    y.mul_(3.0)
    (y * y).sum().backward()
    return x.grad, y.grad


def overwritten(m):
    grads = []
    for write in (lambda y: y.zero_(), lambda y: y.fill_(2.0), lambda y: y.copy_(m.ones(3, dtype=m.float64))):
        x = leaf(m, 3)
        y = x * 2
        write(y)
        y.sum().backward()
        grads.append(x.grad)
    return grads


def gradients_in_place(m):
    x = leaf(m, 4)
    (x * x).sum().backward()
    part = x.grad[1:3]
    (x * 3).sum().backward()
    (x * 3).sum().backward()
    return x.grad, part


def only_some_inputs(m):
    a, b = leaf(m, 3), leaf(m, 3)
    c = a * b
    m.autograd.backward((c * c).sum(), inputs=[b, c])
    assert a.grad is None
    return b.grad, c.grad


def named_twice(m):
    a = leaf(m, 3)
    b = a * 2
    unused = leaf(m, 2)
    loss = (b * b).sum()
    return m.autograd.grad(loss, [a, b, a, b, unused], materialize_grads=True)


def a_function_that_writes(m):
    class Double(m.autograd.Function):
        @staticmethod
        def forward(x):
            x.mul_(2)
            return x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.mark_dirty(inputs[0])

        @staticmethod
        def backward(ctx, g):
            return g * 7

    x = leaf(m, 2, 3)
    y, z = x * 1, x * 3
    part = y[0]
    assert Double.apply(part) is part
    Double.apply(z)
    ((y * y).sum() + z.sum()).backward()
    return x.grad, y, z


def unused_outputs(m):
    seen = []

    class Two(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, a, b):
            seen.append(a is None)
            return b * 2, None

    x = leaf(m, 3)
    Two.apply(x)[1].sum().backward()
    assert seen == [True]
    return (x.grad,)


def hooks_after_accumulation(m):
    x, seen = leaf(m, 3), []
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.sum().item()))
    (x * 2).sum().backward()
    (x * 2).sum().backward()
    handle.remove()
    (x * 2).sum().backward()
    assert seen == [6.0, 12.0]
    return (x.grad,)


@pytest.mark.parametrize(
    "idiom",
    [
        parts,
        rows_of_a_buffer,
        transposed,
        expanded,
        powers_and_quotients,
        retained,
        overwritten,
        gradients_in_place,
        only_some_inputs,
        named_twice,
        a_function_that_writes,
        unused_outputs,
        hooks_after_accumulation,
    ],
)
def test_as_pytorch(idiom):
    for ours, theirs in zip(idiom(engine), idiom(torch), strict=True):
        assert np.allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.mul_(2.0),
        lambda x: x[0].mul_(2.0),
        lambda x: x.view(3, 2)[0].add_(1.0),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: next(iter(x)).zero_(),
    ],
)
def test_leaves_and_their_views_are_not_written(write):
    for m in (engine, torch):
        x = leaf(m, 2, 3)
        before = x.tolist()
        with pytest.raises(RuntimeError, match=r"leaf|view"):
            write(x)
        assert x.tolist() == before
        with m.no_grad():
            write(x)


@pytest.mark.parametrize("forward", [lambda x: x, lambda x: x.view(-1), lambda x: x[1:]])
@pytest.mark.parametrize("m", [engine, torch])
def test_an_output_of_a_function_that_shares_memory(forward, m):
    class Shared(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return forward(x)

        @staticmethod
        def backward(ctx, g):
            return m.ones(2, 3, dtype=m.float64) * g.sum()

    x = leaf(m, 2, 3)
    y = Shared.apply(x)
    with pytest.raises(RuntimeError):
        y.mul_(2.0)
    with pytest.raises(RuntimeError):
        y.view(-1)[0] = 1.0
    y.sum().backward()
    assert x.grad is not None
    made = x * 1
    y = Shared.apply(made)
    with pytest.raises(RuntimeError):  # here or there, but before a wrong gradient
        made.mul_(2.0)
        y.sum().backward()


def test_threads_that_share_a_leaf():
    x = engine.ones(64, requires_grad=True)

    def work():
        for _ in range(50):
            (x * 2).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert x.grad.tolist() == [400.0] * 64


def test_integer_tensors_have_no_gradient():
    x = engine.ones(3, requires_grad=True)
    for write in (lambda i: i.copy_(x), lambda i: i.__setitem__(0, x[0]), lambda i: i[1:].__setitem__(0, x[0])):
        i = engine.zeros(3, dtype=engine.int64)
        write(i)
        assert not i.requires_grad and i.is_leaf


def test_modes_as_decorators():
    for off in (engine.set_grad_enabled(False), engine.no_grad, engine.no_grad(), engine.inference_mode):
        assert not off(engine.is_grad_enabled)()
        assert engine.is_grad_enabled()
        engine.set_grad_enabled(True)
    with engine.no_grad():
        assert engine.enable_grad(engine.is_grad_enabled)() and not engine.is_grad_enabled()
    with engine.inference_mode(False):
        assert engine.is_grad_enabled()


def test_anomaly_detection_names_the_op_and_its_line():
    x = engine.zeros(2, requires_grad=True)
    with engine.autograd.detect_anomaly():
        y = (x.sqrt() * 0).sum()
        with pytest.raises(RuntimeError, match=r"\[sqrt\] backward: .*NaN.*test_views.py, line"):
            y.backward()
    with engine.autograd.set_detect_anomaly(True, check_nan=False):
        (x.sqrt() * 0).sum().backward()
    assert np.isnan(x.grad.numpy()).all()
    (x.sqrt() * 0).sum().backward()


def test_gradients_of_gradients_are_refused_by_name():
    x = engine.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="create_graph"):
        engine.autograd.grad((x * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="create_graph"):
        (x * x).sum().backward(create_graph=True)


def test_a_hook_on_a_view_runs_after_its_base_was_written():
    x, found = engine.tensor([1.0, 2.0, 3.0], requires_grad=True), []
    y = x * 2
    v = y[:2]
    y.mul_(3)
    v.register_hook(lambda g: found.append(g.tolist()))  # PyTorch 2.13 ends the process here
    (v * v).sum().backward()
    assert found == [[12, 24]] and x.grad.tolist() == [72, 144, 0]


def test_hooks_of_leaves_that_were_not_asked_for_do_not_run():
    def seen(m):
        x, w, found = leaf(m, 3), leaf(m, 3), []
        x.register_hook(lambda g: found.append("x"))
        w.register_hook(lambda g: found.append("w"))
        m.autograd.grad((x * w).sum(), x)
        (x * w).sum().backward(inputs=[w])
        return found, x.grad is None, w.grad.tolist()

    assert seen(engine) == seen(torch)


def test_write_to_a_view_that_no_grad_took() -> None:
    """Such a view is not in the history of its source: a recorded write would leave the gradient of the old values."""
    x = engine.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    with engine.no_grad():
        of_leaf, of_result = x.view(2, 1), y.view(2, 1)
    for view in (of_leaf, of_result, of_leaf[0]):
        with pytest.raises(RuntimeError, match="taken under no_grad"):
            view.mul_(2)
    assert x.tolist() == y.tolist() == [1.0, 2.0]
    with engine.no_grad():
        of_leaf.mul_(3)
    assert x.tolist() == [3.0, 6.0]
    assert y.detach().mul_(2).tolist() == [2.0, 4.0]  # a detached tensor may be written
