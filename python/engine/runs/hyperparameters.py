"""A search for good hyper-parameters: trainings one after the other, each with settings that the earlier ones suggest.

Optuna (Akiba et al. 2019, arXiv 1907.10902; extra `search`) draws the settings with the tree-structured Parzen estimator
(Bergstra et al. 2011). A training is pruned if its metric is worse than the median of the earlier ones at the same share of the
training. The search knows nothing of models: it calls a function that trains and returns a number.

The folder holds
    study.db                 what a later call needs to go on; Optuna's own tools open it
    trials.csv, trials.md    a row for each trial
    best.toml                the settings of the best trial
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
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import BadFile, BadType, NotFinite, not_installed, require
from engine.runs.folder import locked
from engine.runs.toml import read_toml, write_toml
from engine.serialization import write_text
from engine.tasks import MINIMIZED
from engine.train.callbacks import Callback

if TYPE_CHECKING:
    from engine.train.trainer import Trainer

__all__ = ["SearchResult", "SearchSpace", "TrialRecord", "search"]

Train = Callable[[dict[str, Any], tuple[Callback, ...]], float]

# Metrics are compared at the same tenth of the training, because trainings differ in their number of steps.
_TENTHS = 10


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

    A table with `low` and `high` is a range, of whole numbers if both ends are whole (`log`: its logarithm is drawn evenly; `step`:
    a grid). A list is a choice. Any other table groups settings (`model`). Any other value is the same in every trial.

    Raises:
        ValueError: for an empty range, an empty choice, or a space with neither.
        TypeError: for a choice of lists or tables, or a range between anything but numbers.
    """

    def __init__(self, space: Mapping[str, Any]) -> None:
        require(isinstance(space, Mapping), "SearchSpace", "space", "a dict", type(space).__name__, error=BadType)
        self.entries: dict[str, _Range | _Choice | _Constant] = dict(_entries(space, ""))
        require(self.names, "SearchSpace", "space", "at least one range or choice", "none")

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> SearchSpace:
        """The space in a TOML file. Raises the errors of `read_toml`, too."""
        return cls(read_toml(path))

    @property
    def names(self) -> list[str]:
        """The names of the ranges and choices; those in a table with a dot ("model.hidden_size")."""
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
        """The space as one line of text. Equal spaces give equal lines."""
        return json.dumps({name: repr(entry) for name, entry in sorted(self.entries.items())})


def _entries(space: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, _Range | _Choice | _Constant]]:
    for key, value in space.items():
        plain = isinstance(key, str) and key and "." not in key
        require(plain, "SearchSpace", "space", "names without dots", repr(key))
        name = prefix + key
        if isinstance(value, Mapping) and not {"low", "high"} & set(value):
            yield from _entries(value, f"{name}.")
        elif isinstance(value, Mapping):
            yield name, _range(name, value)
        elif isinstance(value, list | tuple):
            yield name, _choice(name, value)
        else:
            yield name, _Constant(value)


def _range(name: str, value: Mapping[str, Any]) -> _Range:
    known = {"low", "high"} <= set(value) <= {"low", "high", "log", "step"}
    require(known, "SearchSpace", name, "low, high and perhaps log or step", ", ".join(map(str, value)))
    low, high, log, step = value["low"], value["high"], value.get("log", False), value.get("step")
    for number in (low, high, 1 if step is None else step):
        real = isinstance(number, int | float) and not isinstance(number, bool)
        require(real, "SearchSpace", name, "numbers", repr(number), error=BadType)
        require(math.isfinite(number), "SearchSpace", name, "finite numbers", repr(number))
    require(isinstance(log, bool), "SearchSpace", name, "log = true or false", f"log = {log!r}", error=BadType)
    ends = low <= high and (low > 0 or not log)
    require(ends, "SearchSpace", name, f"{'0 < ' * log}low <= high", f"low {low!r} and high {high!r}")
    if step is not None:
        whole = isinstance(low, int) and isinstance(high, int)
        expected = "a whole step above 0 in a range of whole numbers" if whole else "a step above 0"
        require(step > 0 and (not whole or step == int(step)), "SearchSpace", name, expected, repr(step))
        require(not log, "SearchSpace", name, "log or step, but not both", f"log and step {step!r}")
    return _Range(low, high, log, step)


def _choice(name: str, values: Sequence[Any]) -> _Choice:
    require(values, "SearchSpace", name, "at least one value to choose from", "none")
    for value in values:
        plain = value is None or isinstance(value, bool | int | float | str)
        require(plain, "SearchSpace", name, "numbers, strings or booleans", repr(value), error=BadType)
    return _Choice(tuple(values))


@dataclass(frozen=True)
class TrialRecord:
    """One training of a search.

    number: from 0. state: "complete", "pruned", or "diverged" (a loss or metric was not a finite number). value: the metric, or for a
    pruned training its last metric; None: there was none. settings: values of the ranges and choices, by name. seconds: how long the
    training took.
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
    shared: Mapping[str, str] = MappingProxyType({}),
) -> SearchResult:
    """Trains with `trials` settings of a space and returns the best.

    Another call with the same folder goes on: finished trials count, and an interrupted one is repeated. The result is the same as
    without the interruption if `train` gives the same number for the same settings.

    Args:
        train: `train(settings, callbacks)` trains and returns the metric on held-out data, never on test data. `settings` is a dict
            with the names of the space; `callbacks` are for the `Trainer` (they prune).
        space: the settings to try.
        output: the folder, made if it is missing.
        trials: the number of trainings, with those of earlier calls.
        metric: the name of the metric in the records of evaluations, for pruning.
        minimize: whether the metric is better when lower; None: True for loss, mse, mae, rmse and perplexity.
        seed: decides the draws.
        prune: whether to end trainings whose metric is worse than the median at the same tenth of the training.
        startup: the number of first trainings whose settings are drawn at random, and which are not pruned.
        on_trial: called after each training of this call.
        shared: what else all trials have in common, as texts by name: the hashes of the data, other settings.

    Raises:
        ImportError: if Optuna or tomli-w is missing (extra `search`).
        ValueError: if the folder holds a search with another space, metric, seed or `shared`; or if no trial was completed.
        BlockingIOError: if another search works in the folder.
        All errors of `train`, except FloatingPointError: that trial has diverged, and the search goes on.
    """
    if not isinstance(space, SearchSpace):
        space = SearchSpace(space)
    for name, count in (("trials", trials), ("startup", startup)):
        integer = isinstance(count, int) and not isinstance(count, bool)
        require(integer, "search", name, "an integer", repr(count), error=BadType)
        require(count >= 1, "search", name, "at least 1", count)
    optuna = _optuna()
    folder = Path(output)
    down = metric in MINIMIZED if minimize is None else minimize
    about = {
        "space": space.describe(), "metric": metric, "minimize": down, "seed": seed, "prune": prune, "startup": startup,
    }  # fmt: skip
    about |= {f"training {name}" if name in about else name: value for name, value in shared.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, "search"), _study(optuna, folder, down, startup) as study:
        for name, value in about.items():
            before = study.user_attrs.get(name, value)
            require(
                before == value, "search", name, f"{before!r}, with which the search in {folder} began", repr(value)
            )
            study.set_user_attr(name, value)
        for stale in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):  # of a search that was killed
            study.tell(stale.number, state=optuna.trial.TrialState.FAIL)
        while len(records := _records(study)) < trials:
            # A new sampler for each trial, so that an interrupted search draws the same settings.
            number = int(np.random.SeedSequence([seed, len(records)]).generate_state(1)[0])
            study.sampler = optuna.samplers.TPESampler(seed=number, n_startup_trials=startup)
            _one_trial(optuna, study, space, train, metric, prune)
            records = _records(study)
            _write_tables(folder, space, metric, records)
            if on_trial is not None:
                on_trial(records[-1])
        result = _result(study, records, down, folder)
    _write_tables(folder, space, metric, records)
    note = f"Trial {result.number} of {len(records)}: {metric} {result.value:.6g} on held-out data."
    write_toml(folder / "best.toml", result.settings, note)
    return result


def _optuna() -> Any:
    try:
        import optuna
        import tomli_w  # noqa: F401 - if it is missing, this is said before the first training
    except ModuleNotFoundError as error:
        raise not_installed("search", str(error.name), "search") from error
    return optuna


@contextmanager
def _study(optuna: Any, folder: Path, down: bool, startup: int) -> Iterator[Any]:
    """The study in a folder. Its file is closed at the end. Errors of its database are OSErrors that name it. Optuna is silent
    meanwhile but for warnings, because `on_trial` and the callers say what happens."""
    from sqlalchemy.exc import SQLAlchemyError

    file, storage = (folder / "study.db").resolve(), None
    pruner = optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=2)  # asked by `_Reporter`
    direction, verbosity = "minimize" if down else "maximize", optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.WARNING))
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
        yield optuna.create_study(
            storage=storage, study_name="search", direction=direction, pruner=pruner, load_if_exists=True
        )
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = getattr(error, "orig", None) or error.__cause__ or error  # SQLite's own words
        raise BadFile("search", "output", "a database that can be read and written", file, str(reason)) from error
    finally:
        optuna.logging.set_verbosity(verbosity)
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


class _Reporter(Callback):
    """Tells Optuna the metric of each evaluation, and ends a training that Optuna prunes."""

    def __init__(self, optuna: Any, trial: Any, metric: str, prune: bool) -> None:
        self._optuna, self._trial, self._metric, self._prune = optuna, trial, metric, prune
        self._last, self._value = 0, math.nan

    def on_log(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        if record["event"] != "eval":
            return
        expected = f"a figure of the evaluations ({', '.join(record)})"
        require(self._metric in record, "search", "metric", expected, repr(self._metric))
        value = float(record[self._metric])
        require(math.isfinite(value), "search", self._metric, "a finite number", value, error=NotFinite)
        # The tenths between two evaluations get the value of the first: trainings of other lengths have evaluations there.
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
    value, state = None, states.FAIL
    try:
        settings = space.suggest(trial)
        trial.set_user_attr("settings", settings)
        found = train(settings, (_Reporter(optuna, trial, metric, prune),))
        number = isinstance(found, int | float | np.number) and not isinstance(found, bool)
        require(number, "search", "train", "a function that gives a number", type(found).__name__, error=BadType)
        require(math.isfinite(found), "search", "train", "a finite number", found, error=NotFinite)
        value, state = float(found), states.COMPLETE
    except optuna.TrialPruned:
        state = states.PRUNED
    except FloatingPointError:
        trial.set_user_attr("diverged", True)
        state = states.PRUNED  # then the sampler avoids such settings; it ignores failed trials
    finally:
        trial.set_user_attr("seconds", time.perf_counter() - started)
        study.tell(trial, value, state=state)


def _finished(study: Any) -> list[Any]:
    """Optuna's trials that were not interrupted."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]


def _records(study: Any) -> list[TrialRecord]:
    records = []
    for number, trial in enumerate(_finished(study)):
        diverged = trial.user_attrs.get("diverged", False)
        state, value = ("diverged", None) if diverged else (trial.state.name.lower(), trial.value)
        records.append(TrialRecord(number, state, value, dict(trial.params), trial.user_attrs.get("seconds", 0.0)))
    return records


def _result(study: Any, records: list[TrialRecord], down: bool, folder: Path) -> SearchResult:
    complete = [
        (r.value if down else -r.value, r.number) for r in records if r.state == "complete" and r.value is not None
    ]
    got = f"none of {len(records)} in {folder}"
    require(complete, "search", "trials", "at least one that was completed", got)
    best = min(complete)[1]
    trial = _finished(study)[best]
    return SearchResult(dict(trial.user_attrs["settings"]), trial.value, best, tuple(records))


# --- tables ----------------------------------------------------------------------------------------------------------


def _write_tables(folder: Path, space: SearchSpace, metric: str, records: Sequence[TrialRecord]) -> None:
    rows: list[list[Any]] = [["trial", "state", metric, *space.names, "seconds"]]
    for r in records:
        rows.append([r.number, r.state, r.value, *map(r.settings.get, space.names), f"{r.seconds:.1f}"])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(folder / "trials.csv", text.getvalue())
    header, *lines = ["| " + " | ".join(map(_short, row)) + " |\n" for row in rows]
    write_text(folder / "trials.md", header + "|" + "---|" * len(rows[0]) + "\n" + "".join(lines))


def _short(value: Any) -> str:
    """A cell of a Markdown table."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value).replace("|", "\\|")
