"""A search for good hyper-parameters: trainings one after the other, each with settings that those before it suggest.

Settings are drawn by Optuna (Akiba et al. 2019, arXiv 1907.10902; extra `search`) with the tree-structured Parzen estimator
(Bergstra et al. 2011), and a training that falls behind is pruned: its metric is below the median of those before it at the
same share of the training. The search knows nothing of models: it calls a function that trains and gives a number.

The folder holds
    study.db                 what is needed to go on; Optuna's own tools open it
    trials.csv, trials.md    a row a trial
    best.toml                the settings of the best one
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import BadType, BadValue, NotFinite, not_installed
from engine.runs.toml import read_toml, write_toml
from engine.serialization import write_text
from engine.tasks import MINIMIZED
from engine.train.callbacks import Callback

if TYPE_CHECKING:
    from engine.train.trainer import Trainer

__all__ = ["SearchResult", "SearchSpace", "TrialRecord", "search"]

Train = Callable[[dict[str, Any], tuple[Callback, ...]], float]

_TENTHS = 10  # metrics compare at the same tenth of the training, whatever its number of steps
_STUDY = "search"


@dataclass(frozen=True)
class _Range:
    low: float
    high: float
    log: bool = False
    step: float | None = None

    def suggest(self, trial: Any, name: str) -> Any:
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        suggest = trial.suggest_int if whole else trial.suggest_float
        step = self.step if self.step is not None or not whole else 1
        return suggest(name, self.low, self.high, step=step, log=self.log)


@dataclass(frozen=True)
class _Choice:
    values: tuple[Any, ...]

    def suggest(self, trial: Any, name: str) -> Any:
        return trial.suggest_categorical(name, self.values)


@dataclass(frozen=True)
class _Constant:
    value: Any

    def suggest(self, trial: Any, name: str) -> Any:
        return self.value


class SearchSpace:
    """The settings to try, by name.

        >>> SearchSpace({"lr": {"low": 1e-5, "high": 5e-4, "log": True}, "epochs": [2, 3, 4], "model": {"pooler": True}})

    A table with `low` and `high` is a range (`log`: drawn evenly in the logarithm; `step`: a grid), of whole numbers where both
    ends are; a list is a choice; any other table is one of settings (`model`); anything else holds in every trial.

    Raises:
        ValueError: for a range without numbers in it, an empty choice, or where there is nothing to search.
        TypeError: for a choice of lists or tables, or ends that are no numbers.
    """

    def __init__(self, space: Mapping[str, Any]) -> None:
        if not isinstance(space, Mapping):
            raise BadType("SearchSpace", "space", "a dict", type(space).__name__)
        self.entries: dict[str, _Range | _Choice | _Constant] = dict(_entries(space, ""))
        if not self.names:
            raise BadValue("SearchSpace", "space", "a range or a choice", "none")

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> SearchSpace:
        """The space that a TOML file describes. Raises what `read_toml` raises."""
        return cls(read_toml(path))

    @property
    def names(self) -> list[str]:
        """What is searched, tables within tables by a dot ("model.hidden_size"); constants are left out."""
        return [name for name, entry in self.entries.items() if not isinstance(entry, _Constant)]

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Settings for an Optuna trial, tables as dicts."""
        settings: dict[str, Any] = {}
        for name, entry in self.entries.items():
            *tables, last = name.split(".")
            place = settings
            for table in tables:
                place = place.setdefault(table, {})
            place[last] = entry.suggest(trial, name)
        return settings

    def describe(self) -> str:
        """The space as one line of text, equal for equal spaces."""
        return json.dumps({name: repr(entry) for name, entry in sorted(self.entries.items())})


def _entries(space: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, _Range | _Choice | _Constant]]:
    for key, value in space.items():
        if not isinstance(key, str) or not key or "." in key:
            raise BadValue("SearchSpace", "space", "names without dots", repr(key))
        name = prefix + key
        if isinstance(value, Mapping):
            if {"low", "high"} & set(value):
                yield name, _range(name, value)
            else:
                yield from _entries(value, f"{name}.")
        elif isinstance(value, list | tuple):
            yield name, _choice(name, value)
        else:
            yield name, _Constant(value)


def _range(name: str, value: Mapping[str, Any]) -> _Range:
    if not {"low", "high"} <= set(value) <= {"low", "high", "log", "step"}:
        raise BadValue("SearchSpace", name, "low, high and perhaps log or step", ", ".join(map(str, value)))
    low, high, log, step = value["low"], value["high"], value.get("log", False), value.get("step")
    for end in (low, high, *([] if step is None else [step])):
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise BadType("SearchSpace", name, "numbers", repr(end))
        if not math.isfinite(end):
            raise BadValue("SearchSpace", name, "finite numbers", repr(end))
    if not isinstance(log, bool):
        raise BadType("SearchSpace", name, "log to be true or false", repr(log))
    if not low <= high or (log and low <= 0):
        raise BadValue("SearchSpace", name, f"{'0 < ' * log}low <= high", f"low {low!r} and high {high!r}")
    if step is not None and (
        log or step <= 0 or (isinstance(low, int) and isinstance(high, int) and step != int(step))
    ):
        raise BadValue(
            "SearchSpace", name, "a step above 0, a whole one in a range of whole numbers, without log", repr(step)
        )
    return _Range(low, high, log, step)


def _choice(name: str, values: Sequence[Any]) -> _Choice:
    if not values:
        raise BadValue("SearchSpace", name, "at least one value to choose from", "none")
    for value in values:
        if value is not None and not isinstance(value, bool | int | float | str):
            raise BadType("SearchSpace", name, "numbers, strings or booleans", repr(value))
    return _Choice(tuple(values))


@dataclass(frozen=True)
class TrialRecord:
    """One training of a search.

    number: from 0. state: "complete", "pruned", or "diverged" (a loss or metric that is no finite number). value: the metric; of
    a pruned one the last; None where there was none. settings: what was searched, by name. seconds: on the clock.
    """

    number: int
    state: str
    value: float | None
    settings: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    settings: those of the best trial, constants included, tables as dicts. value: its metric. number: of the best trial.
    trials: all of them, in their order.
    """

    settings: dict[str, Any]
    value: float
    number: int
    trials: tuple[TrialRecord, ...]


def search(
    train: Train,
    space: SearchSpace | Mapping[str, Any],
    output: str | os.PathLike[str],
    *,
    trials: int = 20,
    metric: str = "accuracy",
    minimize: bool | None = None,
    seed: int = 0,
    prune: bool = True,
    startup: int = 5,
    on_trial: Callable[[TrialRecord], None] | None = None,
) -> SearchResult:
    """Train with `trials` settings of a space and keep the best.

    Called again with the same folder, it goes on: trials that are there count, and one that was broken off is made again. The
    result is that of a search that was never broken off, as long as `train` gives the same number for the same settings.

    Args:
        train: `train(settings, callbacks)` trains and gives the metric on held-out data; `settings` is a dict with the space's
            names, `callbacks` are for the `Trainer` (they prune). Never let it look at test data.
        space: what to try.
        output: the folder, made where it is missing.
        trials: how many trainings there shall be in all.
        metric: the name of the metric in the records of evaluations, for pruning.
        minimize: whether less is better; None: so for loss, mse, mae, rmse, perplexity.
        seed: decides the draws.
        prune: whether to break off trainings whose metric is worse than the median at the same tenth of the training.
        startup: trainings drawn at random, and never pruned, before the first that learns from them.
        on_trial: called after each training of this call.

    Raises:
        ImportError: where Optuna or tomli-w are missing (extra `search`).
        ValueError: where the folder holds a search of another space, metric or seed, or no trial was completed.
        What `train` raises, but FloatingPointError: such a trial has diverged, and the search goes on.
    """
    if not isinstance(space, SearchSpace):
        space = SearchSpace(space)
    for name, count in (("trials", trials), ("startup", startup)):
        if isinstance(count, bool) or not isinstance(count, int):
            raise BadType("search", name, "an integer", repr(count))
        if count < 1:
            raise BadValue("search", name, "at least 1", count)
    optuna = _optuna()
    folder = Path(output)
    down = metric in MINIMIZED if minimize is None else minimize
    about = {
        "space": space.describe(),
        "metric": metric,
        "minimize": down,
        "seed": seed,
        "prune": prune,
        "startup": startup,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with _study(optuna, folder, down, startup, prune) as study:
        for name, value in about.items():
            before = study.user_attrs.get(name, value)
            if before != value:
                raise BadValue("search", name, f"{before!r}, as the search in {folder} began", repr(value))
            study.set_user_attr(name, value)
        for stale in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):  # of a search that was killed
            study.tell(stale.number, state=optuna.trial.TrialState.FAIL)
        records = _records(study)
        while len(records) < trials:
            # A sampler a trial: a search that goes on draws what an unbroken one would have drawn.
            number = int(np.random.SeedSequence([seed, len(records)]).generate_state(1)[0])
            study.sampler = optuna.samplers.TPESampler(seed=number, n_startup_trials=startup)
            _one_trial(optuna, study, space, train, metric, prune)
            records = _records(study)
            _write_tables(folder, space, metric, records)
            if on_trial is not None:
                on_trial(records[-1])
        result = _result(study, space, records, down, folder)
    _write_tables(folder, space, metric, records)
    note = f"Trial {result.number} of {len(records)}: {metric} {result.value:.6g} on held-out data."
    write_toml(folder / "best.toml", result.settings, note)
    return result


def _optuna() -> Any:
    try:
        import optuna
        import tomli_w  # noqa: F401 - missed now rather than after the last training
    except ModuleNotFoundError as error:
        raise not_installed("search", str(error.name), "search") from error
    return optuna


@contextmanager
def _study(optuna: Any, folder: Path, down: bool, startup: int, prune: bool) -> Iterator[Any]:
    """The study of a folder; its file is closed at the end."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / 'study.db').resolve()}")
    pruner = optuna.pruners.NopPruner()
    if prune:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=2)
    try:
        yield optuna.create_study(
            storage=storage,
            study_name=_STUDY,
            direction="minimize" if down else "maximize",
            pruner=pruner,
            load_if_exists=True,
        )
    finally:
        storage.remove_session()
        storage.engine.dispose()


class _Reporter(Callback):
    """Tells Optuna the metric of each evaluation, and ends a training that has fallen behind."""

    def __init__(self, optuna: Any, trial: Any, metric: str, prune: bool) -> None:
        self._optuna, self._trial, self._metric, self._prune = optuna, trial, metric, prune
        self._last, self._value = 0, math.nan

    def on_log(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        if record["event"] != "eval":
            return
        if self._metric not in record:
            raise BadValue("search", "metric", f"a figure of the evaluations ({', '.join(record)})", repr(self._metric))
        value = float(record[self._metric])
        if not math.isfinite(value):
            raise NotFinite("search", self._metric, "a finite number", value)
        # An evaluation holds until the next one: trainings of other lengths have theirs elsewhere.
        tenth = min(_TENTHS, _TENTHS * int(record["step"]) // max(trainer.total_steps, 1))
        for step in range(self._last + 1, tenth if self._last else 0):
            self._trial.report(self._value, step)
        if tenth > self._last:
            self._trial.report(value, tenth)
            self._last, self._value = tenth, value
            if self._prune and tenth < _TENTHS and self._trial.should_prune():
                raise self._optuna.TrialPruned


def _one_trial(optuna: Any, study: Any, space: SearchSpace, train: Train, metric: str, prune: bool) -> None:
    states = optuna.trial.TrialState
    trial = study.ask()
    started = time.perf_counter()
    value: float | None = None
    state = states.FAIL
    try:
        settings = space.suggest(trial)
        trial.set_user_attr("settings", settings)
        found = train(settings, (_Reporter(optuna, trial, metric, prune),))
        if isinstance(found, bool) or not isinstance(found, int | float | np.number):
            raise BadType("search", "train", "a function that gives a number", type(found).__name__)
        value = float(found)
        if not math.isfinite(value):
            raise FloatingPointError
        state = states.COMPLETE
    except optuna.TrialPruned:
        state = states.PRUNED
    except FloatingPointError:
        trial.set_user_attr("diverged", True)
        state = states.PRUNED  # the sampler then keeps away; of failed ones it learns nothing
    finally:
        trial.set_user_attr("seconds", time.perf_counter() - started)
        study.tell(trial, value if state is states.COMPLETE else None, state=state)


def _records(study: Any) -> list[TrialRecord]:
    """Trials that were not broken off, numbered anew."""
    finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]
    records = []
    for number, trial in enumerate(finished):
        diverged = trial.user_attrs.get("diverged", False)
        value = None if diverged else trial.value
        if value is None and not diverged and trial.intermediate_values:
            value = trial.intermediate_values[max(trial.intermediate_values)]
        state = "diverged" if diverged else trial.state.name.lower()
        records.append(TrialRecord(number, state, value, dict(trial.params), trial.user_attrs.get("seconds", 0.0)))
    return records


def _result(study: Any, space: SearchSpace, records: list[TrialRecord], down: bool, folder: Path) -> SearchResult:
    complete = [(record.value, record) for record in records if record.state == "complete" and record.value is not None]
    if not complete:
        raise BadValue("search", "trials", "at least one that was completed", f"none of {len(records)} in {folder}")
    _, best = min(complete, key=lambda pair: pair[0] if down else -pair[0])
    trial = next(
        t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE" and t.params == best.settings
    )
    return SearchResult(dict(trial.user_attrs["settings"]), float(best.value or 0.0), best.number, tuple(records))


# --- tables ----------------------------------------------------------------------------------------------------------


def _write_tables(folder: Path, space: SearchSpace, metric: str, records: Sequence[TrialRecord]) -> None:
    header = ["trial", "state", metric, *space.names, "seconds"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for r in records:
        settings = [r.settings.get(name) for name in space.names]
        value = "" if r.value is None else repr(r.value)
        writer.writerow([r.number, r.state, value, *settings, f"{r.seconds:.1f}"])
        shown = [_short(v) for v in (r.value, *settings)]
        lines.append("| " + " | ".join([str(r.number), r.state, *shown, f"{r.seconds:.1f}"]) + " |")
    write_text(folder / "trials.csv", text.getvalue())
    write_text(folder / "trials.md", "\n".join(lines) + "\n")


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
