"""`torch.distributed`'s names for one process. engine trains on one device: the process has rank 0 of 1.

Scripts that ask for their rank, or reduce over all processes, run in one process, in which a reduction changes nothing. A group of more
processes is refused.
"""

from __future__ import annotations

import os
from copy import deepcopy
from enum import Enum
from typing import Any

from engine.errors import BadState
from engine.ops.convert import copy_into
from engine.tensor import Tensor

__all__ = [
    "ReduceOp",
    "Work",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "destroy_process_group",
    "get_backend",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_available",
    "is_initialized",
    "is_nccl_available",
    "reduce",
    "reduce_scatter_tensor",
]


class ReduceOp(Enum):
    """How values of processes are joined. The value of a single process stays what it is."""

    SUM = "sum"
    AVG = "avg"
    PRODUCT = "product"
    MIN = "min"
    MAX = "max"


class Work:
    """What a call with async_op=True returns. It is done already."""

    def wait(self, timeout: Any = None) -> bool:
        """True at once."""
        return True

    is_completed = is_success = wait

    def get_future(self) -> Work:
        """Itself."""
        return self


class _Group:
    backend: str | None = None  # None: init_process_group was not called


def is_available() -> bool:
    """False: there is no communication between processes."""
    return False


def is_nccl_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return _Group.backend is not None


def init_process_group(
    backend: str | None = None, init_method: str | None = None, timeout: Any = None, world_size: int = -1,
    rank: int = -1, store: Any = None, group_name: str = "", pg_options: Any = None, device_id: Any = None,
) -> None:  # fmt: skip
    """Begins a group of one process. The other arguments change nothing.

    Raises RuntimeError if world_size, or WORLD_SIZE in the environment, is above 1.
    """
    size = world_size if world_size > 0 else int(os.environ.get("WORLD_SIZE", 1))
    if size > 1:
        raise BadState("init_process_group", "world_size", 1, size, "engine trains on one device")
    _Group.backend = backend or "gloo"


def destroy_process_group(group: Any = None) -> None:
    """Ends the group."""
    _Group.backend = None


def get_backend(group: Any = None) -> str:
    """The backend that `init_process_group` was given. Raises RuntimeError before it."""
    if _Group.backend is None:
        raise BadState("get_backend", "group", "a call of init_process_group before", "none")
    return _Group.backend


def get_rank(group: Any = None) -> int:
    """0, also before `init_process_group`."""
    return 0


def get_world_size(group: Any = None) -> int:
    """1, also before `init_process_group`."""
    return 1


# ---------------------------------------------------------------- communication: with one process there is nobody to talk to


def _done(async_op: bool) -> Work | None:
    return Work() if async_op else None


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Waits for nobody."""
    return _done(async_op)


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """Leaves the tensor as it is: it is the sum, mean, product, least and largest of one."""
    return _done(async_op)


def reduce(tensor: Tensor, dst: int = 0, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Any:
    """Leaves the tensor as it is."""
    return _done(async_op)


def broadcast(tensor: Tensor, src: int = 0, group: Any = None, async_op: bool = False) -> Work | None:
    """Leaves the tensor as it is."""
    return _done(async_op)


def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """Copies the tensor into the only one of the list."""
    copy_into(tensor_list[0]._data, tensor._data)
    return _done(async_op)


def all_gather_into_tensor(output: Tensor, input: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """Copies the input to the output."""
    copy_into(output._data, input._data.view(output.shape))
    return _done(async_op)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copies the input to the output."""
    return all_gather_into_tensor(output, input, group, async_op)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Puts a copy of the object into the only place of the list."""
    object_list[0] = deepcopy(obj)


def broadcast_object_list(object_list: list[Any], src: int = 0, group: Any = None, device: Any = None) -> None:
    """Leaves the list as it is."""
