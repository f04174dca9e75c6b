"""PyTorch's names that are not ops: dtypes, limits, constants, typed constructors, copies, operators, hooks of modules."""

import copy
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

import engine
from engine import nn

torch = pytest.importorskip("torch")


def test_dtypes_and_constants():
    for name in (
        "float",
        "double",
        "half",
        "int",
        "long",
        "short",
        "bool",
        "float16",
        "bfloat16",
        "uint8",
        "int8",
        "int16",
    ):
        ours, theirs = getattr(engine, name), getattr(torch, name)
        assert str(ours).removeprefix("engine.") == str(theirs).removeprefix("torch.")
    for name in ("inf", "pi", "e", "newaxis"):
        assert getattr(engine, name) == getattr(torch, name)
    assert math.isnan(engine.nan)


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16"])
def test_finfo(name):
    ours, theirs = engine.finfo(getattr(engine, name)), torch.finfo(getattr(torch, name))
    for field in ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny"):
        assert getattr(ours, field) == getattr(theirs, field), field
    with pytest.raises(TypeError):
        engine.iinfo(getattr(engine, name))


@pytest.mark.parametrize("name", ["uint8", "int8", "int16", "int32", "int64"])
def test_iinfo(name):
    ours, theirs = engine.iinfo(getattr(engine, name)), torch.iinfo(getattr(torch, name))
    for field in ("bits", "dtype", "max", "min"):
        assert getattr(ours, field) == getattr(theirs, field), field
    with pytest.raises(TypeError):
        engine.finfo(getattr(engine, name))


def test_can_cast():
    names = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
    for a in names:
        for b in names:
            ours = engine.can_cast(getattr(engine, a), getattr(engine, b))
            assert ours == torch.can_cast(getattr(torch, a), getattr(torch, b)), (a, b)


def test_default_dtype():
    assert engine.get_default_dtype() is engine.float32 and engine.finfo().dtype == "float32"
    engine.set_default_dtype(engine.float64)
    try:
        made = [
            engine.zeros(2), engine.ones(2), engine.full((2,), 1.0), engine.rand(2), engine.randn(2), engine.eye(2),
            engine.linspace(0, 1, 3), engine.arange(0.0, 1.0, 0.5), engine.tensor([1.0]), engine.tensor(1.0),
            engine.Tensor(2), nn.Linear(2, 2).weight,
        ]  # fmt: skip
        assert {t.dtype for t in made} == {engine.float64}
        assert engine.tensor([0.1]).item() == 0.1
        assert engine.tensor([1]).dtype is engine.int64 and engine.arange(3).dtype is engine.int64
        ints = engine.arange(1, 4)
        promoted = [  # an op of each file in which integers become floating-point numbers
            ints / 2, ints * 0.5, ints.exp(), ints.sqrt(), ints.sigmoid(), engine.true_divide(ints, ints), ints.tan(),
            engine.atan2(ints, ints), engine.xlogy(ints, ints), engine.logsumexp(ints, 0), engine.logspace(0, 1, 3),
            engine.trapezoid(ints), engine.trapezoid(ints[:0]), ints.rad2deg(), engine.where(ints > 1, ints, 0.5),
            ints.char() / 2, (ints > 1).log1p(), engine.reciprocal(ints),
        ]  # fmt: skip
        assert {t.dtype for t in promoted} == {engine.float64}
        assert engine.result_type(ints, 1.0) is engine.float64 and (ints / 3)[0].item() == 1 / 3
        assert (engine.ones(2, dtype=engine.float32) * 0.5).dtype is engine.float32  # a number widens no tensor
        engine.set_default_dtype(engine.bfloat16)
        assert (ints / 2).dtype is engine.bfloat16 and ints.tan().dtype is engine.bfloat16
    finally:
        engine.set_default_dtype(engine.float32)
    with pytest.raises(TypeError):
        engine.set_default_dtype(engine.int64)


def test_size():
    size = engine.zeros(2, 3, 4).size()
    assert isinstance(size, tuple) and isinstance(size, engine.Size) and size == (2, 3, 4) and size.numel() == 24
    assert size[:-1].numel() == 6 and size[0] == 2 and (size + size[:1]).numel() == 48
    assert engine.Size([]).numel() == 1 and engine.zeros(size[1:]).shape == (3, 4)
    for m in (engine, torch):
        shape = m.zeros(2, 3).shape
        assert (
            type(shape) is m.Size
            and type(m.zeros(2, 3).size()) is m.Size
            and str(shape) == f"{m.__name__}.Size([2, 3])"
        )
        four, again = (4,), pickle.loads(pickle.dumps(shape))
        parts = (shape[:1], shape[::-1], shape + four, four + shape, shape * 2, m.Size((5,)), again)
        assert all(type(part) is m.Size for part in parts)
        assert [tuple(part) for part in parts] == [(2,), (3, 2), (2, 3, 4), (4, 2, 3), (2, 3, 2, 3), (5,), (2, 3)]
        assert shape == (2, 3) and hash(shape) == hash((2, 3)) and {shape: 1}[(2, 3)] == 1 and type(shape[-1]) is int
        assert copy.deepcopy(shape) == shape and [*shape] == [2, 3] and m.zeros(()).shape == ()
        with pytest.raises(TypeError):
            shape + 1
        with pytest.raises(IndexError):
            shape[2]
    with pytest.raises(ValueError, match=r"expected shape \(2, 3\), as input, got \(3, 2\)"):
        nn.functional.binary_cross_entropy(engine.zeros(2, 3), engine.zeros(3, 2))  # errors show plain tuples


def test_old_constructors():
    for m in (engine, torch):
        assert m.Tensor(2, 3).shape == (2, 3) and m.Tensor(4).shape == (4,) and m.Tensor().shape == (0,)
        assert m.Tensor([[1, 2]]).tolist() == [[1.0, 2.0]] and m.Tensor([[1, 2]]).dtype is m.float32
        assert m.LongTensor([1, 2]).dtype is m.int64 and m.LongTensor(2, 1).shape == (2, 1)
        assert m.FloatTensor(np.float32([1, 2])).tolist() == [1.0, 2.0]
        assert m.BoolTensor([True, False]).dtype is m.bool and m.ByteTensor([1]).dtype is m.uint8
        assert isinstance(m.zeros(1), m.FloatTensor) and not isinstance(m.zeros(1), m.LongTensor)
        assert m.zeros(1).type(m.LongTensor).dtype is m.int64 and m.zeros(1).type(m.half).dtype is m.float16
        assert m.zeros(1).type(f"{m.__name__}.DoubleTensor").dtype is m.float64
        assert m.zeros(1, dtype=m.int32).type() == f"{m.__name__}.IntTensor"
        assert m.zeros(1, dtype=m.int64).new([3]).dtype is m.int64 and m.zeros(1).new(2, 2).shape == (2, 2)
    with pytest.raises(ValueError, match="QuaternionTensor"):
        engine.zeros(1).type("engine.QuaternionTensor")
    with pytest.raises(TypeError, match=r"\[LongTensor\] data"):
        engine.LongTensor(engine.zeros(2))


def test_what_a_tensor_is():
    x = engine.zeros(2, 3)
    assert engine.is_tensor(x) and not engine.is_tensor([1]) and engine.is_floating_point(x) and not x.is_complex()
    assert x.nelement() == engine.numel(x) == 6 and x.ndimension() == 2 and x.itemsize == 4 and x.nbytes == 24
    assert engine.is_nonzero(engine.ones(1)) and not x[0, 0].is_nonzero()
    assert x.contiguous(memory_format=engine.contiguous_format) is x
    assert x.t().clone(memory_format=engine.preserve_format).tolist() == x.t().tolist()
    assert engine.empty_like(x, memory_format=engine.preserve_format).shape == (2, 3)
    assert not x.is_contiguous(memory_format=engine.channels_last)


def test_numbers_of_numpy_keep_their_dtype():
    assert engine.tensor([np.float64(1.0)]).dtype is engine.float64
    assert engine.tensor([[np.float32(1.0)], [np.float32(2.0)]]).dtype is engine.float32
    assert engine.tensor([1.0]).dtype is engine.tensor([]).dtype is engine.float32


def test_operators():
    for m in (engine, torch):
        x = m.tensor([5.0, 7.0])
        y = x
        y **= 2
        y //= 2
        y %= 7
        assert y is x and x.tolist() == [5.0, 3.0]
        assert 3 in x and m.tensor(5.0) in x and 4 not in x
        leaf = m.tensor([2.0, 3.0], requires_grad=True)
        z = leaf * 1
        z **= 3
        z.sum().backward()
        assert leaf.grad.tolist() == [12.0, 27.0]
        assert m.arange(6)[range(1, 3)].tolist() == [1, 2] and m.zeros(3, 4)[:, range(2)].shape == (3, 2)
    x = engine.tensor([5.0, 3.0])
    for made in (x * np.array([1.0, 2.0]), np.array([1.0, 2.0]) * x):
        assert isinstance(made, engine.Tensor) and made.dtype is engine.float64 and made.tolist() == [5.0, 6.0]
    with pytest.raises(RuntimeError, match="leaf"):
        leaf = engine.ones(2, requires_grad=True)
        leaf **= 2
    with pytest.raises(TypeError):
        counts = engine.ones(2, dtype=engine.int64)
        counts **= 0.5


def test_lists_of_modules_add_up():
    a, b = nn.ModuleList([nn.ReLU()]), nn.ModuleList([nn.GELU()])
    both = a + b
    assert isinstance(both, nn.ModuleList) and list(both) == [a[0], b[0]] and len(a) == 1


def through_pickle(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("again", [copy.deepcopy, through_pickle])
def test_copies_share_memory_as_the_originals_do(again):
    x = engine.arange(12.0)
    x.note = ["mine"]
    values = {"whole": x, "part": x[2:6], "turned": x.view(3, 4).t(), "other": engine.zeros(3)}
    made = again(values)
    assert made["turned"].stride() == (1, 4) and made["whole"].note == ["mine"] and made["whole"].note is not x.note
    made["whole"][3] = -1.0
    assert made["part"].tolist() == [2.0, -1.0, 4.0, 5.0] and made["turned"][3, 0].item() == -1.0
    assert x[3].item() == 3.0 and made["other"].tolist() == [0.0] * 3


@pytest.mark.parametrize("again", [copy.deepcopy, through_pickle])
def test_copies_of_modules_keep_ties_and_gradients(again):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model[0].extra = model[0].weight.detach()[0]
    model(engine.ones(1, 2)).sum().backward()
    made = again(model)
    assert made[1].weight is made[0].weight and made[0].weight is not model[0].weight
    with engine.no_grad():
        made[0].weight.fill_(7.0)
    assert made[0].extra.tolist() == [7.0, 7.0]
    if again is copy.deepcopy:
        assert made[0].weight.grad.tolist() == model[0].weight.grad.tolist()


def backward_hooks(m):
    linear, log = m.nn.Linear(3, 2), []
    with m.no_grad():
        linear.weight.copy_(m.tensor([[1.0, 2, 3], [4, 5, 6]]))
        linear.bias.zero_()

    class Two(m.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = linear

        def forward(self, a, b):
            return self.linear(a) * 2, self.linear(a + b)

    def note(*gradients):
        log.append([None if g is None else g.tolist() for g in gradients])

    def double(module, grad_input, grad_output):
        note(*grad_input, *grad_output)
        return tuple(g * 2 for g in grad_input)

    model = Two()
    handle = model.register_full_backward_hook(double)
    model.register_full_backward_hook(lambda module, gi, go: log.append("first"), prepend=True)
    model.register_full_backward_pre_hook(lambda module, go: tuple(g * 3 for g in go))
    linear.register_full_backward_hook(lambda module, gi, go: note(*gi, *go))
    a, b = m.ones(1, 3, requires_grad=True), m.ones(1, 3)
    y, z = model(a, b)
    (y.sum() + z.sum() * 5).backward()
    note(a.grad, linear.weight.grad)
    handle.remove()
    y, z = model(a, b)
    (y.sum() + z.sum()).backward()
    note(a.grad)
    return log


def test_backward_hooks_of_modules():
    assert backward_hooks(engine) == backward_hooks(torch)
    layer = nn.Linear(2, 2)
    layer.register_full_backward_hook(lambda module, gi, go: (engine.ones(1, 2), None))
    with pytest.raises(TypeError, match="grad_input"):
        layer(engine.ones(1, 2, requires_grad=True)).sum().backward()


def test_a_hook_may_step():
    """Parameters that are updated as soon as their gradient is there: hooks are not recorded."""
    for m in (engine, torch):
        p = m.ones(3, requires_grad=True)

        def step(p):
            p.sub_(p.grad)
            p.grad = None

        p.register_post_accumulate_grad_hook(step)
        (p * 2).sum().backward()
        assert p.tolist() == [-1.0] * 3 and p.grad is None and p.is_leaf


def test_save_and_load(tmp_path):
    engine.save({"x": engine.arange(3), "n": 1}, tmp_path / "x.pt")
    assert torch.load(tmp_path / "x.pt")["x"].tolist() == engine.load(tmp_path / "x.pt")["x"].tolist() == [0, 1, 2]


def test_import_loads_no_packages():
    code = "import engine, sys; assert not {'engine.nn', 'engine.torchfiles', 'engine.optim'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
