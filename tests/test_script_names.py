"""Names and habits of public scripts that have no other home: old constructors, accelerators, lazy and parallel modules, hooks."""

import warnings

import numpy as np
import pytest

import engine
from engine import nn
from engine.notices import say_once


def test_typed_constructors_take_a_size():
    size = engine.ones(2, 3).size()
    assert engine.FloatTensor(size).shape == engine.Tensor(size).shape == (2, 3)
    assert engine.LongTensor(size[:1]).shape == (2,)
    assert engine.LongTensor((2, 3)).tolist() == [2, 3]  # a plain tuple is data


def test_types_of_cuda_are_not_those_of_the_cpu():
    x = engine.ones(2)
    assert isinstance(x, engine.FloatTensor) and not isinstance(x, engine.cuda.FloatTensor)
    if not engine.cuda.is_available():
        with pytest.raises(RuntimeError):
            engine.cuda.FloatTensor(2)


def test_a_number_is_formatted_as_a_number():
    assert f"{engine.tensor(2.5)} {engine.tensor(3)} {engine.tensor(0.125):.1f}" == "2.5 3 0.1"
    assert f"{engine.ones(1)}" == "tensor([1.])"


def test_randint_takes_size_by_keyword():
    assert engine.randint(5, size=(2, 3)).shape == engine.randint(2, 5, size=(2, 3)).shape == (2, 3)
    assert engine.randint(1, size=(4,)).tolist() == [0] * 4


def test_variable_is_a_tensor_with_the_same_memory():
    x = engine.ones(2)
    v = engine.autograd.Variable(x, requires_grad=True)
    (v * 3).sum().backward()
    assert v.grad.tolist() == [3, 3] and v.data_ptr() == x.data_ptr() and not x.requires_grad
    assert isinstance(x, engine.autograd.Variable) and not isinstance(1, engine.autograd.Variable)
    with pytest.warns(UserWarning, match="no_grad"):
        engine.autograd.Variable(x, volatile=True)


def test_softmax_without_dim_says_which_it_takes():
    for shape, dim in (((3,), 0), ((2, 3), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)):
        x = engine.arange(float(np.prod(shape))).reshape(shape)
        with pytest.warns(UserWarning, match=f"dimension {dim}"):
            got = nn.Softmax()(x)
        assert got.equal(x.softmax(dim))


def test_accelerators_are_cuda_devices():
    assert engine.accelerator.is_available() == engine.cuda.is_available()
    assert engine.accelerator.device_count() == engine.cuda.device_count()
    assert (engine.accelerator.current_accelerator() is None) == (not engine.cuda.is_available())
    assert not engine.xpu.is_available() and engine.xpu.device_count() == 0


def test_a_lazy_layer_becomes_linear_at_its_first_call():
    model = nn.Sequential(nn.LazyLinear(3), nn.LazyLinear(2, bias=False))
    optimizer = engine.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match="call the module once"):
        nn.init.xavier_uniform_(model[0].weight)
    model(engine.ones(2, 4)).sum().backward()
    before = model[0].weight.detach().clone()
    optimizer.step()
    assert [type(m) for m in model] == [nn.Linear, nn.Linear] and type(model[0].weight) is nn.Parameter
    assert model[0].in_features == 4 and not model[0].weight.equal(before)


def test_a_lazy_layer_takes_the_shapes_of_a_saved_state():
    saved, lazy = nn.Linear(4, 3), nn.LazyLinear(3)
    lazy.load_state_dict(saved.state_dict())
    x = engine.ones(2, 4)
    assert lazy(x).equal(saved(x)) and lazy.in_features == 4


def test_data_parallel_names_the_module_and_warns_of_devices():
    inner = nn.Linear(2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = nn.DataParallel(inner, device_ids=[0])
    assert list(model.state_dict()) == ["module.weight", "module.bias"]
    assert model(engine.ones(1, 2)).equal(inner(engine.ones(1, 2)))
    say_once.cache_clear()
    with pytest.warns(UserWarning, match="DataParallel runs the whole batch on one device"):
        nn.DataParallel(inner, device_ids=[0, 1])


def test_hooks_see_keyword_arguments_and_can_come_first():
    class Scale(nn.Module):
        def forward(self, x, by=1.0):
            return x * by

    model, seen = Scale(), []
    model.register_forward_hook(lambda m, args, out: seen.append("second"))
    model.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs["by"]), prepend=True, with_kwargs=True)
    handle = model.register_forward_pre_hook(lambda m, args, kwargs: (args, {"by": kwargs["by"] * 2}), with_kwargs=True)
    assert model(engine.ones(1), by=3.0).item() == 6.0
    handle.remove()
    assert model(engine.ones(1), by=3.0).item() == 3.0
    assert seen == [6.0, "second", 3.0, "second"]


def test_a_module_says_what_it_does_not_have():
    class Wrapped(nn.Module):
        def __getattr__(self, name):
            return 7 if name == "seven" else super().__getattr__(name)

    class Mixed:
        def __getattr__(self, name):
            return super().__getattr__("training" if name == "learning" else name)

    class Both(Mixed, Wrapped):
        pass

    class Mixing(Mixed, nn.Linear):
        pass

    assert Wrapped().seven == 7 and not hasattr(Wrapped(), "eight")
    assert Both().seven == 7 and Both().learning is True and not hasattr(Both(), "eight")
    assert Mixing(2, 3).learning is True and Mixing(2, 3)(engine.ones(1, 2)).shape == (1, 3)
    with pytest.raises(AttributeError, match=r"\[Mixing\] eight: expected an attribute of the module"):
        print(Mixing(2, 3).eight)
    assert not hasattr(nn.Linear(2, 3), "eight")
    assert not hasattr(nn.Linear, "__getattr__")  # it would slow all attributes down
    model = nn.Module()
    model.register_buffer("steps", engine.zeros(1))
    assert model.get_buffer("steps") is model.steps
    with pytest.raises(AttributeError, match="nothing"):
        model.get_buffer("nothing")


def test_initial_matrices():
    for shape in ((3, 7), (7, 3), (4, 4), (2, 3, 2)):
        q = nn.init.orthogonal_(engine.empty(shape), gain=2.0).reshape(shape[0], -1).numpy()
        q = q if q.shape[0] <= q.shape[1] else q.T
        np.testing.assert_allclose(q @ q.T, 4 * np.eye(len(q)), atol=1e-5)
    assert nn.init.eye_(engine.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert (nn.init.sparse_(engine.empty(10, 4), 0.25) == 0).sum(0).tolist() == [3] * 4
    with pytest.raises(ValueError, match="dimensions"):
        nn.init.orthogonal_(engine.empty(3))


@pytest.mark.parametrize("name", ["asinh", "acosh", "atanh"])
def test_inverse_hyperbolic_functions(name):
    values = {
        "asinh": [-3, -1e-9, 0, 1e20, 1e308],
        "acosh": [1, 1 + 1e-12, 2, 1e20, 1e308],
        "atanh": [-0.5, 1e-12, 0.999],
    }
    x = engine.tensor(values[name], dtype=engine.float64)
    np.testing.assert_allclose(getattr(x, name)().numpy(), getattr(np, "arc" + name[1:])(x.numpy()), rtol=1e-14)
    inside = engine.tensor(
        {"asinh": [-2.0, 0.3], "acosh": [1.5, 4.0], "atanh": [-0.6, 0.2]}[name], dtype=engine.float64
    )
    assert engine.autograd.gradcheck(getattr(engine, name), (inside.requires_grad_(),))
    assert getattr(engine, "arc" + name[1:])(inside.detach()).equal(
        inside.detach().clone().__getattribute__(name + "_")()
    )


def test_products_and_choices_of_numbers():
    assert engine.cartesian_prod(engine.arange(2), engine.arange(2)).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert engine.combinations(engine.tensor([4, 5, 6])).tolist() == [[4, 5], [4, 6], [5, 6]]
    assert engine.combinations(engine.tensor([4, 5]), 2, True).tolist() == [[4, 4], [4, 5], [5, 5]]
    assert engine.combinations(engine.arange(1), 2).shape == (0, 2)


def test_asarray_shares_or_copies():
    a = np.zeros(2)
    shared, copied = engine.asarray(a), engine.asarray(a, copy=True)
    a[0] = 1
    assert shared.tolist() == [1, 0] and copied.tolist() == [0, 0]
    leaf = engine.ones(2, requires_grad=True)
    assert not engine.asarray(leaf).requires_grad
    with pytest.raises(ValueError, match="copy"):
        engine.asarray(leaf, dtype=engine.float64, copy=False)


def test_arithmetic_writes_to_out():
    a, b = engine.tensor([1.0, 4.0]), engine.tensor([2.0, 3.0])
    for op in (engine.add, engine.sub, engine.mul, engine.div, engine.max, engine.min):
        out = engine.empty(2)
        assert op(a, b, out=out) is out and out.equal(op(a, b))
    assert engine.max(a, b, out=a) is a and a.tolist() == [2, 4]
    with pytest.raises(ValueError, match="out"):
        engine.add(a, b, out=engine.empty(3))
    with pytest.raises(RuntimeError, match="out"):
        engine.mul(a, engine.ones(2, requires_grad=True), out=engine.empty(2))
    with pytest.raises(ValueError, match="out"):
        engine.max(a, 0, out=engine.empty(()))


def test_the_old_order_of_factors_still_works_and_warns():
    x, y = engine.tensor([1.0, 2.0]), engine.tensor([3.0, 5.0])
    for call, expected in (
        (lambda: x.add(2, y), [7, 12]),
        (lambda: engine.sub(x, 2, y), [-5, -8]),
        (lambda: x.clone().add_(-1, y), [-2, -3]),
        (lambda: x.clone().sub_(-1, y), [4, 7]),
        (lambda: x.addcmul(2, x, y), [7, 22]),
        (lambda: x.clone().addcdiv_(6, x, y), [3, 4.4]),
    ):
        with pytest.warns(UserWarning, match="old order"):
            np.testing.assert_allclose(call().numpy(), expected, rtol=1e-6)


def test_detach_in_place_makes_a_leaf():
    x = engine.ones(2, requires_grad=True)
    y = x * 2
    assert y.detach_() is y and y.is_leaf and not y.requires_grad
    with pytest.raises(RuntimeError, match="view"):
        (x * 2)[0].detach_()


def test_where_takes_a_condition_of_bytes():
    condition = engine.tensor([0, 1, 2], dtype=engine.uint8)
    with pytest.warns(UserWarning, match="write bool"):
        assert engine.where(condition, 1.0, engine.zeros(3)).tolist() == [0, 1, 1]


def test_tensors_say_what_they_are_not():
    x = engine.ones(1)
    assert not (x.is_sparse or x.is_quantized or x.is_nested or x.is_meta)
    assert engine.tensor([-2, 0, 3]).sgn().tolist() == [-1, 0, 1]


def test_an_optimizer_of_the_user_has_its_own_bounds():
    class Odd(engine.optim.Optimizer):
        def __init__(self, params, lr=engine.optim.optimizer.required, betas=(0.9, 1.0), eps=(1e-30, 1e-3)):
            super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    p = nn.Parameter(engine.ones(1))
    assert Odd([p], lr=None).param_groups[0]["eps"] == (1e-30, 1e-3)
    with pytest.raises(ValueError, match="lr"):
        Odd([p])
    with pytest.raises(ValueError, match="lr"):
        engine.optim.SGD([p], lr=-1.0)
