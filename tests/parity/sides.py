"""A side is PyTorch or what stands in its place. Both go through this file, so that `--self` tests the harness itself."""

from __future__ import annotations

import importlib
import inspect
import sys
import types
import unittest
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .names import LEFT_OUT_DTYPES


def import_test_inputs(name: str) -> Any:
    """A module of `torch.testing._internal`. These import `expecttest`, of which inputs use nothing: a stand-in will do."""
    try:
        import expecttest  # noqa: F401
    except ImportError:
        module = types.ModuleType("expecttest")
        module.TestCase = unittest.TestCase  # type: ignore[attr-defined]
        sys.modules["expecttest"] = module
    return importlib.import_module(f"torch.testing._internal.{name}")


class Missing(Exception):
    """The side lacks a name: `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class LeftOut(Exception):
    """The sample holds something that is not judged; the message says what."""


@dataclass
class Side:
    """Looks up names of PyTorch in `module` and carries values across."""

    module: Any
    _rebound: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_torch(self) -> bool:
        return self.module is torch

    def get(self, path: str) -> Any:
        """The thing that PyTorch calls `torch.<path>`. Missing if there is none."""
        found = self.module
        for part in path.split("."):
            try:
                found = getattr(found, part)
            except (AttributeError, ImportError):
                raise Missing(path) from None
        return found

    def has(self, path: str) -> bool:
        try:
            self.get(path)
        except Missing:
            return False
        return True

    def rebind(self, function: types.FunctionType) -> types.FunctionType:
        """The same Python function with this side's module where its file says `torch`, helpers of the file included."""
        if self.is_torch:
            return function
        return self._with_globals(function, self._globals(function.__globals__))

    def _globals(self, of: dict[str, Any]) -> dict[str, Any]:
        if id(of) not in self._rebound:
            here = dict(of, torch=self.module)
            if isinstance(of.get("F"), types.ModuleType):
                here["F"] = self.module.nn.functional
            self._rebound[id(of)] = here
            for name, value in of.items():
                if isinstance(value, types.FunctionType) and value.__globals__ is of:
                    here[name] = self._with_globals(value, here)
        return self._rebound[id(of)]

    @staticmethod
    def _with_globals(function: types.FunctionType, here: dict[str, Any]) -> types.FunctionType:
        new = types.FunctionType(
            function.__code__, here, function.__name__, function.__defaults__, function.__closure__
        )
        new.__kwdefaults__ = function.__kwdefaults__
        return new

    def dtype(self, dtype: torch.dtype) -> Any:
        name = str(dtype).removeprefix("torch.")
        if name in LEFT_OUT_DTYPES:
            raise LeftOut(LEFT_OUT_DTYPES[name])
        return self.get(name)

    def tensor(self, value: torch.Tensor, *, requires_grad: bool | None = None) -> Any:
        """A leaf of this side with the same values, dtype, order of strides and `requires_grad`."""
        if value.layout != torch.strided:
            raise LeftOut("sparse")
        if value.device.type != "cpu":
            raise LeftOut(f"device {value.device.type}")
        if value.dim() > 64:
            raise LeftOut("more dimensions than NumPy takes")
        wanted = self.dtype(value.dtype)
        needs = value.requires_grad if requires_grad is None else requires_grad
        if self.is_torch:
            new = value.detach().clone()
        elif value.dtype == torch.bfloat16:
            new = self.module.tensor(value.detach().float().numpy()).to(wanted)
        else:
            new = self.module.from_numpy(np.array(value.detach().resolve_conj().numpy(), order="K"))
        if isinstance(value, torch.nn.Parameter):
            return self.get("nn.Parameter")(new, requires_grad=needs)
        return new.requires_grad_() if needs else new

    def carry(self, value: Any, memo: dict[int, Any] | None = None) -> Any:
        """A sample's argument on this side: tensors, dtypes, devices and containers of them."""
        memo = {} if memo is None else memo
        again = lambda v: self.carry(v, memo)  # noqa: E731
        if isinstance(value, torch.Tensor):
            if id(value) not in memo:
                memo[id(value)] = self.tensor(value)
            return memo[id(value)]
        if isinstance(value, torch.dtype):
            return self.dtype(value)
        if self.is_torch:
            plain = value
        elif isinstance(value, torch.device):
            plain = self.get("device")(str(value))
        elif isinstance(value, torch.layout | torch.memory_format):
            plain = self.get(str(value).removeprefix("torch."))
        elif isinstance(value, torch.Generator):
            plain = self.get("Generator")().manual_seed(value.initial_seed())
        elif isinstance(value, torch.Size):
            plain = tuple(value)
        elif isinstance(value, torch.nn.Module):
            raise LeftOut("a module as an argument")
        elif isinstance(value, types.FunctionType) and (value.__module__ or "").startswith("torch.testing"):
            plain = self.rebind(value)
        elif callable(value) and (path := path_of(value)):
            plain = self.get(path)
        else:
            plain = value
        if type(plain) in (list, tuple):
            return type(plain)(again(v) for v in plain)
        if type(plain) is dict:
            return {k: again(v) for k, v in plain.items()}
        if isinstance(plain, slice):
            return slice(again(plain.start), again(plain.stop), again(plain.step))
        return plain

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, self.module.Tensor)

    def back(self, value: Any) -> Any:
        """A result as PyTorch has it: tensors as detached copies, containers as lists."""
        if self.is_tensor(value):
            if self.is_torch:
                return value.detach().clone()
            name = str(value.dtype).rpartition(".")[2]
            if name == "bfloat16":
                return torch.from_numpy(np.array(value.detach().float().numpy())).bfloat16()
            return torch.from_numpy(np.array(value.detach().numpy()))
        if isinstance(value, Mapping):
            return {k: self.back(v) for k, v in value.items()}
        if isinstance(value, list | tuple) or inspect.isgenerator(value):
            return [self.back(v) for v in value]
        if type(value).__name__ in ("dtype", "DType"):
            return str(value).rpartition(".")[2]
        return value

    def tensors(self, value: Any) -> list[Any]:
        """All tensors in a result, in order."""
        if self.is_tensor(value):
            return [value]
        if isinstance(value, Mapping):
            return [t for v in value.values() for t in self.tensors(v)]
        if isinstance(value, list | tuple):
            return [t for v in value for t in self.tensors(v)]
        return []


def path_of(function: Any) -> str | None:
    """`nn.functional.relu` for the function that PyTorch has there; None if it has no such place."""
    name = getattr(function, "__name__", "")
    for place in ("nn.functional", "linalg", "Tensor", "nn", ""):
        holder = torch
        for part in filter(None, place.split(".")):
            holder = getattr(holder, part)
        if name and getattr(holder, name, None) is function:
            return f"{place}.{name}" if place else name
    return None


PYTORCH = Side(torch)


def subject(name: str) -> Side:
    """The side to be judged: "engine", or "torch" for the harness's test of itself."""
    module = importlib.import_module(name)
    if name == "engine":
        for part in ("nn", "optim"):
            importlib.import_module(f"{name}.{part}")
    return Side(module)
