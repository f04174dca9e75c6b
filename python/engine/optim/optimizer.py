"""The base of all optimizers: parameter groups, state, and the one pass over all parameters."""

from __future__ import annotations

from array import array as buffer
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd import enable_grad
from engine.device import placed
from engine.errors import BadType, BadValue, NotDefined
from engine.nn.utils import zero_gradients
from engine.tensor import Tensor

__all__ = ["Optimizer"]

K = _core.kernels
Group = dict[str, Any]
Scale = tuple[Array | None, float]  # what gradients are multiplied by: both


class Optimizer:
    """Holds parameters in groups and steps them by their gradients.

    params: parameters, (name, parameter) pairs, or dicts of the form {"params": [...], "lr": 1e-3, ...} with what differs
        from `defaults` in that group.
    defaults: hyperparameters of groups that do not name their own.

    `param_groups` is a list of dicts that may be changed between steps (as schedulers do); `state` maps a parameter to its
    own state. Raises TypeError for what is no parameter, ValueError where there are none, or one comes twice.
    """

    # What a subclass names: the state's tensors, of the parameter's shape and dtype.
    _buffers: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[Group] = []
        self._rows: dict[tuple[int, ...], Array] = {}
        if isinstance(params, Tensor):
            raise BadType(
                self._name, "params", "an iterable of parameters or dicts", "a single Tensor", "put it in a list"
            )
        groups = list(params)
        if not groups:
            raise BadValue(self._name, "params", "at least one parameter", "an empty list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: Group) -> None:
        """Adds a group: {"params": ..., and hyperparameters that differ from the defaults}."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise BadType(self._name, "param_group", "a dict with 'params'", type(param_group).__name__)
        group = dict(param_group)
        given = group["params"]
        given = [given] if isinstance(given, Tensor) else list(given)
        if given and all(isinstance(p, tuple) for p in given):
            group["param_names"] = [name for name, _ in given]
            given = [p for _, p in given]
        seen = {id(p) for g in self.param_groups for p in g["params"]}
        for i, p in enumerate(given):
            if not isinstance(p, Tensor):
                raise BadType(self._name, f"params[{i}]", "a Tensor", type(p).__name__)
            if not p.is_leaf:
                raise BadValue(
                    self._name,
                    f"params[{i}]",
                    "a leaf tensor",
                    "one that an op made",
                    "pass what you made it from, or .detach() it",
                )
            if p.dtype not in (_core.float32, _core.float64) and not (p.dtype is _core.bfloat16 and p.is_cuda):
                raise BadType(self._name, f"params[{i}]", "float32 or float64", p.dtype.name)
            if not p._data.is_contiguous:
                raise BadValue(
                    self._name, f"params[{i}]", "contiguous memory", f"shape {p.shape} with strides {p.stride()}"
                )
            if id(p) in seen:
                raise BadValue(self._name, f"params[{i}]", "each parameter once", "one that is there already")
            seen.add(id(p))
        group["params"] = given
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        self._check(group)
        self.param_groups.append(group)

    def _check(self, group: Group) -> None:
        """Raises ValueError for hyperparameters out of range."""
        for name in ("lr", "eps", "weight_decay", "momentum"):
            if name in group and not group[name] >= 0:
                raise BadValue(self._name, name, "a number >= 0", group[name])
        for i, beta in enumerate(group.get("betas", ())):
            if not 0 <= beta < 1:
                raise BadValue(self._name, f"betas[{i}]", "a number in [0, 1)", beta)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets all gradients; with set_to_none=False fills them with zeros."""
        zero_gradients((p for group in self.param_groups for p in group["params"]), set_to_none)

    def step(self, closure: Callable[[], Any] | None = None, *, grad_scale: float | Tensor = 1.0) -> Any:
        """One update of every parameter that has a gradient.

        closure: computes the loss again and returns it; its value is returned.
        grad_scale: what each gradient is multiplied by on its way (the gradients themselves stay): clipping or unscaling
            without a pass of its own. With `norm = get_total_norm(gradients)` pass min(1, max_norm / (norm + 1e-6)). A tensor
            of one element serves too: from a CUDA device it is not read by the host.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        # One kernel call a dtype and device; lines of the table are shared by all parameters with the same hyperparameters
        # and step.
        calls: dict[tuple[DType, int], tuple[list[Tensor], list[int], dict[tuple[float, ...], int]]] = {}
        for group in self.param_groups:
            for p in group["params"]:
                if p._grad is None:
                    continue
                where = (p._data.dtype, p._data.device)
                call = calls.get(where)
                if call is None:
                    call = calls[where] = ([], [], {})
                params, rows, lines = call
                params.append(p)
                rows.append(lines.setdefault(self._line(group, p), len(lines)))
        for (dtype, number), (params, rows, lines) in calls.items():
            self._update(params, rows, list(lines), _factor(grad_scale, dtype, number))
        return loss

    def _line(self, group: Group, p: Tensor) -> tuple[float, ...]:
        """The hyperparameters of p's next step as the kernel's table takes them; makes p's state at its first step."""
        raise NotDefined(self._name, "_line", "a method of this name", "none")

    def _update(self, params: list[Tensor], rows: list[int], lines: list[tuple[float, ...]], scale: Scale) -> None:
        """Calls the kernel for parameters of one dtype and device, parameter i with lines[rows[i]]."""
        raise NotDefined(self._name, "_update", "a method of this name", "none")

    def _table(self, rows: list[int], lines: list[tuple[float, ...]]) -> tuple[Array, Array]:
        key = tuple(rows)
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) > 16:  # gradients that come and go in ever new patterns
                self._rows.clear()
            row = self._rows[key] = _core.from_bytes(buffer("i", rows).tobytes(), (len(rows),), _core.int32)
        values = buffer("d", [x for line in lines for x in line])
        return row, _core.from_bytes(values.tobytes(), (len(lines), len(lines[0])), _core.float64)

    # ---- saving

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: state}, "param_groups": [...]}, parameters numbered in the order of the groups, as PyTorch's.

        Tensors share memory with the optimizer.
        """
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            saved = {key: value for key, value in group.items() if key != "params"}
            saved["params"] = [numbers.setdefault(id(p), len(numbers)) for p in group["params"]]
            groups.append(saved)
        return {"state": {numbers[id(p)]: dict(s) for p, s in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over a state of `state_dict()`; its tensors are copied. Nothing is changed where anything does not fit.

        Raises ValueError where the number of groups, of parameters or a shape differs.
        """
        op = f"{self._name}.load_state_dict"
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise BadValue(op, "param_groups", f"{len(self.param_groups)} groups", len(saved_groups))
        by_number: dict[int, Tensor] = {}
        for i, (mine, saved) in enumerate(zip(self.param_groups, saved_groups)):
            if len(mine["params"]) != len(saved["params"]):
                raise BadValue(op, f"param_groups[{i}]", f"{len(mine['params'])} parameters", len(saved["params"]))
            by_number.update(zip(saved["params"], mine["params"]))
        state: dict[Tensor, dict[str, Any]] = {}
        for number, saved in state_dict["state"].items():
            p = by_number.get(int(number))
            if p is None:
                raise BadValue(op, "state", "numbers of parameters in the groups", number)
            state[p] = {}
            for key, value in saved.items():
                if isinstance(value, Tensor) and key in self._buffers:
                    if value.shape != p.shape:
                        raise BadValue(op, f"state[{number}][{key!r}]", f"shape {p.shape}", value.shape)
                    array = placed(value._data, p.dtype, p._data.device)
                    state[p][key] = Tensor(
                        array.clone() if array is value._data or array.shares_storage(value._data) else array
                    )
                elif isinstance(value, Tensor) and value.numel() == 1:  # PyTorch keeps the step as a tensor
                    state[p][key] = value.item()
                else:
                    state[p][key] = deepcopy(value)
            if "step" in state[p]:
                state[p]["step"] = int(state[p]["step"])
        self.state = state
        for mine, saved in zip(self.param_groups, saved_groups):
            params = mine["params"]
            mine.update(deepcopy({key: value for key, value in saved.items() if key != "params"}))
            for key, value in mine.items():  # JSON knows no tuples
                if isinstance(value, list) and isinstance(self.defaults.get(key), tuple):
                    mine[key] = tuple(value)
            mine["params"] = params

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def zeros_like(p: Tensor) -> Tensor:
    array = _core.empty(p.shape, p.dtype, p._data.device)
    K.fill(array, 0.0)
    return Tensor(array)


def _factor(grad_scale: float | Tensor, dtype: DType, number: int) -> Scale:
    if not isinstance(grad_scale, Tensor):
        return None, float(grad_scale)
    if grad_scale.numel() != 1:
        raise BadValue("step", "grad_scale", "one element", f"shape {grad_scale.shape}")
    if number < 0:
        return None, float(grad_scale.item())
    return placed(grad_scale._data, _core.float32, number).reshape(()), 1.0
