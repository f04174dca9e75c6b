"""PyTorch's `op_db`: every sample of every op that the side has, as function, method and in-place, with gradients and errors."""

from __future__ import annotations

import random
import re
import types
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch

from . import names
from .compare import ROUNDED, Fault, describe, difference, in_double, kind_of_error, near_exact, sentence
from .report import Tally
from .sides import PYTORCH, LeftOut, Missing, Side, import_test_inputs, path_of

DTYPES = (torch.float32, torch.float64, torch.int64, torch.bool)


def path_of_op(op: Any) -> str | None:
    """Where PyTorch has the function that an OpInfo calls; None if it calls a helper of the test inputs."""
    if PYTORCH.has(op.name) and PYTORCH.get(op.name) is op.op:
        return op.name
    return path_of(op.op)


def function_of(op: Any, side: Side) -> Callable[..., Any]:
    """The OpInfo's function on this side. Missing if the side lacks the op."""
    path = path_of_op(op)
    if path is not None:
        return side.get(path)
    for path in (op.name, f"Tensor.{op.name}", f"Tensor.{op.name}_"):
        if PYTORCH.has(path):
            side.get(path)
            break
    if isinstance(op.op, types.FunctionType) and (op.op.__module__ or "").startswith("torch.testing"):
        return side.rebind(op.op)
    return side.get(path)


def variant_of(variant: Any, side: Side) -> Callable[..., Any] | None:
    """A method or in-place variant on this side; None if PyTorch or the side has none."""
    if variant is None:
        return None
    if isinstance(variant, types.FunctionType):
        return side.rebind(variant) if (variant.__module__ or "").startswith("torch.testing") else None
    name = getattr(variant, "__name__", "")
    return getattr(side.module.Tensor, name, None)


def loss_of(side: Side, result: Any) -> Any | None:
    """A sum over all results that take gradients, each element with a weight of its own; None if there is none."""
    total = None
    for i, tensor in enumerate(side.tensors(result)):
        if not tensor.requires_grad:
            continue
        weights = torch.rand(tuple(tensor.shape), generator=torch.Generator().manual_seed(i), dtype=torch.float64) + 0.5
        weights = weights.to(getattr(torch, str(tensor.dtype).rpartition(".")[2]))
        part = (tensor * side.tensor(weights)).sum()
        total = part if total is None else total + part
    return total


def gradients(side: Side, result: Any, leaves: list[Any]) -> Any:
    """The gradients of the leaves; the string "none" where no result takes gradients."""
    loss = loss_of(side, result)
    if loss is None:
        return "none"
    loss.backward()
    return [None if leaf.grad is None else side.back(leaf.grad) for leaf in leaves]


class Call:
    """A sample's arguments on one side, fresh for each call."""

    def __init__(self, side: Side, sample: Any) -> None:
        self.side = side
        memo: dict[int, Any] = {}
        self.input = side.carry(sample.input, memo)
        self.args = tuple(side.carry(a, memo) for a in sample.args)
        self.kwargs = {k: side.carry(v, memo) for k, v in sample.kwargs.items()}
        everything = [self.input, *self.args, *self.kwargs.values()]
        tensors = {id(t): t for value in everything for t in side.tensors(value)}
        self.leaves = [t for t in tensors.values() if t.requires_grad]

    def run(self, function: Callable[..., Any], *, inplace: bool = False) -> Any:
        input = self.input.clone() if inplace else self.input
        result = function(input, *self.args, **self.kwargs)
        return input if inplace else result


def outcome(
    side: Side, sample: Any, function: Callable[..., Any], *, inplace: bool, grad: bool
) -> tuple[str, Any, Any]:
    """("ok", result, gradients), ("error", exception, None), or ("gradient error", result, exception)."""
    call = Call(side, sample)
    try:
        result = call.run(function, inplace=inplace)
        plain = side.back(result)
    except Exception as error:
        return "error", error, None
    if not grad or not call.leaves:
        return "ok", plain, None
    process = sample.output_process_fn_grad
    try:
        if not inplace and isinstance(process, types.FunctionType):
            result = side.rebind(process)(result)
        return "ok", plain, gradients(side, result, call.leaves)
    except Exception as error:
        return "gradient error", plain, error


def as_exact(
    sample: Any,
    function: Callable[..., Any],
    inplace: bool,
    grad: bool,
    part: Callable[[tuple[str, Any, Any]], Any],
    expected: Any,
    got: Any,
) -> bool:
    """Whether results that differ are both near those of float64: `got` at most twice as far as PyTorch's own."""
    if not any(t.dtype in ROUNDED for t in PYTORCH.tensors(expected)):
        return False
    truth = part(outcome(PYTORCH, sample.transform(in_double), function, inplace=inplace, grad=grad))
    return near_exact(expected, got, truth)


def check(
    stage: str,
    sample: Any,
    expected: Callable[..., Any],
    got: Callable[..., Any],
    side: Side,
    *,
    values: bool,
    grad: bool,
    inplace: bool = False,
) -> Iterator[Fault]:
    """The faults of one way to call an op. Values that differ are judged by PyTorch's of float64."""
    e_state, e, e_grad = outcome(PYTORCH, sample, expected, inplace=inplace, grad=grad)
    g_state, g, g_grad = outcome(side, sample, got, inplace=inplace, grad=grad)
    call = describe((sample.input, *sample.args), sample.kwargs)
    if e_state == "error" or g_state == "error":
        if e_state != g_state:
            yield _one_sided(stage, e_state == "error", e if e_state == "error" else g, call)
        return
    found = difference(e, g, values=values)
    if found and not (found[0] == "value" and as_exact(sample, expected, inplace, grad, lambda o: o[1], e, g)):
        yield Fault(stage, found[0], f"{call}: {found[1]}")
        return
    stage = "gradient" if stage == "forward" else f"{stage} gradient"
    if e_state != g_state:
        yield _one_sided(stage, e_state == "gradient error", e_grad if e_state == "gradient error" else g_grad, call)
    elif e_state == "ok" and values and e_grad is not None:
        for fault in _gradient_fault(stage, e_grad, g_grad, call):
            if fault.kind != "value" or not as_exact(sample, expected, inplace, grad, lambda o: o[2], e_grad, g_grad):
                yield fault


def _gradient_fault(stage: str, expected: Any, got: Any, call: str) -> Iterator[Fault]:
    if "none" in (expected, got) or len(expected) != len(got):
        if expected != got:
            has = (
                "PyTorch's result requires grad, this one does not"
                if got == "none"
                else "only this result requires grad"
            )
            yield Fault(stage, "requires_grad", f"{call}: {has}")
        return
    for e, g in zip(expected, got):
        if e is None and g is not None and not g.any():
            continue  # zeros for an input that has no influence
        if found := difference(e, g):
            yield Fault(stage, "missing gradient" if g is None else found[0], f"{call}: {found[1]}")
            return


def _one_sided(stage: str, torch_raised: bool, error: Exception, call: str) -> Fault:
    if torch_raised:
        return Fault(stage, "error not raised", f"{call}: PyTorch says {sentence(error)}")
    return Fault(stage, kind_of_error(error), f"{call}: {sentence(error)}")


def faults_of(
    op: Any, sample: Any, function: Callable[..., Any], side: Side, dtype: torch.dtype, first: bool
) -> list[Fault]:
    """All faults of one sample: function, gradient, method, in-place, and aliases on the first sample."""
    values = not names.is_random(op.name) and not sample.kwargs.get("dropout_p")
    grad = dtype.is_floating_point and op.supports_autograd and values
    faults = list(check("forward", sample, op.op, function, side, values=values, grad=grad))
    method = variant_of(op.method_variant, side)
    if method is not None and not faults:
        faults += check("method", sample, op.method_variant, method, side, values=values, grad=False)
    inplace = variant_of(op.inplace_variant, side)
    if inplace is not None and isinstance(sample.input, torch.Tensor):
        grad_too = grad and op.supports_inplace_autograd and not sample.broadcasts_input
        faults += check(
            "in-place", sample, op.inplace_variant, inplace, side, values=values, grad=grad_too, inplace=True
        )
    for alias in op.aliases if first else ():
        if side.has(alias.name):
            faults += check(
                f"alias {alias.name}", sample, alias.op, side.get(alias.name), side, values=values, grad=False
            )
    return faults


def run_op(
    op: Any, side: Side, tally: Tally, dtypes: tuple[torch.dtype, ...] = DTYPES, limit: int | None = None
) -> None:
    """All samples of an op that the side has, `limit` of each dtype at most."""
    function = function_of(op, side)
    for dtype in dtypes:
        if dtype not in op.supported_dtypes("cpu"):
            continue
        seed()
        grad = dtype.is_floating_point and op.supports_autograd
        try:
            # `op.sample_inputs` would call the same, and walk the stack for each sample
            samples = list(islice(op.sample_inputs_func(op, "cpu", dtype, grad), limit))
        except Exception as error:
            tally.left_out[f"PyTorch makes no samples: {type(error).__name__}"] += 1
            continue
        for i, sample in enumerate(samples):
            judge(op.name, tally, faults_of, op, sample, function, side, dtype, i == 0)
    if op.error_inputs_func is not None:
        seed()
        for error in islice(op.error_inputs_func(op, "cpu"), limit):
            judge(op.name, tally, error_faults, op, error.sample_input, function, side)


def error_faults(op: Any, sample: Any, function: Callable[..., Any], side: Side) -> list[Fault]:
    """An input that PyTorch refuses must be refused."""
    e_state, expected, _ = outcome(PYTORCH, sample, op.op, inplace=False, grad=False)
    if e_state != "error":
        raise LeftOut("PyTorch raises nothing for its own error input")
    if outcome(side, sample, function, inplace=False, grad=False)[0] == "error":
        return []
    call = describe((sample.input, *sample.args), sample.kwargs)
    return [Fault("errors", "error not raised", f"{call}: PyTorch says {sentence(expected)}")]


def judge(name: str, tally: Tally, faults: Callable[..., list[Fault]], *args: Any) -> None:
    """Counts one sample: the faults that `faults(*args)` finds."""
    try:
        tally.sample(name, faults(*args))
    except LeftOut as why:
        tally.left_out[f"samples: {why}"] += 1
    except Missing as missing:
        tally.sample(name, [Fault("arguments", kind_of_error(missing), str(missing))])


def seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def names_families(side: Side, tally: Tally) -> None:
    """Listed names, as functions, methods and in-place methods, wherever PyTorch has them."""
    ops = sorted({*names.OPS, *names.BASICS})
    methods = sorted({*ops, *names.METHODS})
    families = {
        "constants": names.CONSTANTS,
        "functions": [n for n in ops if PYTORCH.has(n)],
        "methods": [f"Tensor.{n}" for n in methods if PYTORCH.has(f"Tensor.{n}")],
        "in-place methods": [f"Tensor.{n}_" for n in ops if PYTORCH.has(f"Tensor.{n}_")],
        "functional": [f"nn.functional.{n}" for n in names.FUNCTIONAL],
        "data": [f"utils.data.{n}" for n in names.DATA],
    }
    for family, wanted in families.items():
        tally.name_family(family, [(n, side.has(n)) for n in wanted])


def run(side: Side, only: str | None = None, limit: int | None = None) -> Tally:
    """The whole of op_db, or the ops whose name or `name/variant` is `only` (a regular expression)."""
    op_db = import_test_inputs("common_methods_invocations").op_db
    tally = Tally("opinfo")
    if only is None:
        names_families(side, tally)
    for op in op_db:
        if only is not None and not re.fullmatch(only, op.name):
            continue
        why = None if names.listed(op.name) else names.left_out(op.name)
        if why is not None:
            tally.left_out[f"ops: {why}"] += 1
            continue
        try:
            run_op(op, side, tally, limit=limit)
        except Missing:
            listed = "listed" if names.listed(op.name) else "not listed"
            tally.left_out[f"ops that do not exist, {listed}"] += 1
    return tally
