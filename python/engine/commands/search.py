"""`engine search`: looks for hyper-parameters that suit the data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from engine.commands.common import (
    PATH,
    Command,
    Interrupted,
    flat,
    option_values,
    options_by_name,
    settings_options,
    threads_option,
)
from engine.commands.terminal import show
from engine.commands.train import train, training, training_options
from engine.errors import ArgumentError, require
from engine.files import scratch_folder

__all__ = ["search"]

# Options of training that no trial reads, and why.
_NOT_READ = {
    "test": "test data must not decide a search. Evaluate its best run on them",
    "checkpoint_every": "a trial is repeated and not resumed, so it writes no checkpoints",
    "group_columns": "a search compares one figure of each trial",
}
# What all trials have in common: they are compared by it.
_SHARED = {"data", "output", "threads", "task", "metric", "validation", "validation_fraction"}

# What may differ between calls that go on with one search: it changes no figure, or is compared by its contents.
_MAY_DIFFER = {"data", "output", "threads", "validation", "metric"}


@click.command(cls=Command, packages=("tokenizers", "optuna", "tomli_w"), short_help="Search for hyper-parameters.")
@click.argument("space", type=click.Path(exists=True, dir_okay=False))
@click.argument("data", nargs=-1, type=PATH, required=True)
@click.option(
    "--output",
    "-o",
    metavar="FOLDER",
    required=True,
    help="Folder for the trials and the best settings. A search that began there continues.",
)
@click.option("--trials", type=click.IntRange(1), default=20, show_default=True, help="Number of trainings in all.")
@click.option("--search-seed", type=int, default=0, show_default=True, help="Seed of the choice of settings.")
@click.option("--prune/--no-prune", default=True, show_default=True, help="Stop trainings that fall behind.")
@settings_options(training_options)
@threads_option
@click.pass_context
def search(
    ctx: click.Context,
    space: str,
    data: tuple[str, ...],
    output: str,
    trials: int,
    search_seed: int,
    prune: bool,
    **options: Any,
) -> None:
    """Train many times with settings from SPACE, and keep the settings with the best held-out metric.

    SPACE is a TOML file that names options of `engine train` and the values to try for each. All other options stay as they are
    given here. Test data must not decide a search: evaluate its best run on them.

    \b
    Example of SPACE:
      lr = { low = 1e-5, high = 5e-4, log = true }
      epochs = [3, 4, 5]
    \b
    Example:
      engine search space.toml train.csv --init MiniLM --output runs/search
      engine train train.csv --init MiniLM --config runs/search/best.toml -o best
    """
    from engine.runs import SearchSpace, train_text
    from engine.runs import search as run
    from engine.runs.folder import sha256_of
    from engine.tasks import task_named

    for p in ctx.command.params:
        if p.name in _NOT_READ and ctx.get_parameter_source(p.name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"{p.opts[0]} cannot be given: {_NOT_READ[p.name]}.", ctx)
    if options["validation"] is None and not options["validation_fraction"]:
        raise click.UsageError(
            "--validation-fraction: expected a number above 0, because held-out texts decide a search, got 0", ctx
        )
    wanted = SearchSpace.from_toml(space)
    shared = {p.name for p in train.params} & {p.name for p in ctx.command.params}
    known = {name for name, p in options_by_name(train).items() if p.name in shared - _SHARED - _NOT_READ.keys()}
    for name in wanted.entries:
        if name.rpartition(".")[2].replace("-", "_") not in known:  # also an option that no trial reads
            raise click.UsageError(f"SPACE: expected names of options of training, got {name!r}", ctx)
    metric = options["metric"] or task_named(options["task"]).metric

    def trial(settings: dict[str, Any], callbacks: tuple[Any, ...]) -> float:
        arguments = training(
            ctx, data, {**options, "checkpoint_every": 0, **option_values(ctx.command, flat(settings), space)}
        )
        arguments["automatic"] = [name for name in arguments["automatic"] if name != "validation_fraction"]
        with scratch_folder(Path(output, "trial")) as folder:
            report = train_text(**arguments, output=folder / "run", callbacks=callbacks)
        figures = report["held_out"]
        known = ", ".join(name for name, value in figures.items() if isinstance(value, float))
        require(metric in figures, "search", "metric", f"one of {known}", repr(metric))
        return float(figures[metric])

    same = {name: repr(options[name]) for name in sorted(shared & options.keys() - _MAY_DIFFER)}
    same["data"] = ", ".join(sha256_of(path) for path in (*data, *filter(None, [options["validation"]])))
    os.makedirs(output, exist_ok=True)
    try:
        result = run(
            trial, wanted, output, trials=trials, metric=metric, seed=search_seed, prune=prune, shared=same,
            on_trial=lambda record: show(f"trial {record.number}: {record.state} {record.value}  {record.settings}"),
        )  # fmt: skip
    except ArgumentError as error:
        if error.op == "search":
            error.relabel("search", {"seed": "search_seed"})
        raise
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command goes on with the search") from None
    show(f"\nbest {metric} {result.value:.4f}, in {os.path.join(output, 'best.toml')}")
