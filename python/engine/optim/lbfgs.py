"""L-BFGS: a quasi-Newton method that calls the closure several times in a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from engine.autograd import enable_grad, no_grad
from engine.errors import BadType, require
from engine.ops.factory import zeros
from engine.ops.shape import cat
from engine.optim.optimizer import Bounded
from engine.tensor import Tensor

__all__ = ["LBFGS"]


class LBFGS(Bounded):
    """L-BFGS (Liu and Nocedal 1989) for a loss that is the same at each call, such as that of the whole data set.

    max_iter: iterations in a step. max_eval: calls of the closure in a step; None: max_iter * 5 // 4. tolerance_grad: a step ends
    when no element of the gradient is larger; tolerance_change: when the loss and the parameters change less. history_size: how many
    earlier changes make up the curvature. line_search_fn: None (each iteration moves by lr) or "strong_wolfe". It keeps history_size
    copies of all parameters, twice. Raises ValueError for more than one parameter group.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        self._accept(lr)
        known = (None, "strong_wolfe")
        require(line_search_fn in known, "LBFGS", "line_search_fn", "None or 'strong_wolfe'", repr(line_search_fn))
        defaults = {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        require(not self.param_groups, "LBFGS", "params", "one parameter group", "several")
        super().add_param_group(param_group)

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None, *, grad_scale: float | Tensor = 1.0) -> Any:
        """Up to max_iter iterations. closure: clears the gradients, computes the loss, calls backward and returns the loss.

        Returns the loss at the start. Raises TypeError without a closure, ValueError for a grad_scale other than 1.
        """
        require(closure is not None, "LBFGS.step", "closure", "a function that returns the loss", None, error=BadType)
        right = not isinstance(grad_scale, Tensor) and grad_scale == 1
        require(right, "LBFGS.step", "grad_scale", 1, grad_scale, "scale the loss in the closure")
        group = self.param_groups[0]
        params, lr, tolerance = group["params"], float(group["lr"]), group["tolerance_change"]
        state = self.state[params[0]]
        if not state:
            state.update(func_evals=0, n_iter=0, old_dirs=[], old_stps=[], ro=[])

        def evaluate() -> tuple[Any, Tensor]:
            with enable_grad():
                loss = closure()  # type: ignore[misc]
            state["func_evals"] += 1
            return loss, _flat_gradient(params)

        calls = state["func_evals"]
        first_loss, gradient = evaluate()
        loss = float(first_loss)
        if _largest(gradient) <= group["tolerance_grad"]:
            return first_loss
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, gradient, group["history_size"])
            state["d"], state["prev_flat_grad"], state["prev_loss"] = direction, gradient, loss
            state["t"] = lr * min(1.0, 1.0 / float(gradient.abs().sum().item())) if state["n_iter"] == 1 else lr
            slope = _dot(gradient, direction)
            if slope > -tolerance:
                break
            before = loss
            if group["line_search_fn"] == "strong_wolfe":
                origin = [p.clone() for p in params]

                def at(t: float, origin: list[Tensor] = origin, direction: Tensor = direction) -> _Point:
                    _move(params, direction, t)
                    value, g = evaluate()
                    for p, x in zip(params, origin):
                        p.copy_(x)
                    return _Point(t, float(value), g, _dot(g, direction))

                limit = group["max_eval"] - (state["func_evals"] - calls)
                start = _Point(0.0, loss, gradient, slope)
                point = _strong_wolfe(at, start, state["t"], _largest(direction), limit)
                state["t"], loss, gradient = point.t, point.value, point.gradient
                _move(params, direction, point.t)
            else:
                _move(params, direction, state["t"])
                if iteration == group["max_iter"]:
                    break  # the next step evaluates it
                value, gradient = evaluate()
                loss = float(value)
            if (
                state["func_evals"] - calls >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or abs(state["t"]) * _largest(direction) <= tolerance
                or abs(loss - before) < tolerance
            ):
                break
        return first_loss

    def _direction(self, state: dict[str, Any], gradient: Tensor, history: int) -> Tensor:
        """Minus the gradient times the inverse of the curvature that the last changes show (the two-loop recursion)."""
        if state["n_iter"] == 1:
            state["H_diag"] = 1.0
            return -gradient
        changes, moves, ro = state["old_dirs"], state["old_stps"], state["ro"]
        change, move = gradient - state["prev_flat_grad"], state["d"] * float(state["t"])
        product = _dot(change, move)
        if product > 1e-10:
            if len(changes) == history:
                for kept in (changes, moves, ro):
                    kept.pop(0)
            changes.append(change)
            moves.append(move)
            ro.append(1 / product)
            state["H_diag"] = product / _dot(change, change)
        direction = -gradient
        shares = [0.0] * len(changes)
        for i in reversed(range(len(changes))):
            shares[i] = _dot(moves[i], direction) * float(ro[i])
            direction.add_(changes[i], alpha=-shares[i])
        direction.mul_(float(state["H_diag"]))
        for i, share in enumerate(shares):
            direction.add_(moves[i], alpha=share - _dot(changes[i], direction) * float(ro[i]))
        return direction


def _flat_gradient(params: list[Tensor]) -> Tensor:
    """The gradients in one row; zeros for parameters that have none."""
    parts = [zeros(p.numel(), dtype=p.dtype, device=p.device) if p.grad is None else p.grad.reshape(-1) for p in params]
    return cat(parts)


def _move(params: list[Tensor], direction: Tensor, t: float) -> None:
    for p, part in zip(params, direction.split([p.numel() for p in params])):
        p.add_(part.reshape(p.shape), alpha=t)


def _dot(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum().item())


def _largest(x: Tensor) -> float:
    return float(x.abs().max().item())


# ---- the line search


class _Point(NamedTuple):
    """A place along the search direction: its distance, the loss, the gradient, and the slope along the direction."""

    t: float
    value: float
    gradient: Tensor
    slope: float


def _strong_wolfe(at: Callable[[float], _Point], start: _Point, t: float, scale: float, limit: int) -> _Point:
    """A place where the strong Wolfe conditions hold (Nocedal and Wright 2006, algorithms 3.5 and 3.6), or the best one found.

    at: evaluates the loss. t: the first distance to try. scale: the largest element of the direction. limit: the most trials.
    """

    def too_high(point: _Point) -> bool:
        return point.value > start.value + 1e-4 * point.t * start.slope

    def flat(point: _Point) -> bool:
        return abs(point.slope) <= -0.9 * start.slope

    before, point, trials = start, at(t), 0
    while trials < limit:  # go farther until a minimum lies between the last two places
        if too_high(point) or (trials > 1 and point.value >= before.value):
            break
        if flat(point):
            return point
        if point.slope >= 0:
            break
        farther = (point.t + 0.01 * (point.t - before.t), point.t * 10)
        before, point = point, at(_lowest(before, point, farther))
        trials += 1
    else:
        before = start
    low, high = (before, point) if before.value <= point.value else (point, before)
    stuck = False
    while trials < limit and abs(high.t - low.t) * scale >= 1e-9:
        least, most = sorted((low.t, high.t))
        t = _lowest(low, high, (least, most))
        margin = 0.1 * (most - least)
        if min(most - t, t - least) < margin:  # too close to an end
            if stuck or t >= most or t <= least:
                t = most - margin if abs(t - most) < abs(t - least) else least + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = at(t)
        trials += 1
        if too_high(point) or point.value >= low.value:
            low, high = (low, point) if low.value <= point.value else (point, low)
        elif flat(point):
            return point
        else:
            low, high = point, (low if point.slope * (high.t - low.t) >= 0 else high)
    return low


def _lowest(a: _Point, b: _Point, bounds: tuple[float, float]) -> float:
    """Where the cubic through two places with their slopes is lowest, within bounds; their middle if it has no minimum."""
    a, b = (a, b) if a.t <= b.t else (b, a)
    least, most = bounds
    if a.t < b.t:
        d = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
        square = d * d - a.slope * b.slope
        if square >= 0:
            root = math.sqrt(square)
            divisor = b.slope - a.slope + 2 * root
            if divisor != 0:
                return min(max(b.t - (b.t - a.t) * (b.slope + root - d) / divisor, least), most)
    return (least + most) / 2
