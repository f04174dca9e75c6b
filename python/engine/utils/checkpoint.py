"""What PyTorch has in `torch.utils.checkpoint`: `checkpoint` of `engine.autograd`, and that for the parts of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from engine.autograd import checkpoint
from engine.errors import require
from engine.nn import Sequential
from engine.ops import get_rng_state, set_rng_state
from engine.tensor import Tensor

__all__ = [
    "checkpoint",
    "checkpoint_sequential",
    "get_device_states",
    "set_checkpoint_early_stop",
    "set_device_states",
]


def checkpoint_sequential(
    functions: Sequential | Sequence[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """The functions one after the other, in that many segments of equal length, each of them but the last under `checkpoint`.

    functions: an `nn.Sequential`, or a list of modules and functions of one argument. What is left over belongs to the last segment.
    The other arguments are those of `checkpoint`. Raises ValueError unless 1 <= segments <= len(functions).
    """
    parts = list(functions)
    expected = f"a number in [1, {len(parts)}]"
    require(1 <= segments <= len(parts), "checkpoint_sequential", "segments", expected, segments)
    length = len(parts) // segments
    for i in range(segments - 1):
        segment = parts[i * length : (i + 1) * length]
        input = checkpoint(_run, segment, input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return _run(parts[(segments - 1) * length :], input)


def _run(functions: list[Callable[..., Any]], input: Any) -> Any:
    for function in functions:
        input = function(input)
    return input


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """(devices, states): the numbers of the CUDA devices on which tensors among the arguments are, and the random state for each."""
    devices = sorted({x.get_device() for x in args if isinstance(x, Tensor) and x.is_cuda})
    return devices, [get_rng_state() for _ in devices]


def set_device_states(devices: Sequence[int], states: Sequence[Any], *, device_type: str | None = None) -> None:
    """Restores what `get_device_states` gave. engine has one random state for all devices."""
    for state in states[:1]:
        set_rng_state(state)


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """A block for `early_stop` of `checkpoint`; it changes nothing, because the second run of a function always goes to its end."""
    yield
