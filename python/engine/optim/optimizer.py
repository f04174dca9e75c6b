"""The base of all optimizers: parameter groups, state, and the ways to update parameters: in one pass, or one at a time."""

from __future__ import annotations

from array import array as buffer
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd import enable_grad, no_grad
from engine.device import placed
from engine.errors import BadState, BadType, BadValue, NotDefined, amount, require
from engine.nn.parameter import Parameter
from engine.nn.utils import zero_gradients
from engine.ops.convert import packed
from engine.optim.hooks import (
    Hooks,
    hooked,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from engine.tensor import Tensor

__all__ = [
    "Bounded",
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]

K = _core.kernels
Group = dict[str, Any]
Scale = tuple[Array | None, float]  # two factors of the gradients: an array of one element (None: 1), and a number


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()  # in `defaults` of a subclass: the hyperparameter has no default, and each group must name it


class Optimizer(Hooks):
    """Holds parameters in groups and updates them by their gradients.

    params: parameters, (name, parameter) pairs, or dicts such as {"params": [...], "lr": 1e-3} with the hyperparameters that
        differ from `defaults` in that group.
    defaults: the hyperparameters of groups that do not name them.

    `param_groups` is a list of dicts that may be changed between steps (schedulers do so); `state` maps a parameter to its
    state. Raises TypeError for anything but parameters or for another dtype, ValueError if there are no parameters, if one
    comes twice, or if a hyperparameter is out of range.

    A subclass defines `_update_one`, which updates one parameter with tensor ops; or `_values`, `_line` and `_update`, which update
    all parameters with one kernel; or `step` itself.
    """

    # A subclass sets these. Of a parameter's state: the names of the tensors that have its shape, and of the numbers.
    _buffers: tuple[str, ...] = ()
    _numbers: tuple[str, ...] = ("step",)
    # Dicts that are kept from step to step and can be made again: copies and pickles do not take them.
    _caches: tuple[str, ...] = ("_rows",)
    _rows: dict[tuple[int, ...], Array]
    # Whether weight decay shrinks the parameter itself; otherwise it is added to the gradient.
    _decoupled = False

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._forget()
        if isinstance(params, Tensor):
            expected = "an iterable of parameters or dicts"
            raise BadType(self._name, "params", expected, "a single Tensor", "put it in a list")
        groups = list(params)
        require(groups, self._name, "params", "at least one parameter", "an empty list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _forget(self) -> None:
        for name in self._caches:
            setattr(self, name, {})

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in (*self._caches, "_hooks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _accept(self, lr: float | Tensor, *betas: float | Tensor, **options: bool | None) -> Group:
        """Checks `options`, which have a meaning in PyTorch alone (which of its implementations computes an update), and returns them:
        groups keep them, as in PyTorch."""
        foreach, capturable = options.get("foreach"), options.get("capturable")
        require(
            not (options.get("fused") and foreach),
            self._name,
            "fused",
            "False if foreach is True",
            True,
            error=BadState,
        )
        kinds = {isinstance(beta, Tensor) for beta in betas}
        require(len(kinds) < 2, self._name, "betas", "two numbers or two tensors", "one of each")
        for name, value in (("lr", lr), *(("betas", beta) for beta in betas)):
            if isinstance(value, Tensor):
                require(value.numel() == 1, self._name, name, "one element", f"shape {tuple(value.shape)}")
                alone = capturable or not foreach
                require(alone, self._name, "foreach", f"False if {name} is a tensor and capturable is False", True)
        return options

    def add_param_group(self, param_group: Group) -> None:
        """Adds a group: a dict with "params" and the hyperparameters that differ from the defaults. Errors as in the constructor."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise BadType(self._name, "param_group", "a dict with 'params'", type(param_group).__name__)
        group = dict(param_group)
        given = group["params"]
        unordered = isinstance(given, (set, frozenset))
        require(not unordered, self._name, "params", "an order, as a list has", type(given).__name__, error=BadType)
        given = [given] if isinstance(given, Tensor) else list(given)
        param_group["params"] = given  # a generator is empty now, and the caller may pass the dict to another optimizer
        names = [p[0] for p in given if isinstance(p, tuple)]
        if names:
            n = f"{len(names)} of {len(given)}"
            require(
                len(names) == len(given), self._name, "params", "all of them with names, or none", f"{n} with names"
            )
            group["param_names"] = names
            given = [p for _, p in given]
        named = {"param_names" in g for g in (*self.param_groups, group)}
        require(len(named) == 1, self._name, "params", "all groups with names, or none", "groups of both kinds")
        seen = {id(p) for g in self.param_groups for p in g["params"]}
        for i, p in enumerate(given):
            self._check_parameter(f"params[{i}]", p)
            require(id(p) not in seen, self._name, f"params[{i}]", "each parameter once", "one that is there already")
            seen.add(id(p))
        group["params"] = given
        for name, value in self.defaults.items():
            given_one = value is not required or name in group
            require(given_one, self._name, name, "a value, because it has no default", "none")
            group.setdefault(name, value)
        self._check(group)
        self.param_groups.append(group)

    def _check_parameter(self, argument: str, p: Any) -> None:
        op = self._name
        require(isinstance(p, Tensor), op, argument, "a Tensor", type(p).__name__, error=BadType)
        hint = "pass the tensor from which it was made, or .detach() it"
        require(p.is_leaf, op, argument, "a leaf tensor", "one that an op made", hint)
        # A Parameter of another dtype, such as a mask, may be among those of a module. It never gets a gradient.
        trains = p.dtype.is_floating_point or isinstance(p, Parameter)
        require(trains, op, argument, "a floating-point dtype", p.dtype.name, error=BadType)
        if not p.is_contiguous() and not all(n < 2 or step for n, step in zip(p.shape, p.stride())):
            got = f"shape {tuple(p.shape)} with strides {p.stride()}"
            hint = "pass the tensor that was expanded"
            raise BadValue(op, argument, "a place in memory for each element", got, hint)

    def _check(self, group: Group) -> None:
        """Raises ValueError for hyperparameters out of range. What they may be, the subclass knows."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets all gradients; with set_to_none=False fills them with zeros."""
        zero_gradients((p for group in self.param_groups for p in group["params"]), set_to_none)

    @hooked
    def step(self, closure: Callable[[], Any] | None = None, *, grad_scale: float | Tensor = 1.0) -> Any:
        """One update of every parameter that has a gradient.

        closure: computes the loss again and returns it; `step` returns its value.
        grad_scale: a factor by which the update multiplies each gradient (the gradients do not change). So clipping and
            unscaling need no separate pass: with `norm = get_total_norm(gradients)` pass min(1, max_norm / (norm + 1e-6)).
            A number, or a tensor of one element, which the host does not read if it is on a CUDA device.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        # There is one kernel call for each dtype and device. Its table has a line for each different set of hyperparameters and
        # step number; parameters share lines.
        calls: dict[tuple[DType, int, bool], tuple[list[Tensor], list[int], dict[tuple[float, ...], int]]] = {}
        for group in self.param_groups:
            values = self._values(group)
            for p in group["params"]:
                if p._grad is None:
                    continue
                if values is None:
                    self._update_alone(p, group, grad_scale)
                    continue
                data = p._data
                key = (data.dtype, data.device, data.is_contiguous)
                params, rows, lines = calls.setdefault(key, ([], [], {}))
                params.append(p)
                rows.append(lines.setdefault(self._line(values, p), len(lines)))
        for (dtype, number, contiguous), (params, rows, lines) in calls.items():
            with _UNCHANGED if contiguous else packed(params):
                self._update(params, rows, list(lines), _factor(grad_scale, dtype, number))
        return loss

    @no_grad()
    def _update_alone(self, p: Tensor, group: Group, grad_scale: float | Tensor) -> None:
        gradient = p.grad
        assert gradient is not None
        if isinstance(grad_scale, Tensor) or grad_scale != 1:
            gradient = gradient * grad_scale
        if group.get("maximize", False):
            gradient = -gradient
        self._update_one(p, self._decay(p, gradient, group), self.state[p], group)

    def _decay(self, p: Tensor, gradient: Tensor, group: Group) -> Tensor:
        """Weight decay: shrinks p, or returns the gradient with the decay in it."""
        decay = group.get("weight_decay", 0)
        if decay == 0:
            return gradient
        if self._decoupled or group.get("decoupled_weight_decay", False):
            p.mul_(float(1 - group["lr"] * decay))
            return gradient
        return gradient.add(p, alpha=decay)

    def _values(self, group: Group) -> tuple[float, ...] | None:
        """The group's hyperparameters for the kernel's table; None if its parameters are updated one at a time."""
        return None

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        """Updates p in place by its gradient, which has maximize, weight decay and grad_scale in it already.

        state: p's, empty at its first step. Runs under no_grad, and must not write to the gradient.
        """
        raise NotDefined(self._name, "_update_one", "a method of this name in the subclass", "none")

    def _line(self, values: tuple[float, ...], p: Tensor) -> tuple[float, ...]:
        """The line of the kernel's table for p's next step. Makes p's state at its first step. values: `_values` of its group."""
        raise NotDefined(self._name, "_line", "a method of this name in the subclass", "none")

    def _update(self, params: list[Tensor], rows: list[int], lines: list[tuple[float, ...]], scale: Scale) -> None:
        """Calls the kernel for parameters of one dtype and device; that of parameter i takes lines[rows[i]]."""
        raise NotDefined(self._name, "_update", "a method of this name in the subclass", "none")

    def _table(self, rows: list[int], lines: list[tuple[float, ...]]) -> tuple[Array, Array]:
        """rows as int32 (n,) and lines as float64 (lines, numbers), as the kernels take them."""
        key = tuple(rows)
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) > 16:  # other parameters have gradients at each step
                self._rows.clear()
            row = self._rows[key] = _core.from_bytes(buffer("i", rows).tobytes(), (len(rows),), _core.int32)
        values = buffer("d", [x for line in lines for x in line])
        return row, _core.from_bytes(values.tobytes(), (len(lines), len(lines[0])), _core.float64)

    # ---- saving

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: state}, "param_groups": [...]}, in PyTorch's form: parameters are numbered in the order of the groups.

        The tensors share memory with the optimizer.
        """
        for before in self._at("before state_dict"):
            before(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            saved = {key: value for key, value in group.items() if key != "params"}
            saved["params"] = [numbers.setdefault(id(p), len(numbers)) for p in group["params"]]
            groups.append(saved)
        state: dict[str, Any] = {"state": {numbers[id(p)]: dict(s) for p, s in self.state.items()}}
        state["param_groups"] = groups
        for after in self._at("after state_dict"):
            changed = after(self, state)
            state = state if changed is None else changed
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores a state that `state_dict()` returned; its tensors are copied. If anything does not fit, nothing changes.

        Raises ValueError if the number of groups, the number of parameters or a shape differs.
        """
        op = f"{self._name}.load_state_dict"
        for before in self._at("before load_state_dict"):
            state_dict = dict(state_dict)
            changed = before(self, state_dict)
            state_dict = state_dict if changed is None else changed
        saved_groups, groups = state_dict["param_groups"], self.param_groups
        require(len(saved_groups) == len(groups), op, "param_groups", amount(len(groups), "group"), len(saved_groups))
        by_number: dict[int, Tensor] = {}
        for i, (mine, saved) in enumerate(zip(groups, saved_groups)):
            n, got = len(mine["params"]), len(saved["params"])
            require(n == got, op, f"param_groups[{i}]", amount(n, "parameter"), got)
            by_number.update(zip(saved["params"], mine["params"]))
        state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, saved in state_dict["state"].items():
            p = by_number.get(int(number))
            if p is None:
                raise BadValue(op, "state", "numbers of parameters in the groups", number)
            loaded = state[p] = {}
            for key, value in saved.items():
                if key in self._numbers:  # PyTorch keeps them as tensors
                    loaded[key] = int(value) if key == "step" else float(value)
                    continue
                if isinstance(value, Tensor) and key in self._buffers:
                    require(
                        value.shape == p.shape, op, f"state[{number}][{key!r}]", f"shape {tuple(p.shape)}", value.shape
                    )
                loaded[key] = _taken_over(value, p)
        self.state = state
        for mine, saved in zip(groups, saved_groups):
            for key, value in saved.items():
                if key == "params":
                    continue
                was_tuple = isinstance(value, list) and isinstance(self.defaults.get(key), tuple)  # JSON has no tuples
                mine[key] = tuple(value) if was_tuple else deepcopy(value)
        for after in self._at("after load_state_dict"):
            after(self)

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


class Bounded(Optimizer):
    """An optimizer whose hyperparameters have the usual bounds: all of engine's own."""

    # The hyperparameters that must not be negative.
    _not_negative: tuple[str, ...] = ("lr", "eps", "weight_decay", "momentum")

    def _check(self, group: Group) -> None:
        differentiable, hint = group.get("differentiable", False), "gradients do not flow through a step"
        require(not differentiable, self._name, "differentiable", False, differentiable, hint)
        for name in self._not_negative:
            value = group.get(name, 0)
            require(value >= 0, self._name, name, "a number >= 0", value)
        for i, beta in enumerate(group.get("betas", ())):
            require(0 <= beta < 1, self._name, f"betas[{i}]", "a number in [0, 1)", beta)


def _taken_over(value: Any, p: Tensor) -> Any:
    """A copy of an entry of a saved state: floating-point tensors, also in lists, in p's dtype and on its device."""
    if isinstance(value, (list, tuple)):
        return type(value)(_taken_over(entry, p) for entry in value)
    if not isinstance(value, Tensor):
        return deepcopy(value)
    array = placed(value._data, p.dtype if value.dtype.is_floating_point else value.dtype, p._data.device)
    return Tensor(array.clone() if array.shares_storage(value._data) else array)


_UNCHANGED = nullcontext()


def _factor(grad_scale: float | Tensor, dtype: DType, number: int) -> Scale:
    if not isinstance(grad_scale, Tensor):
        return None, float(grad_scale)
    require(
        grad_scale.numel() == 1, "step", "grad_scale", "a number or one element", f"shape {tuple(grad_scale.shape)}"
    )
    if number < 0:
        return None, float(grad_scale.item())
    return placed(grad_scale._data, _core.float32, number).reshape(()), 1.0
