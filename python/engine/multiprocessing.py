"""Python's multiprocessing, and `spawn` as PyTorch has it. Tensors go to other processes as copies: they share no memory."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from multiprocessing import get_context
from typing import Any

from engine.errors import BadState


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> Any:
    """Runs fn(i, *args) in a process of its own for each i below nprocs.

    join: waits for all of them; otherwise the list of processes is returned. Raises RuntimeError if one of them failed.
    """
    context: Any = get_context(start_method)
    processes = [context.Process(target=fn, args=(i, *args), daemon=daemon) for i in range(nprocs)]
    for process in processes:
        process.start()
    if not join:
        return processes
    for process in processes:
        process.join()
    failed = {i: process.exitcode for i, process in enumerate(processes) if process.exitcode}
    if failed:
        raise BadState("spawn", "fn", "processes that end with exit code 0", f"exit codes {failed}")
    return None


def get_sharing_strategy() -> str:
    """ "none": tensors are copied."""
    return "none"


def set_sharing_strategy(new_strategy: str) -> None:
    """Changes nothing: tensors are copied."""
