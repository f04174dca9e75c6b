"""PyTorch's `module_db`: names of parameters, outputs and gradients of every module that the side has."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from . import names
from .compare import Fault, describe, difference, in_double, kind_of_error, near_exact, sentence
from .opinfo import gradients, judge, seed
from .report import Tally
from .sides import PYTORCH, LeftOut, Missing, Side, import_test_inputs

DTYPES = (torch.float32, torch.float64)
RANDOM = {"RReLU", "FractionalMaxPool2d", "FractionalMaxPool3d"}  # in training mode
LEFT_OUT = {r".*3d": "3-D layers", "LinearCrossEntropyLoss": "new in 2.13, an experiment of PyTorch's"}


@contextlib.contextmanager
def remembering_arguments(*classes: type) -> Iterator[None]:
    """Modules made meanwhile keep their arguments in `made_with`, so that a side can make its own."""
    kept = [(c, c.__init__) for c in classes]

    def remembering(init: Any) -> Any:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            init(self, *args, **kwargs)
            self.made_with = (args, kwargs)

        return __init__

    for c, init in kept:
        c.__init__ = remembering(init)
    try:
        yield
    finally:
        for c, init in kept:
            c.__init__ = init


class Made:
    """A module of one side, made from a ModuleInput."""

    def __init__(self, side: Side, name: str, sample: Any, dtype: torch.dtype, training: bool) -> None:
        self.side = side
        self.sample = sample
        memo: dict[int, Any] = {}
        args = [self._carry(a, memo) for a in sample.constructor_input.args]
        kwargs = {k: self._carry(v, memo) for k, v in sample.constructor_input.kwargs.items()}
        cls = side.get(f"nn.{name}")
        module = cls(*args, **kwargs)
        self.module = module.to(side.dtype(dtype)).train(training)

    def _carry(self, value: Any, memo: dict[int, Any]) -> Any:
        if isinstance(value, torch.nn.Module):
            if not hasattr(value, "made_with"):
                raise LeftOut("a module as an argument")
            args, kwargs = value.made_with
            args = [self._carry(a, memo) for a in args]
            return self.side.get(f"nn.{type(value).__name__}")(*args, **self.side.carry(kwargs, memo))
        return self.side.carry(value, memo)

    def state(self) -> dict[str, torch.Tensor]:
        return {k: self.side.back(v) for k, v in self.module.state_dict().items()}

    def load(self, state: dict[str, torch.Tensor]) -> None:
        self.module.load_state_dict({k: self.side.tensor(v) for k, v in state.items()})

    def forward(self) -> Any:
        """The output; the inputs that require grad are kept in `leaves`."""
        memo: dict[int, Any] = {}
        args = [self.side.carry(a, memo) for a in self.sample.forward_input.args]
        kwargs = {k: self.side.carry(v, memo) for k, v in self.sample.forward_input.kwargs.items()}
        tensors = {id(t): t for value in [*args, *kwargs.values()] for t in self.side.tensors(value)}
        self.leaves = [t for t in tensors.values() if t.requires_grad]
        return self.module(*args, **kwargs)

    def gradients(self, output: Any) -> Any:
        parameters = dict(self.module.named_parameters())
        found = gradients(self.side, output, [*parameters.values(), *self.leaves])
        if found == "none":
            return found
        labels = [*parameters, *(f"input {i}" for i in range(len(self.leaves)))]
        return dict(zip(labels, found))


def faults_of(name: str, sample: Any, side: Side, dtype: torch.dtype, training: bool) -> list[Fault]:
    """The faults of one sample; the first stage that fails ends it."""
    values = not (training and name in RANDOM)
    made = describe(sample.constructor_input.args, sample.constructor_input.kwargs)
    torch_module = Made(PYTORCH, name, sample, dtype, training)
    stage = "construct"
    example = f"{name}({made})"
    try:
        module = Made(side, name, sample, dtype, training)
        if any(is_lazy(p) for p in torch_module.module.parameters()):
            torch_module.forward()
            module.forward()
        stage = "state_dict"
        state = torch_module.state()
        if found := difference(state, module.state(), values=False):
            return [Fault(stage, found[0], f"{example}: {found[1]}")]
        module.load(state)
        stage = "forward"
        example += f"({describe(sample.forward_input.args, sample.forward_input.kwargs)})"
        expected = torch_module.forward()
        output = module.forward()
        if found := difference(PYTORCH.back(expected), side.back(output), values=values):
            return [Fault(stage, found[0], f"{example}: {found[1]}")]
        if found := difference(torch_module.state(), module.state(), values=values):
            return [Fault("buffers", found[0], f"{example}: {found[1]}")]
        stage = "gradient"
        if values:
            e, g = torch_module.gradients(expected), module.gradients(output)
            faults = _gradient_faults(e, g, example)
            inexact = dtype == torch.float32 and [f.kind for f in faults] == ["value"]
            return [] if inexact and near_exact(e, g, _exact_gradients(name, sample, state, training)) else faults
    except (LeftOut, Missing):
        raise
    except Exception as error:
        return [Fault(stage, kind_of_error(error), f"{example}: {sentence(error)}")]
    return []


def _exact_gradients(name: str, sample: Any, state: dict[str, torch.Tensor], training: bool) -> Any:
    """PyTorch's gradients of a float32 sample, computed in float64."""

    def doubled(call: Any) -> Any:
        return type(call)(*map(in_double, call.args), **{k: in_double(v) for k, v in call.kwargs.items()})

    again = type(sample)(doubled(sample.constructor_input), doubled(sample.forward_input))
    module = Made(PYTORCH, name, again, torch.float64, training)
    module.load(state)
    return module.gradients(module.forward())


def _gradient_faults(expected: Any, got: Any, example: str) -> list[Fault]:
    if "none" in (expected, got):
        return (
            []
            if expected == got
            else [Fault("gradient", "requires_grad", f"{example}: {expected} expected, got {got}")]
        )
    for label, e in expected.items():
        g = got.get(label)
        if e is None and g is not None and not g.any():
            continue
        if found := difference(e, g):
            return [
                Fault("gradient", "missing gradient" if g is None else found[0], f"{example}, of {label}: {found[1]}")
            ]
    return []


def error_faults(name: str, error: Any, side: Side, dtype: torch.dtype, training: bool) -> list[Fault]:
    """A construction or call that PyTorch refuses must be refused."""
    sample = error.module_error_input
    try:
        Made(PYTORCH, name, sample, dtype, training).forward()
    except LeftOut:
        raise
    except Exception as e:
        expected = e
    else:
        raise LeftOut("PyTorch raises nothing for its own error input")
    try:
        Made(side, name, sample, dtype, training).forward()
    except LeftOut:
        raise
    except Exception:
        return []
    made = describe(sample.constructor_input.args, sample.constructor_input.kwargs)
    called = describe(sample.forward_input.args, sample.forward_input.kwargs)
    return [Fault("errors", "error not raised", f"{name}({made})({called}): PyTorch says {sentence(expected)}")]


def more_inputs() -> dict[str, Any]:
    """Inputs of listed modules that module_db does not have, as functions like those of module_db."""
    common = import_test_inputs("common_modules")
    call, sample = common.FunctionInput, common.ModuleInput

    def inputs(*pairs: tuple[Any, list[Any]]) -> Any:
        def make(dtype: torch.dtype, requires_grad: bool) -> list[Any]:
            def tensor(of: Any) -> Any:
                if isinstance(of, tuple):
                    return torch.testing.make_tensor(of, dtype=dtype, device="cpu", requires_grad=requires_grad)
                return of

            return [sample(made, call(*[tensor(a) for a in args])) for made, args in pairs]

        return make

    ids = torch.tensor([[1, 2, 4], [4, 3, 9]])
    flat, offsets = torch.tensor([1, 2, 4, 5, 4, 3]), torch.tensor([0, 2])
    decoder_layer = torch.nn.TransformerDecoderLayer
    with remembering_arguments(decoder_layer):
        layer = decoder_layer(8, 2, 16, 0.0, batch_first=True)
    return {
        "Identity": inputs((call(), [(2, 3)]), (call(5, unused=True), [(2,)])),
        "Dropout": inputs((call(0.0), [(2, 3)]), (call(p=0.0, inplace=False), [()])),
        "Flatten": inputs((call(), [(2, 3, 4)]), (call(0), [(2, 3)]), (call(1, 2), [(2, 3, 4, 5)])),
        "Unflatten": inputs((call(1, (2, 3)), [(2, 6)]), (call(-1, (3, -1)), [(2, 6)])),
        "CosineSimilarity": inputs((call(), [(4, 5), (4, 5)]), (call(dim=0, eps=1e-6), [(4, 5), (4, 5)])),
        "PairwiseDistance": inputs((call(), [(4, 5), (4, 5)]), (call(1.0, keepdim=True), [(4, 5), (4, 5)])),
        "TripletMarginLoss": inputs((call(), [(4, 5)] * 3), (call(margin=2.0, p=1, swap=True), [(4, 5)] * 3)),
        "Hardsigmoid": inputs((call(), [(4, 5)]), (call(inplace=False), [()])),
        "EmbeddingBag": inputs(
            (call(10, 3), [ids]),
            (call(10, 3, mode="sum"), [flat, offsets]),
            (call(10, 3, mode="max", padding_idx=4), [ids]),
        ),
        "TransformerDecoder": inputs((call(layer, 2), [(2, 3, 8), (2, 5, 8)])),
        "Linear": inputs((call(3, 4), [(2, 0, 3)]), (call(3, 4, dtype=torch.float32), [(5, 2, 3)])),
        "LayerNorm": inputs((call(4, elementwise_affine=False), [(3, 4)]), (call((3, 4), bias=False), [(2, 3, 4)])),
        "Embedding": inputs((call(10, 3, padding_idx=2), [ids]), (call(10, 3, padding_idx=-1), [ids])),
    }


def run(side: Side, only: str | None = None, limit: int | None = None) -> Tally:
    """The whole of module_db, or the modules whose name without `nn.` is `only` (a regular expression)."""
    common = import_test_inputs("common_modules")
    tally = Tally("moduleinfo")
    if only is None:
        tally.name_family("modules", [(n, side.has(f"nn.{n}")) for n in names.MODULES])
    extra = more_inputs()
    infos = {info.name.removeprefix("nn."): info for info in common.module_db}
    for name in dict.fromkeys([*infos, *extra]):
        if only is not None and not re.fullmatch(only, name):
            continue
        why = next((why for pattern, why in LEFT_OUT.items() if re.fullmatch(pattern, name)), None)
        if why is None and not side.has(f"nn.{name}"):
            why = "do not exist, listed" if name in names.MODULES else "do not exist, not listed"
        if why is not None:
            tally.left_out[f"modules: {why}"] += 1
            continue
        for dtype in DTYPES:
            _run_module(name, infos.get(name), extra.get(name), side, tally, dtype, limit)
    return tally


def _run_module(
    name: str, info: Any, extra: Any, side: Side, tally: Tally, dtype: torch.dtype, limit: int | None
) -> None:
    for training in (True, False) if info is None or info.train_and_eval_differ else (True,):
        seed()
        samples: list[Any] = []
        errors: list[Any] = []
        with remembering_arguments(torch.nn.TransformerEncoderLayer, torch.nn.TransformerDecoderLayer):
            if info is not None:
                arguments = {"device": "cpu", "dtype": dtype, "requires_grad": True, "training": training}
                samples += info.module_inputs_func(info, **arguments)
                if info.module_error_inputs_func is not None:
                    errors += info.module_error_inputs_func(info, **arguments)
            if extra is not None:
                samples += extra(dtype, True)
        for sample in islice((s for s in samples if s.forward_input is not None), limit):
            judge(name, tally, faults_of, name, sample, side, dtype, training)
        for error in islice(errors, limit):
            judge(name, tally, error_faults, name, error, side, dtype, training)
