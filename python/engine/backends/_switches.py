"""Modules whose attributes are switches."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from engine.notices import say_once
from engine.ops.precision import get_float32_matmul_precision, set_float32_matmul_precision


class AllowTF32:
    """Whether CUDA devices may round the factors of float32 products to TF32, as `set_float32_matmul_precision("high")`."""

    def __get__(self, instance: Any, owner: Any = None) -> bool:
        return get_float32_matmul_precision() != "highest"

    def __set__(self, instance: Any, value: bool) -> None:
        set_float32_matmul_precision("high" if value else "highest")


class Without:
    """A switch of something that engine does not have. It keeps its value; setting another one changes nothing, which is said once."""

    def __init__(self, value: Any, why: str) -> None:
        self.value, self.why = value, why

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"{owner.__name__}.{name}"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self.value

    def __set__(self, instance: Any, value: Any) -> None:
        if value != self.value:
            say_once(f"engine: {self.name} = {value!r} changes nothing: {self.why}")


def switches(name: str, kind: type[ModuleType]) -> None:
    """Makes the module of this name one of that kind, whose class has the switches."""
    sys.modules[name].__class__ = kind
