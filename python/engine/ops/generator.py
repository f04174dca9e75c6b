"""Sources of random numbers: engine's own state, and generators beside it.

A generator is a seed and a number of calls. Numbers are a function of both and of the element's position (see `ops/random.py`), so
a generator draws what engine draws after the same `manual_seed`, and works for tensors on every device.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from typing import Any

from engine import _core
from engine.device import device as Device
from engine.errors import BadType, require
from engine.tensor import Tensor, as_array

__all__ = ["Generator", "default_generator"]


class Generator:
    """A source of random numbers of its own: `engine.rand(3, generator=engine.Generator().manual_seed(0))`.

    It starts with PyTorch's seed, 67280421310721. It may be copied, pickled and shared between threads. device: kept as an
    attribute; the state is on the host for every device.
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = Device(device)
        self._lock = allocate_lock()
        self._set(67280421310721, 0)

    def manual_seed(self, seed: int) -> Generator:
        """Starts again with this seed, -2^63 <= seed < 2^64, and returns the generator.

        Raises ValueError for a seed outside this range, TypeError if it is not an integer."""
        whole = isinstance(seed, int) or hasattr(seed, "__index__")
        require(whole, "manual_seed", "seed", "an integer", type(seed).__name__, error=BadType)
        number = int(seed)
        require(-(2**63) <= number < 2**64, "manual_seed", "seed", "a value in [-2^63, 2^64)", number)
        self._set(number % 2**64, 0)
        return self

    def seed(self) -> int:
        """Starts again with a seed from the operating system, and returns it."""
        number = int.from_bytes(os.urandom(8), "little")
        self._set(number, 0)
        return number

    def initial_seed(self) -> int:
        """The seed, in [0, 2^64)."""
        return self._get()[0]

    def get_state(self) -> Tensor:
        """uint8 (16,): the seed and the number of calls so far, little-endian."""
        return Tensor(_core.from_bytes(b"".join(n.to_bytes(8, "little") for n in self._get()), (16,), _core.uint8))

    def set_state(self, new_state: Tensor) -> Generator:
        """Restores a state that `get_state` returned. Raises ValueError for any other tensor."""
        self._set(*state_numbers("set_state", new_state))
        return self

    def clone_state(self) -> Generator:
        """A new generator with the same state."""
        copy = Generator(self.device)
        copy._set(*self._get())
        return copy

    def __getstate__(self) -> tuple[Any, tuple[int, int]]:
        return self.device, self._get()

    def __setstate__(self, state: tuple[Any, tuple[int, int]]) -> None:
        self.__init__(state[0])  # type: ignore[misc]
        self._set(*state[1])

    def __repr__(self) -> str:
        return f"<engine.Generator device='{self.device}' seed={self._get()[0]}>"

    def _get(self) -> tuple[int, int]:
        return self._seed, self._calls

    def _set(self, seed: int, calls: int) -> None:
        with self._lock:
            self._seed, self._calls = seed, calls

    def _next(self) -> tuple[int, int]:
        """The seed, as a kernel takes it, and the number of a call."""
        with self._lock:
            seed, call = self._seed, self._calls
            self._calls += 1
        return (seed if seed < 2**63 else seed - 2**64), call


class _DefaultGenerator(Generator):
    """engine's random state, from which ops draw if they are given no generator."""

    def __init__(self) -> None:
        self.device = Device("cpu")

    def manual_seed(self, seed: int) -> Generator:
        _core.manual_seed(seed)
        return self

    def __reduce__(self) -> Any:
        return _default, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        return self.clone_state()

    def _get(self) -> tuple[int, int]:
        seed, calls = _core.random_state()
        return int(seed), int(calls)

    def _set(self, seed: int, calls: int) -> None:
        _core.set_random_state(seed, calls)

    def _next(self) -> tuple[int, int]:
        return _core.next_random()


default_generator: Generator = _DefaultGenerator()


def _default() -> Generator:
    return default_generator


def next_random(op: str, generator: Generator | None) -> tuple[int, int]:
    """The seed and call number from which an op draws, of engine's random state if generator is None."""
    if generator is None:
        return _core.next_random()
    if not isinstance(generator, Generator):
        raise BadType(op, "generator", "an engine.Generator or None", type(generator).__name__)
    return generator._next()


def state_numbers(op: str, new_state: Tensor) -> tuple[int, int]:
    """The seed and the number of calls in a state. Raises ValueError for a tensor that is none."""
    state = as_array(op, "new_state", new_state)
    right, got = (
        state.dtype is _core.uint8 and state.shape == (16,),
        f"{state.dtype.name} of shape {tuple(state.shape)}",
    )
    require(right, op, "new_state", "uint8 of shape (16,)", got)
    raw = _core.to_bytes(state)  # copies from a device if need be
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")
