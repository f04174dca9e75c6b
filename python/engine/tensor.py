"""Tensor: an Array plus what autograd needs. The tape attaches `backward`; the files in `engine.ops` attach all other methods."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from engine import _core
from engine._core import Array, DType
from engine.device import device, device_of
from engine.dtypes import Size, channels_last, contiguous_format
from engine.errors import BadBuffer, BadIndex, BadState, BadType, BadValue, require
from engine.storage import copied

if TYPE_CHECKING:
    import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

FLOATING = (_core.float32, _core.float64, _core.bfloat16, _core.float16)


class Tensor:
    """A typed, strided block of numbers that remembers how it was computed.

    Make one with `engine.tensor`, `engine.from_numpy` or another factory. Attributes and methods have PyTorch's names. `grad` is None
    before `backward`, and a Tensor of the same shape after it.
    """

    # The defaults are on the class, so that making a Tensor sets only one attribute. Every op makes one.
    _data: Array
    _requires_grad: bool = False
    _node: Any = None  # the tape's Node of the op that made it; None for a leaf
    _index: int = 0  # which of the node's outputs it is
    # Of a view: the tensor that it is a part of, that tensor's node at the time, and why it cannot be written in place, or "".
    _base: tuple[Tensor | None, Any, str] | None = None
    _grad: Tensor | None = None
    _hooks: dict[Any, Callable[[Tensor], Tensor | None]] | None = None
    _accumulator: Any = None  # of a leaf: its AccumulateGrad, once a graph was looked at
    _post_hooks: dict[Any, Callable[[Tensor], None]] | None = None  # of a leaf: called when its `grad` is complete

    def __init__(self, data: Any = (), requires_grad: Any = False, *sizes: Any) -> None:
        if type(data) is not Array:  # as PyTorch's old constructor: Tensor(2, 3), Tensor([1, 2])
            data = self._from_arguments((data, *(() if requires_grad is False else (requires_grad,)), *sizes))
            requires_grad = False
        self._data = data
        if requires_grad:
            self.requires_grad = True

    # ---- what it is

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions, as a `Size`: a tuple that has `numel()`."""
        return self._data.sizes

    @property
    def dtype(self) -> DType:
        """The type of the elements, for example `engine.float32`."""
        return self._data.dtype

    @property
    def device(self) -> device:
        """The device on which the memory is."""
        return device_of(self._data.device)

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is on a CUDA device."""
        return self._data.device >= 0

    @property
    def is_cpu(self) -> bool:
        """Whether the memory is on the CPU."""
        return self._data.device < 0

    # Kinds of tensor that engine does not have.
    is_sparse = is_quantized = is_nested = is_meta = False

    def get_device(self) -> int:
        """The number of the CUDA device; -1 for the CPU."""
        return self._data.device

    @property
    def ndim(self) -> int:
        """The number of dimensions, at most 8."""
        return self._data.ndim

    def dim(self) -> int:
        """The number of dimensions, the same as `ndim`."""
        return self._data.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._data.size

    nelement, ndimension = numel, dim

    def size(self, dim: int | None = None) -> Any:
        """The shape as a `Size`, a tuple that has `numel()`; or the size of dimension `dim`."""
        return self._data.sizes if dim is None else self._data.shape[self._dim("size", dim)]

    def stride(self, dim: int | None = None) -> Any:
        """The strides in elements, or the stride of dimension `dim`."""
        return self._data.strides if dim is None else self._data.strides[self._dim("stride", dim)]

    def _dim(self, op: str, dim: Any) -> int:
        """`dim` as an index of the shape."""
        n = self._data.ndim
        try:
            index = operator.index(dim)
        except TypeError:
            raise BadType(op, "dim", "None or an integer", type(dim).__name__) from None
        if not -n <= index < n:
            raise BadIndex(op, "dim", f"a number in [{-n}, {n})", dim)
        return index

    def is_contiguous(self, memory_format: Any = contiguous_format) -> bool:
        """Whether the elements lie in memory without gaps, in the order of their indices, the last index changing fastest."""
        return self._data.is_contiguous and memory_format is not channels_last

    def is_floating_point(self) -> bool:
        """Whether the dtype is float32, float64, bfloat16 or float16."""
        return self._data.dtype.is_floating_point

    def element_size(self) -> int:
        """The bytes of one element."""
        return self._data.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self._data.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._data.size * self._data.dtype.itemsize

    def data_ptr(self) -> int:
        """The memory address of the first element."""
        return self._data.data_ptr

    @property
    def _version(self) -> int:
        return self._data.version

    # ---- autograd

    @property
    def requires_grad(self) -> bool:
        """Whether `backward` computes a gradient for this tensor. It is set on a leaf, and ops pass it on to their results.

        Setting it raises TypeError for a dtype that is not floating-point, and RuntimeError for False on the result of an op.
        """
        if self._base is not None:
            self._follow_base()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._node is not None:
            if not value:
                raise BadState("requires_grad", "value", "True for the result of an op", False, "use .detach()")
            return
        if value and not self._data.dtype.is_floating_point:
            raise BadType("requires_grad", "dtype", "a floating-point dtype", self._data.dtype.name)
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Sets `requires_grad` and returns this tensor. Raises TypeError for a dtype that is not floating-point."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor is not the result of a recorded op."""
        if self._base is not None:
            self._follow_base()
        return self._node is None

    @property
    def grad_fn(self) -> Any:
        """The recorded op that made this tensor, an `autograd.Node`; None for a leaf."""
        if self._base is not None:
            self._follow_base()
        return None if self._node is None else self._node.named()

    @property
    def output_nr(self) -> int:
        """Which output of `grad_fn` the tensor is."""
        if self._base is not None:
            self._follow_base()
        return self._index

    if TYPE_CHECKING:

        @staticmethod
        def _from_arguments(args: tuple[Any, ...]) -> Array:
            """The Array of PyTorch's old constructor. `engine.ops.typed` attaches it."""

        def _follow_base(self) -> None:
            """Gives a view a new history if an in-place op has written to its base. The tape attaches it."""

    @property
    def grad(self) -> Tensor | None:
        """The sum of the gradients from all calls of `backward`, with the tensor's shape and dtype; None if there were none.

        Setting it raises TypeError for what is not a Tensor, and ValueError for another shape, dtype or device.
        """
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise BadType("grad", "value", "a Tensor or None", type(value).__name__)
            if value.shape != self.shape or value.dtype is not self.dtype:
                raise BadValue(
                    "grad",
                    "value",
                    f"shape {tuple(self.shape)} and dtype {self.dtype.name}",
                    f"shape {tuple(value.shape)} and dtype {value.dtype.name}",
                )
            if value._data.device != self._data.device:
                raise BadValue("grad", "value", f"a tensor on {self.device}", f"one on {value.device}")
            if value._data.overlaps_itself:  # `backward` adds to it in place
                value = Tensor(value._data.clone())
        self._grad = value

    @property
    def data(self) -> Tensor:
        """A tensor with the same memory that is not connected to the graph, as `detach()`."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        self._data = value._data

    def detach(self) -> Tensor:
        """A tensor with the same memory that is a leaf and does not require grad."""
        return Tensor(self._data)

    def detach_(self) -> Tensor:
        """Cuts this tensor off from its history: it becomes a leaf that does not require grad. Raises RuntimeError for a view."""
        require(
            self._base is None,
            "detach_",
            "self",
            "a tensor that is not a view",
            "a view",
            "use .detach()",
            error=BadState,
        )
        self._node, self._index, self._requires_grad = None, 0, False
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Calls `hook(gradient)` when this tensor's gradient is computed. If the hook returns a Tensor, that replaces the gradient.

        Raises RuntimeError for a tensor that does not require grad.
        """
        if self._base is not None:
            self._follow_base()  # an in-place op on the base may have given this view a new history
        _need_grad("register_hook", self)
        if self._node is not None:
            return RemovableHandle(self._node.hooks_of(self._index), hook)
        if self._hooks is None:
            self._hooks = {}
        return RemovableHandle(self._hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Calls `hook(self)` after `backward` has added this leaf's gradient to `.grad`.

        Raises RuntimeError for a tensor that does not require grad or is not a leaf.
        """
        _need_grad("register_post_accumulate_grad_hook", self)
        _need_leaf("register_post_accumulate_grad_hook", self)
        if self._post_hooks is None:
            self._post_hooks = {}
        return RemovableHandle(self._post_hooks, hook)

    def retain_grad(self) -> None:
        """Makes `backward` keep the gradient in `.grad`, which it otherwise does only for leaves.

        Raises RuntimeError for a tensor that does not require grad.
        """
        _need_grad("retain_grad", self)
        if self._node is not None:
            self._node.retain(self._index, self)

    # ---- crossing to Python and NumPy

    def item(self) -> float | int | bool:
        """The element of a one-element tensor as a Python number. The host waits for it if it is on a CUDA device.

        Raises ValueError if the tensor does not have exactly one element.
        """
        return self._data.item()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """A NumPy array with the same memory. force: detached, and copied from a CUDA device if it is on one.

        Raises RuntimeError for a tensor that requires grad, and TypeError for bfloat16 and for a tensor that is not on the CPU.
        """
        import numpy as np

        if force:
            return Tensor(self._data.to_device(-1)).numpy()
        if self._requires_grad:
            raise BadState(
                "numpy", "self", "a tensor that does not require grad", "one that does", "use .detach().numpy()"
            )
        if self._data.device >= 0:  # NumPy would make an array that holds one object
            raise BadType("numpy", "self", "a tensor on the CPU", f"one on {self.device}", "use .cpu().numpy()")
        if self._data.dtype is _core.bfloat16:
            raise BadType("numpy", "dtype", "a dtype that NumPy has", "bfloat16", "use .float().numpy()")
        return np.asarray(self._data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        import numpy as np

        array = self.numpy()
        if dtype is not None and array.dtype != np.dtype(dtype):
            if copy is False:
                raise BadValue("__array__", "copy", f"True or None for a conversion to {dtype}", False)
            return array.astype(dtype)
        return array.copy() if copy else array

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers; for 0 dimensions, one number."""
        array = self._data.to_device(-1)
        if array.dtype in (_core.bfloat16, _core.float16):  # memoryview knows neither on all versions of Python
            array = array.cast(_core.float32)
        return memoryview(array.contiguous()).tolist() if array.ndim else array.item()  # type: ignore[call-overload]

    def __dlpack__(self, **options: Any) -> Any:
        if self._requires_grad:
            raise BadBuffer(
                "__dlpack__", "self", "a tensor that does not require grad", "one that does", "use .detach()"
            )
        return self._data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    # ---- Python's own

    __hash__ = object.__hash__

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise BadType("len", "self", "a tensor with at least one dimension", "a 0-dim tensor")
        return self._data.shape[0]

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise BadValue("bool", "self", "one element", f"shape {tuple(self.shape)}", "use .any() or .all()")
        return bool(self._data.item())

    def __float__(self) -> float:
        return float(self._data.item())

    def __int__(self) -> int:
        return int(self._data.item())

    def __index__(self) -> int:
        if self._data.dtype.is_floating_point:
            raise BadType("index", "dtype", "an integer tensor", self._data.dtype.name)
        return int(self._data.item())

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        from copy import deepcopy

        _need_leaf("deepcopy", self)
        copy = self.__class__.__new__(self.__class__)
        memo[id(self)] = copy
        copy._data = copied(self._data, memo)
        copy._requires_grad = self._requires_grad
        copy._grad = deepcopy(self._grad, memo)
        copy.__dict__.update(deepcopy(self._attributes(), memo))
        return copy

    def __reduce__(self) -> Any:
        # As in PyTorch, a tensor is restored on its device, without its gradient, and the result of an op as a leaf.
        return _rebuild, (type(self), self._data, self.requires_grad), self._attributes() or None

    def _attributes(self) -> dict[str, Any]:
        """What the user has added to this tensor."""
        return {name: value for name, value in self.__dict__.items() if name not in _FIELDS}


_FIELDS = frozenset(name for name in vars(Tensor)["__annotations__"])


def _need_grad(op: str, t: Tensor) -> None:
    require(t._requires_grad, op, "self", "a tensor that requires grad", "one that does not", error=BadState)


def _need_leaf(op: str, t: Tensor) -> None:
    require(t._node is None, op, "self", "a leaf tensor", "the result of an op", "use .detach()", error=BadState)


def _rebuild(cls: type[Tensor], data: Array, requires_grad: bool) -> Tensor:
    tensor = cls.__new__(cls)
    tensor._data, tensor._requires_grad = data, requires_grad
    return tensor


class RemovableHandle:
    """What the registration of a hook returns. `remove()` removes the hook; so does the end of a `with` block."""

    def __init__(self, hooks: dict[Any, Any], hook: Any, first: bool = False) -> None:
        self._hooks, self._key = hooks, object()
        others = dict(hooks) if first else {}
        if first:
            hooks.clear()
        hooks[self._key] = hook
        hooks.update(others)

    def remove(self) -> None:
        self._hooks.pop(self._key, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def tensor_method(*names: Any) -> Any:
    """Makes a function a method of Tensor, too: `@tensor_method`, or `@tensor_method("add", "__add__")` for other names."""

    def attach(function: F) -> F:
        for name in names or (function.__name__,):
            setattr(Tensor, name, function)
        return function

    if len(names) == 1 and callable(names[0]):
        function, names = names[0], ()
        return attach(function)
    return attach


def as_array(op: str, name: str, value: Any) -> Array:
    """The Array of the argument `name`, a Tensor. Raises TypeError for anything else."""
    if not isinstance(value, Tensor):
        raise BadType(op, name, "a Tensor", type(value).__name__)
    return value._data
