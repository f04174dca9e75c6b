"""Tensors from numbers, lists and NumPy arrays. The default dtypes are PyTorch's: float32, and int64 for integers."""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import Node, check_inplace, record, record_inplace
from engine.device import number_of, placed, refuse_float64, target
from engine.dtypes import INTEGER_LIMITS, default
from engine.errors import Argument, BadType, BadValue, require
from engine.ops.blame import explained
from engine.ops.convert import cast, copy_into, from_dlpack, into
from engine.ops.nested import plain
from engine.ops.operands import gradient, no_gradient, promote_types, sum_to, zeros_array
from engine.ops.sizes import new_sizes
from engine.tensor import Tensor, as_array, tensor_method

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "one_hot",
    "ones",
    "ones_like",
    "tensor",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]

K = _core.kernels


def fill_array(op: str, array: Array, value: Any, arg: str = "fill_value") -> Array:
    """`array`, filled with a number: a Python or NumPy scalar or a Tensor of one element. Raises if it has another type, or if
    the array's dtype cannot hold it."""
    if isinstance(value, Tensor):
        value = value.item()
    if not isinstance(value, bool | int | float):
        try:
            number = value.item()  # a NumPy scalar
        except (AttributeError, ValueError):
            number = None
        if not isinstance(number, bool | int | float):
            raise BadType(op, arg, "a number", type(value).__name__)
        value = number
    limits = INTEGER_LIMITS.get(array.dtype)
    if array.dtype is _core.uint8 and not isinstance(value, float) and -256 < value < 0:
        value += 256  # wraps around, as in PyTorch
    if limits and not (math.isfinite(value) and limits[0] <= int(value) <= limits[1]):
        raise BadValue(op, arg, f"a number that {array.dtype.name} can hold", value)
    if limits and abs(int(value)) > 2**53:  # a double cannot hold it exactly
        K.copy(array, _core.from_bytes(int(value).to_bytes(8, "little", signed=True), (), _core.int64))
    else:
        K.fill(array, float(value))
    return array


# ---------------------------------------------------------------- constants


def new_array(op: str, size: tuple[Any, ...], dtype: DType | None, device: Any) -> Array:
    """An array of the given sizes, float32 by default, whose contents are undefined."""
    dtype = default.dtype if dtype is None else dtype
    return _core.empty(new_sizes(op, "size", size), dtype, target(op, device, dtype))


def _filled(array: Array, value: float, requires_grad: bool) -> Tensor:
    K.fill(array, value)
    return Tensor(array, requires_grad)


def sizes_of(op: str, sizes: tuple[Any, ...], size: Any) -> tuple[Any, ...]:
    """The sizes that a factory was given by position, or by the keyword `size`. Raises TypeError if it was given both."""
    if size is None:
        return sizes
    require(not sizes, op, "size", "no value, because sizes were given by position", size, error=BadType)
    return (size,)


def empty(
    *sizes: Any, size: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of the given sizes whose contents are undefined. float32 by default."""
    return Tensor(new_array("empty", sizes_of("empty", sizes, size), dtype, device), requires_grad)


def zeros(
    *sizes: Any, size: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros. float32 by default."""
    return _filled(new_array("zeros", sizes_of("zeros", sizes, size), dtype, device), 0.0, requires_grad)


def ones(
    *sizes: Any, size: Any = None, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones. float32 by default."""
    return _filled(new_array("ones", sizes_of("ones", sizes, size), dtype, device), 1.0, requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor in which every element is `fill_value`. By default its dtype is that of the number: bool, int64 or float32."""
    if dtype is None:
        kind = type(fill_value.item() if isinstance(fill_value, Tensor) else fill_value)
        dtype = _core.bool if kind is bool else _core.int64 if kind is int else default.dtype
    return Tensor(fill_array("full", new_array("full", (size,), dtype, device), fill_value), requires_grad)


def new_array_like(op: str, input: Tensor, dtype: DType | None, device: Any) -> Array:
    """An array of the shape and, by default, dtype and device of `input`, whose contents are undefined."""
    x = as_array(op, "input", input)
    dtype = x.dtype if dtype is None else dtype
    number = x.device if device is None else number_of(device)
    refuse_float64(op, dtype, number)
    return _core.empty(x.shape, dtype, number)


def empty_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`empty` of the shape and, by default, dtype and device of `input`; contiguous, whatever `memory_format`."""
    return Tensor(new_array_like("empty_like", input, dtype, device), requires_grad)


def zeros_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`zeros` of the shape and, by default, dtype and device of `input`."""
    return _filled(new_array_like("zeros_like", input, dtype, device), 0.0, requires_grad)


def ones_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`ones` of the shape and, by default, dtype and device of `input`."""
    return _filled(new_array_like("ones_like", input, dtype, device), 1.0, requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`full` of the shape and, by default, dtype and device of `input`."""
    return Tensor(fill_array("full_like", new_array_like("full_like", input, dtype, device), fill_value), requires_grad)


def _defaults(self: Tensor, dtype: DType | None, device: Any) -> dict[str, Any]:
    return {"dtype": self.dtype if dtype is None else dtype, "device": self.device if device is None else device}


@tensor_method("new_zeros")
@explained
def _new_zeros(
    self: Tensor, *size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`zeros` of the given sizes, by default of this tensor's dtype and on its device."""
    return zeros(*size, **_defaults(self, dtype, device), requires_grad=requires_grad)


@tensor_method("new_ones")
@explained
def _new_ones(
    self: Tensor, *size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`ones` of the given sizes, by default of this tensor's dtype and on its device."""
    return ones(*size, **_defaults(self, dtype, device), requires_grad=requires_grad)


@tensor_method("new_empty")
def _newnew_array(
    self: Tensor, *size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`empty` of the given sizes, by default of this tensor's dtype and on its device."""
    return empty(*size, **_defaults(self, dtype, device), requires_grad=requires_grad)


@tensor_method("new_full")
@explained
def _new_full(
    self: Tensor,
    size: Any,
    fill_value: float,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`full` of the given sizes, by default of this tensor's dtype and on its device."""
    return full(size, fill_value, **_defaults(self, dtype, device), requires_grad=requires_grad)


@tensor_method("new_tensor")
@explained
def _new_tensor(
    self: Tensor, data: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`tensor` of the given data, by default of this tensor's dtype and on its device."""
    return tensor(data, **_defaults(self, dtype, device), requires_grad=requires_grad)


# ---------------------------------------------------------------- sequences and matrices


@explained
def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """start, start + step, start + 2 step and so on, `end` excluded; `arange(end)` starts at 0.

    By default int64 if all three are integers, otherwise float32. For an integer dtype the fractions of start and step are
    dropped, and for int64 that of end. Raises ValueError if a number is not finite, if step is 0 or leads away from end, or if
    the dtype cannot hold the numbers.
    """
    if out is not None:
        return into("arange", out, arange(start, end, step, dtype=out.dtype if dtype is None else dtype, device=device))
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if step == 0 or not all(math.isfinite(v) for v in (start, end, step)):
        got = f"{start}, {end}, {step}"
        raise BadValue("arange", "step", "finite start, end and step, and a step other than 0", got)
    if (end - start) * step < 0:
        raise BadValue("arange", "end", f"a number that steps of {step} reach from {start}", end)
    whole = all(not isinstance(v, float) and hasattr(v, "__index__") for v in (start, end, step))
    dtype = (_core.int64 if whole else default.dtype) if dtype is None else dtype
    limits = INTEGER_LIMITS.get(dtype)
    n = 0 if whole else math.ceil((end - start) / step)
    if whole or limits:
        start, step = (int(v) for v in (start, step))
        if not step and dtype is _core.int64:
            raise BadValue("arange", "step", f"a number that is not 0 as {dtype.name}", step)
        if whole or dtype is _core.int64:
            n = max(-(-(int(end) - start) // step), 0)
    if limits and n and not all(limits[0] <= int(v) <= limits[1] for v in (start, start + (n - 1) * step)):
        raise BadValue("arange", "end", f"numbers that {dtype.name} can hold", f"{start} to {end}")
    number = target("arange", device, dtype)
    if limits or dtype in (_core.float32, _core.float64):
        first, by = (int(start), int(step)) if limits else (0, 0)
        return Tensor(K.arange(n, float(start), float(step), first, by, dtype.code, device=number), requires_grad)
    # As in PyTorch, float bounds decide how many numbers there are; then each number is converted.
    wide = K.arange(n, float(start), float(step), 0, 0, _core.float64.code)
    return Tensor(placed(wide, dtype, number), requires_grad)


@explained
def linspace(
    start: float | Tensor,
    end: float | Tensor,
    steps: int,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` evenly spaced numbers from start to end, both included. float32 by default. For an integer dtype the fractions of
    start and end are dropped first, and then those of the numbers."""
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    require(steps >= 0, "linspace", "steps", "a number >= 0", steps)
    dtype = default.dtype if dtype is None else dtype
    number = target("linspace", device, dtype)
    if dtype in INTEGER_LIMITS:
        start, end = int(start), int(end)
    if dtype in (*INTEGER_LIMITS, _core.float32, _core.float64):
        return Tensor(K.linspace(steps, float(start), float(end), dtype.code, device=number), requires_grad)
    wide = K.linspace(steps, float(start), float(end), _core.float64.code)
    return Tensor(placed(wide, dtype, number), requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """(n, m), or (n, n), with ones on the diagonal and zeros elsewhere. float32 by default."""
    (n,), (m,) = new_sizes("eye", "n", (n,)), new_sizes("eye", "m", (n if m is None else m,))
    dtype = default.dtype if dtype is None else dtype
    array = _core.empty((n, m), dtype, target("eye", device, dtype))
    K.fill(array, 0.0)
    K.fill(array.as_strided((min(n, m),), (m + 1,), 0), 1.0)
    return Tensor(array, requires_grad)


_triangle_backward = gradient(K.triangle)


def _triangle(op: str, input: Tensor, diagonal: int, upper: bool) -> Tensor:
    x = as_array(op, "input", input)
    if x.ndim < 2:
        raise BadValue(op, "input", "at least 2 dimensions", x.ndim)
    return record(op, K.triangle(x, diagonal, upper), (input,), _triangle_backward, diagonal, upper)


@tensor_method
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of each matrix of (*, m, n), the given diagonal included; zeros above it."""
    return _triangle("tril", input, diagonal, False)


@tensor_method
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of each matrix of (*, m, n), the given diagonal included; zeros below it."""
    return _triangle("triu", input, diagonal, True)


@explained
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 (*) -> int64 (*, num_classes): zeros, with a 1 at each index. num_classes = -1: the largest index + 1.

    Raises IndexError for an index outside [0, num_classes).
    """
    x = as_array("one_hot", "tensor", tensor)
    if num_classes == -1:
        require(x.size, "one_hot", "num_classes", "a number > 0 for an empty tensor", -1)
        num_classes = int(K.amax(x, (1 << x.ndim) - 1, False).item()) + 1
    require(num_classes > 0, "one_hot", "num_classes", "a number > 0", num_classes)
    return Tensor(K.one_hot(x, num_classes))


# ---------------------------------------------------------------- from other objects


def _array_from(op: str, data: Any, dtype: DType | None, copy: bool) -> Array:
    import numpy as np

    if isinstance(data, Tensor):
        array = data._data
    elif isinstance(data, np.ndarray | np.generic):
        array = _from_numpy(op, np.asarray(data), dtype)
    elif not isinstance(data, list | tuple | int | float) and hasattr(data, "__dlpack__"):
        array = from_dlpack(data)._data
    else:
        dtypes: set[DType] = set()
        try:
            values = np.asarray(plain(data, dtypes))
        except ValueError:
            raise BadValue(op, "data", "nested sequences of equal lengths", "different lengths") from None
        if dtype is None and dtypes:
            dtype = reduce(promote_types, dtypes)
        elif dtype is None and values.dtype == np.float64:
            dtype = default.dtype  # no numbers
        limits = None if dtype is None else INTEGER_LIMITS.get(dtype)
        if dtype is not None and limits and values.size and values.dtype.kind in "iuf":
            if dtype is _core.uint8 and values.dtype.kind == "i" and -256 < values.min() < 0:
                values = np.where(values < 0, values + 256, values)  # wraps around, as in PyTorch
            low, high = values.min(), values.max()  # NaN if there is one
            if not (math.isfinite(low) and math.isfinite(high) and limits[0] <= int(low) and int(high) <= limits[1]):
                raise BadValue(op, "data", f"numbers that {dtype.name} can hold", f"{low} to {high}")
        array = _from_numpy(op, values, dtype)
        copy = False
    converted = array if dtype is None else array.cast(dtype)
    return array.clone() if copy and converted.shares_storage(array) else converted


def _from_numpy(op: str, values: np.ndarray, dtype: DType | None) -> Array:
    import numpy as np

    if values.dtype.kind not in "biuf":
        raise BadType(op, "data", "numbers", f"dtype {values.dtype}")
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.name not in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"):
        # engine does not have uint16, uint32 and so on: they are converted if a dtype is named.
        if dtype is None or values.dtype.kind == "f":
            raise BadType(op, "data", "a dtype that engine has", values.dtype, ("convert it with ", Argument("dtype")))
        if values.size and int(values.max()) > 2**63 - 1:
            raise BadValue(op, "data", "numbers that int64 can hold", values.max())
        values = values.astype(np.int64)
    try:
        return _core.from_buffer(values)
    except ValueError:  # negative strides
        return _core.from_buffer(np.ascontiguousarray(values))


@explained
def tensor(data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `data`: a number, nested lists, a NumPy array, a Tensor, or anything with `__dlpack__`.

    Without `dtype`, arrays keep their dtype. In lists floats count as float32, integers as int64 and bools as bool, numbers of
    NumPy and Tensors with their own dtype; the result has the dtype that all can be converted to. A Tensor of one element in a
    list counts as a number.
    """
    return _moved("tensor", _array_from("tensor", data, dtype, copy=True), device, requires_grad)


def _moved(op: str, array: Array, device: Any, requires_grad: bool) -> Tensor:
    """A Tensor of an array, on `device` if one is named."""
    if device is not None:
        number = number_of(device)
        refuse_float64(op, array.dtype, number)
        array = array.to_device(number)
    return Tensor(array, requires_grad)


@explained
def as_tensor(data: Any, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Like `tensor`, but without a copy if nothing has to be converted: the result then shares the memory of a NumPy array or
    an object with `__dlpack__`, and a Tensor is returned itself, with its history."""
    if isinstance(data, Tensor):
        return cast(data, data.dtype if dtype is None else dtype) if device is None else data.to(device, dtype)
    return _moved("as_tensor", _array_from("as_tensor", data, dtype, copy=False), device, False)


@explained
def asarray(
    obj: Any, *, dtype: DType | None = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """Like `as_tensor`. copy: True always copies; False raises ValueError where the values must be converted or moved.

    requires_grad: False cuts a Tensor off from its history, as in PyTorch.
    """
    made = as_tensor(obj, dtype, device)
    pointer = obj.data_ptr() if isinstance(obj, Tensor) else obj.ctypes.data if hasattr(obj, "ctypes") else None
    shared = pointer == made.data_ptr()
    if copy is False and not shared:
        raise BadValue("asarray", "copy", "None or True for what must be converted or moved", False)
    return Tensor(made._data.clone() if copy and shared else made._data, requires_grad)


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor that shares the memory of a NumPy array: writing to one changes the other. If the array is read-only,
    in-place ops refuse the tensor.

    Raises TypeError for a dtype that engine does not have, ValueError for negative strides.
    """
    import numpy as np

    if not isinstance(ndarray, np.ndarray):
        raise BadType("from_numpy", "ndarray", "a NumPy array", type(ndarray).__name__)
    if ndarray.dtype.kind not in "biuf":
        raise BadType("from_numpy", "ndarray", "an array of numbers", f"dtype {ndarray.dtype}")
    return Tensor(_core.from_buffer(ndarray))


# ---------------------------------------------------------------- writing in place


@tensor_method("fill_")
def _fill_(self: Tensor, value: Any) -> Tensor:
    """Every element = value."""
    return _constant_("fill_", self, value)


@tensor_method("zero_")
def _zero_(self: Tensor) -> Tensor:
    """Every element = 0."""
    return _constant_("zero_", self, 0)


def _constant_(op: str, self: Tensor, value: Any) -> Tensor:
    check_inplace(op, self)
    fill_array(op, self._data, value, "value")
    return record_inplace(op, self, (self,), no_gradient)


def _copy_backward(ctx: Node, dy: Array) -> Any:
    shape, dtype, number = ctx.saved
    overwritten = zeros_array(dy.shape, dy) if ctx.needs[0] else None
    return overwritten, placed(sum_to(dy, shape), dtype, number) if ctx.needs[1] else None


@tensor_method("copy_")
def _copy_(self: Tensor, src: Tensor | float | int | bool, non_blocking: bool = False) -> Tensor:
    """self = src, broadcast to its shape and converted to its dtype, from any device; or a number. non_blocking as in `to`."""
    if isinstance(src, float | int):
        return _constant_("copy_", self, src)
    source = as_array("copy_", "src", src)
    check_inplace("copy_", self, src)
    copy_into(self._data, source.expand(self.shape), non_blocking)
    return record_inplace("copy_", self, (self, src), _copy_backward, source.shape, source.dtype, source.device)
