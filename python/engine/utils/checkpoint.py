"""What PyTorch has in `torch.utils.checkpoint`: `checkpoint` of `engine.autograd`, and that for the parts of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from engine.autograd import checkpoint
from engine.errors import require
from engine.nn import Sequential

__all__ = ["checkpoint", "checkpoint_sequential", "set_checkpoint_early_stop"]


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


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """A block for `early_stop` of `checkpoint`; it changes nothing, because the second run of a function always goes to its end."""
    yield
