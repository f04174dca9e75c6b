"""Mixed precision under PyTorch's names: `autocast`, and `GradScaler`, which scales losses and unscales gradients.

A loss in float16 needs a scale, because small gradients would become zero. engine computes in bfloat16 and float32, whose exponents
need none, so GradScaler is for scripts that have one: it does what PyTorch's does, also with gradients that are infinite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import wraps
from typing import Any

from engine.autograd import no_grad
from engine.device import device as Device
from engine.errors import BadState, require
from engine.ops.factory import tensor
from engine.ops.precision import autocast, is_autocast_enabled
from engine.tensor import Tensor

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` changes anything on that type of device: True for "cuda"."""
    return Device(device_type).type == "cuda"


def custom_fwd(fwd: Any = None, *, device_type: str = "cuda", cast_inputs: Any = None) -> Any:
    """Decorates the `forward` of an autograd.Function. cast_inputs: inside autocast, floating tensors among the arguments are
    converted to this dtype, and the body runs without autocast."""
    if fwd is None:
        return lambda function: custom_fwd(function, device_type=device_type, cast_inputs=cast_inputs)

    @wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        inside = is_autocast_enabled(device_type)
        ctx._autocast = inside and cast_inputs is None
        if not inside or cast_inputs is None:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast(args, cast_inputs), **_cast(kwargs, cast_inputs))

    return forward


def custom_bwd(bwd: Any = None, *, device_type: str = "cuda") -> Any:
    """Decorates the `backward` that belongs to a `custom_fwd`: it runs with or without autocast, as forward did."""
    if bwd is None:
        return lambda function: custom_bwd(function, device_type=device_type)

    @wraps(bwd)
    def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._autocast):
            return bwd(ctx, *args, **kwargs)

    return backward


def _cast(value: Any, dtype: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {key: _cast(one, dtype) for key, one in value.items()}
    return type(value)(_cast(one, dtype) for one in value) if isinstance(value, (list, tuple)) else value


class GradScaler:
    """Multiplies losses by a scale, divides gradients by it again, and leaves out a step whose gradients are infinite or NaN.

        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)  # only to clip gradients in between
        scaler.step(optimizer)
        scaler.update()

    device: kept, and changes nothing. init_scale: the first scale. growth_factor, growth_interval: after that many steps in a row
    without infinite gradients the scale is multiplied. backoff_factor: it is multiplied by this after a step that was left out.
    enabled: False makes each method do nothing, except that `step` calls optimizer.step().

    Raises ValueError for factors that do not grow or shrink; RuntimeError if methods are called in another order.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        require(growth_factor > 1.0, "GradScaler", "growth_factor", "a number above 1", growth_factor)
        require(backoff_factor < 1.0, "GradScaler", "backoff_factor", "a number below 1", backoff_factor)
        self._device, self._enabled = device, bool(enabled)
        self._scale, self._growth_factor, self._backoff_factor = float(init_scale), growth_factor, backoff_factor
        self._growth_interval, self._growth_tracker = growth_interval, 0
        self._found: dict[
            int, bool
        ] = {}  # by the id of an optimizer that was unscaled: whether its gradients are not finite
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """The losses, a Tensor or a list, tuple or other iterable of them, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        scaled = (self.scale(one) for one in outputs)
        return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled

    @no_grad()
    def unscale_(self, optimizer: Any) -> None:
        """Divides the gradients of the optimizer's parameters by the scale. At most once before each `step`."""
        if not self._enabled:
            return
        key = id(optimizer)
        if key in self._stepped or key in self._found:
            got = "a call after step()" if key in self._stepped else "a second call"
            raise BadState("GradScaler.unscale_", "optimizer", "one call before step(), until the next update()", got)
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self._found[key] = _divide(gradients, self._scale)

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(*args, **kwargs) with unscaled gradients; nothing if one of them is infinite or NaN. Returns what it returns."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        require("closure" not in kwargs, "GradScaler.step", "closure", "no value", "a function", error=BadState)
        key = id(optimizer)
        if key in self._stepped:
            raise BadState("GradScaler.step", "optimizer", "one call until the next update()", "a second call")
        if key not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(key)
        return None if self._found[key] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """The scale of the next step: smaller if a step was left out, larger after enough good ones, or `new_scale`."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found:
            raise BadState("GradScaler.update", "self", "a call of step() or unscale_() before", "none")
        elif any(self._found.values()):
            self._scale, self._growth_tracker = self._scale * self._backoff_factor, 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale, self._growth_tracker = self._scale * self._growth_factor, 0
        self._found.clear()
        self._stepped.clear()

    def is_enabled(self) -> bool:
        """Whether this scaler scales."""
        return self._enabled

    def get_scale(self) -> float:
        """The present scale; 1.0 if not enabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """The factor by which the scale grows."""
        return self._growth_factor

    def get_backoff_factor(self) -> float:
        """The factor by which the scale shrinks."""
        return self._backoff_factor

    def get_growth_interval(self) -> int:
        """The number of good steps in a row after which the scale grows."""
        return self._growth_interval

    def state_dict(self) -> dict[str, Any]:
        """The scale and what decides the next one; empty if not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale, "growth_factor": self._growth_factor, "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval, "_growth_tracker": self._growth_tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores a state that `state_dict()` returned. Raises RuntimeError for an empty one."""
        if not self._enabled:
            return
        if not state_dict:
            got = "an empty one, from a scaler that was not enabled"
            raise BadState("GradScaler.load_state_dict", "state_dict", "a state", got)
        self._scale, self._growth_tracker = float(state_dict["scale"]), int(state_dict["_growth_tracker"])
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]


def _divide(gradients: Iterable[Tensor], scale: float) -> bool:
    """Divides the gradients in place. Returns whether one has a number that is not finite."""
    found = tensor(False)
    for gradient in gradients:
        found = found | ~gradient.isfinite().all().to(found.device)
        gradient.mul_(1.0 / scale)
    return bool(found.item())
