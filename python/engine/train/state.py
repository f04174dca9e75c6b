"""How far a training is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from engine.settings import Between, checked

__all__ = ["TrainerState"]


@dataclass
class TrainerState:
    """How far a training is. Checkpoints hold all of this.

    Attributes:
        epoch: finished epochs.
        step: finished optimizer steps.
        samples, tokens: trained on so far.
        padded_tokens: tokens if all sequences of a batch were padded to its longest one.
        seconds: time of the training, without evaluations and checkpoints.
        best_metric, best_step: the best evaluation so far; None and 0 before the first.
        waited: evaluations since the best one.
        stop: whether the training ends after the present step.
    """

    epoch: int = 0
    step: int = 0
    samples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
    best_metric: float | None = None
    best_step: int = 0
    waited: int = 0
    stop: bool = False
    # Sums since the last line of the log, and since the last epoch.
    interval_loss: float = 0.0
    interval_steps: int = 0
    interval_tokens: int = 0
    interval_seconds: float = 0.0
    epoch_loss: float = 0.0
    epoch_steps: int = 0
    epoch_tokens: int = 0
    epoch_seconds: float = 0.0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TrainerState:
        """The state in a checkpoint. Raises KeyError if one of the fields is missing, TypeError or ValueError if one is of another type
        or below 0."""
        return cls(
            **{
                field.name: checked("TrainerState", field.name, _KINDS[field.type], values[field.name])
                for field in fields(cls)
            }
        )


_KINDS: dict[Any, Any] = {
    "int": Annotated[int, Between(0, 2**53)], "float": float, "bool": bool, "float | None": float | None,
}  # fmt: skip
