"""Batch: named arrays of some samples, and where the sequences in them start. It knows no modality.

A field has one row for each sample, or it has a `Layout` and one row for each position: a token of a text, a box of a
picture, a frame of a recording. Several fields may share a layout. Targets are fields too, of any shape.

A training loop also takes plain structures: tuples, lists and mappings of Tensors, as a `TensorDataset` gives them. For
these, `to_device` and `size_of` do what the methods of a Batch do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from engine import _core
from engine.data._arrays import from_numpy
from engine.device import device as Device
from engine.device import device_of, number_of
from engine.errors import BadType, BadValue, amount
from engine.layout import Layout
from engine.tensor import Tensor

__all__ = ["Batch", "Size", "host_array", "named_tensors", "size_of", "to_device"]

Self = TypeVar("Self", bound="Batch")


class Batch:
    """Named arrays of some samples.

        >>> patches, boxes = Layout.from_lengths([196, 49]), Layout.from_lengths([0, 3])
        >>> batch = Batch({"pixels": pixels, "boxes": corners, "labels": kinds}, {"pixels": patches, "boxes": boxes})
        >>> batch.to("cuda").pixels, batch.batch_size, batch.layout_of("boxes").lengths

    Fields are attributes: `batch.pixels` reads one, `batch.pixels = tensor` sets it, `batch.pixels = None` removes it. `labels`
    is None if there are none. When a batch moves to a device, the host keeps a copy of the `host_fields`: see `host`.

    Args:
        fields: name -> Tensor or array, (batch, ...), or (layout.total, ...) if the field has a layout; None: no such field. The
            first is the input.
        layouts: name -> Layout, for fields that have one row for each position. A field may be left out if it has as many rows as
            an earlier field has positions, and not one for each sample: it shares that field's layout.

    Raises:
        ValueError: if there is no field, or rows or devices do not fit together.
        TypeError: if a field is neither a Tensor nor an array, or a layout is not a Layout of one of the fields.
    """

    labels: Tensor | None = None  # a field that a batch may lack

    host_fields: ClassVar[tuple[str, ...]] = ("labels",)
    """When a batch moves to a device, the host keeps a copy of these fields: a training step must know which targets count."""

    def __init__(self, fields: Mapping[str, Any], layouts: Mapping[str, Layout] | None = None) -> None:
        op, given = type(self).__name__, layouts or {}
        for name, layout in given.items():
            if name not in fields or not isinstance(layout, Layout):
                got = repr(name) if name not in fields else f"{type(layout).__name__} for {name}"
                raise BadType(op, "layouts", "Layouts by the names of fields", got)
        self._begin()
        for name, value in fields.items():
            self._put(name, value, given.get(name))
        if self._first is None:
            raise BadValue(op, "fields", "at least one", "none")

    def _begin(self) -> None:
        # Fields are plain attributes, so that reading one costs nothing. A batch has only these three besides.
        self._layouts: dict[str, Layout] = {}
        self._host: dict[str, tuple[np.ndarray, Tensor, int]] = {}  # values, their field, the field's version then
        self._samples: int | None = None

    def _put(self, name: str, value: Any, layout: Layout | None = None) -> None:
        """Checks and sets a field; None removes it."""
        op = type(self).__name__
        if not name.isidentifier() or name[0] == "_" or getattr(type(self), name, None) is not None:
            raise BadValue(op, "fields", f"identifiers that {op} does not use itself", repr(name))
        if value is None:
            if [*self.fields] == [name]:
                raise BadValue(op, name, "a Tensor or an array, because it is the only field", "None")
            self.__dict__.pop(name, None)
            self._layouts.pop(name, None)
            return
        tensor = value if isinstance(value, Tensor) else self._from_array(name, value)
        first = tensor if self._first is None else self._first
        for part in (tensor, tensor if layout is None else layout.cu_seqlens):
            if part._data.device != first._data.device:
                raise BadValue(op, name, f"a tensor on {first.device}", f"one on {part.device}")
        if not tensor.ndim:
            raise BadValue(op, name, self._expected(layout), "a single number")
        rows = tensor.shape[0]
        if layout is None:
            layout = self._fitting(name, rows)
        samples = rows if layout is None else layout.batch_size
        if self._samples is None:
            self._samples = samples
        self._check(name, tensor, layout)
        if samples != self._samples or (layout is not None and rows != layout.total):
            raise BadValue(op, name, self._expected(layout), f"shape {tuple(tensor.shape)}")
        self.__dict__[name] = tensor
        self._layouts.pop(name, None)
        if layout is not None:
            self._layouts[name] = layout

    def _from_array(self, name: str, value: Any) -> Tensor:
        """An array as a Tensor on the device of the other fields. The host keeps the values of `host_fields`."""
        if not isinstance(value, np.ndarray):
            raise BadType(type(self).__name__, name, "a Tensor or an array", type(value).__name__)
        array = np.ascontiguousarray(value)
        tensor = from_numpy(array)
        first = self._first
        if first is not None and first.is_cuda:
            tensor = tensor.to(first.device)
            self._remember(name, tensor, array)
        return tensor

    def _remember(self, name: str, tensor: Tensor, values: np.ndarray) -> None:
        if name in self.host_fields:
            self._host[name] = (np.array(values), tensor, tensor._version)

    def _fitting(self, name: str, rows: int) -> Layout | None:
        """The layout of a field that was given none: the one it had; none, if it has a row for each sample; another field's."""
        own = self._layouts.get(name)
        if own is not None and own.total == rows:
            return own
        others = () if rows == self._samples else self._layouts.values()
        return next((layout for layout in others if layout.total == rows), None)

    def _expected(self, layout: Layout | None) -> str:
        """The shape that a field must have, for an error."""
        if self._samples is None:
            return "at least one dimension"
        if layout is not None and layout.batch_size != self._samples:
            return f"a layout of {amount(self._samples, 'sequence')}"
        if layout is not None:
            return f"{amount(layout.total, 'row')}, one for each position"
        totals = dict.fromkeys(f", or {layout.total}, one for each position" for layout in self._layouts.values())
        return f"{amount(self._samples, 'row')}, one for each sample{''.join(totals)}"

    def _check(self, name: str, tensor: Tensor, layout: Layout | None) -> None:
        """Raises TypeError or ValueError for a field that this kind of batch does not take."""

    # ---- its fields and sizes

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self._put(name, value)

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"{type(self).__name__!r} has no field {name!r}")
        self._put(name, None)

    def __getitem__(self, name: str) -> Tensor:
        return self.fields[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the fields."""
        return iter(self.fields)

    def __contains__(self, name: object) -> bool:
        return name in self.fields

    @property
    def fields(self) -> dict[str, Tensor]:
        """The fields by name, in the order in which they were set."""
        return {name: value for name, value in self.__dict__.items() if name[0] != "_"}

    @property
    def _first(self) -> Tensor | None:
        return next((value for name, value in self.__dict__.items() if name[0] != "_"), None)

    def layout_of(self, name: str) -> Layout | None:
        """The layout of a field; None if it has one row for each sample. Raises KeyError if there is no such field."""
        self[name]
        return self._layouts.get(name)

    @property
    def layout(self) -> Layout | None:
        """The layout of the input: of the first field that has one."""
        return next((self._layouts[name] for name in self.fields if name in self._layouts), None)

    @property
    def batch_size(self) -> int:
        """The number of samples."""
        return self._samples or 0

    @property
    def num_positions(self) -> int:
        """The number of positions of the input; the number of samples, if it has no layout."""
        layout = self.layout
        return self.batch_size if layout is None else layout.total

    @property
    def num_cells(self) -> int:
        """The number of positions of the input as a padded rectangle. 1 - num_positions / num_cells is the share of padding
        that the batch saves."""
        layout = self.layout
        return self.batch_size if layout is None else layout.batch_size * layout.longest

    def __len__(self) -> int:
        return self.batch_size

    def host(self, name: str) -> np.ndarray:
        """A field's values on the host, read-only. The host waits for the device only if the field was made there,
        and only once. Raises KeyError if there is no such field."""
        known = self._known(name)
        if known is None:
            field = self[name]
            known = host_array(field)
            self._host[name] = (known, field, field._version)
        values = known.view()  # of the field's memory, if the field is on the CPU
        values.flags.writeable = False
        return values

    def _known(self, name: str) -> np.ndarray | None:
        """A field's values if the host has them."""
        field = self[name]
        if field.is_cpu:
            return host_array(field)
        values, of, version = self._host.get(name, (None, None, None))
        # A copy of another Tensor, or of one that was written since, is out of date.
        return values if of is field and version == field._version else None

    def replace(self: Self, **fields: Any) -> Self:
        """A copy with some fields changed, added or, by None, removed. Raises the errors of the constructor."""
        batch = self._copy()
        for name, value in fields.items():
            batch._put(name, value)
        return batch

    __replace__ = replace  # of `copy.replace`

    # ---- devices

    @property
    def device(self) -> Device:
        """Where the fields are."""
        return device_of(self._number)

    @property
    def _number(self) -> int:
        first = self._first
        assert first is not None
        return first._data.device

    def to(self: Self, device: Any, non_blocking: bool = False) -> Self:
        """The batch on that device; itself, if it is there already. The host does not wait: small copies are staged, and copies
        from pinned memory with `non_blocking` are only queued."""
        number = number_of(device)
        if self._number == number:
            return self
        where = device_of(number)
        batch = self._each(lambda t: t.to(where, non_blocking=non_blocking))
        for name in self.host_fields:
            if name in self.__dict__ and (known := self._known(name)) is not None:
                batch._remember(name, batch[name], known)
        return batch

    def cuda(self: Self, device: Any = None, non_blocking: bool = False) -> Self:
        """`to("cuda")`."""
        return self.to("cuda" if device is None else device, non_blocking)

    def cpu(self: Self) -> Self:
        """`to("cpu")`."""
        return self.to("cpu")

    def pin_memory(self: Self) -> Self:
        """The batch in page-locked memory of the host. Raises RuntimeError if there is no CUDA device."""
        return self._each(lambda t: t.pin_memory())

    def _copy(self: Self) -> Self:
        batch = type(self).__new__(type(self))
        batch.__dict__.update(self.__dict__)
        batch._layouts, batch._host = dict(self._layouts), dict(self._host)
        return batch

    def _each(self: Self, change: Callable[[Tensor], Tensor]) -> Self:
        """A batch with every Tensor changed, a shared one only once, without checking it again."""
        tensors: dict[int, Tensor] = {}

        def once(tensor: Tensor) -> Tensor:
            if id(tensor) not in tensors:
                tensors[id(tensor)] = change(tensor)
            return tensors[id(tensor)]

        batch = self._copy()
        batch._host = {}
        batch.__dict__.update({name: once(tensor) for name, tensor in self.fields.items()})
        layouts = {id(layout): layout for layout in self._layouts.values()}
        changed = {key: layout.each(once) for key, layout in layouts.items()}
        batch._layouts = {name: changed[id(layout)] for name, layout in self._layouts.items()}
        return batch

    def __repr__(self) -> str:
        fields = "".join(f", {name}={'x'.join(map(str, t.shape))}" for name, t in self.fields.items())
        return f"{type(self).__name__}(batch_size={self.batch_size}{fields})"


class Size(NamedTuple):
    """The size of a batch: its samples, their positions, and the positions of its padded rectangle."""

    samples: int
    positions: int
    cells: int


def size_of(batch: Any) -> Size:
    """The size of a Batch, of any object with `batch_size`, or of a nested structure of Tensors, whose samples are the rows of the
    first Tensor. Raises TypeError if there is no Tensor in it."""
    samples = getattr(batch, "batch_size", None)
    if samples is None:
        first = next(_tensors(batch), None)
        if first is None or not first.ndim:
            expected = "a Batch, or a structure of Tensors with one row for each sample"
            raise BadType("size_of", "batch", expected, type(batch).__name__)
        samples = first.shape[0]
    positions = getattr(batch, "num_positions", samples)
    return Size(samples, positions, getattr(batch, "num_cells", positions))


def to_device(batch: Any, device: Any, non_blocking: bool = False) -> Any:
    """A nested structure of mappings, tuples (named ones too) and lists, with its Tensors and Batches on the device. Other objects
    with a method `to(device)` are moved by it; everything else, such as numbers and strings, stays as it is."""
    if isinstance(batch, (Tensor, Batch)):
        return batch.to(device, non_blocking=non_blocking)
    if isinstance(batch, Mapping) and not hasattr(batch, "to"):
        return {key: to_device(value, device, non_blocking) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        moved = [to_device(value, device, non_blocking) for value in batch]
        if isinstance(batch, list):
            return moved
        return type(batch)(*moved) if hasattr(batch, "_fields") else tuple(moved)
    return batch.to(device) if hasattr(batch, "to") else batch


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, (Mapping, tuple, list)):
        for value in batch.values() if isinstance(batch, Mapping) else batch:
            yield from _tensors(value)


def named_tensors(batch: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """All Tensors of a Batch or of a nested structure with names for them: "input_ids", "0" for the first of a tuple, "inputs.ids".
    The starts of sequences are under "cu_seqlens", or with the name of a field before it if fields have different layouts."""
    dot = f"{name}." if name else ""
    if isinstance(batch, Tensor):
        yield name or "batch", batch
    elif isinstance(batch, Batch):
        yield from ((dot + field, tensor) for field, tensor in batch.fields.items())
        layouts = {id(layout): (field, layout) for field, layout in reversed(batch._layouts.items())}
        for field, layout in layouts.values():
            yield f"{dot}{field}.cu_seqlens" if len(layouts) > 1 else f"{dot}cu_seqlens", layout.cu_seqlens
    elif isinstance(batch, (Mapping, tuple, list)):
        for key, value in batch.items() if isinstance(batch, Mapping) else enumerate(batch):
            yield from named_tensors(value, f"{dot}{key}")


def host_array(tensor: Tensor) -> np.ndarray:
    """A Tensor's numbers as an array on the host, of the same shape; bfloat16, which NumPy does not have, as float32."""
    array = tensor._data.to_device(-1)
    return np.asarray(array.cast(_core.float32) if array.dtype is _core.bfloat16 else array)
