"""`engine evaluate`: the figures of a run's model on labelled data."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from engine.commands.common import PATH, RUN, Command, columns_of, device_option, encoding_option, threads_option

__all__ = ["evaluate"]


@click.command(cls=Command, short_help="Evaluate a run on labelled texts.")
@click.argument("run", type=RUN)
@click.argument("data", type=PATH)
@click.option("--text-column", help="Column of the texts (default: as in training, or found by its name).")
@click.option("--label-column", help="Column of the labels (default: as in training, or found by its name).")
@click.option("--pair-column", help="Column of second texts (default: as in training).")
@click.option(
    "--group-column", "group_columns", multiple=True, help="Compare the figures by the values of that column."
)
@encoding_option
@click.option("--per-class", is_flag=True, help="Also precision, recall and F1 of each class.")
@click.option("--picture", type=click.Path(dir_okay=False), help="Draw the confusion matrix into a PNG file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@device_option
@threads_option
def evaluate(
    run: str, data: str, device: str | None, per_class: bool, picture: str | None, as_json: bool, **options: Any
) -> None:
    """Evaluate the model of a run on a file of labelled data, of the kind that it was trained on.

    \b
    Example:
      engine evaluate runs/banking77 test.csv --per-class --picture confusion.png
    """
    from engine.inference import Predictor
    from engine.report import format_evaluation, plot_confusion
    from engine.runs.folder import read_temperature
    from engine.tasks import Columns

    predictor = Predictor.from_pretrained(run, device=device)
    task = predictor.task
    trained = columns_of(run)

    def column(name: str) -> Any:
        return options[name] or trained.get(name)

    groups = options["group_columns"]
    if groups and "group_columns" in task.unused:
        raise click.UsageError(f"--group-column is for tasks of one label a text, this one is {task.name}.")
    task.groups, task.temperature = groups, read_temperature(run)
    task.separator = trained.get("label_separator") or task.separator
    columns = Columns(
        column("text_column"), column("label_column"), column("pair_column"), groups, options["encoding"],
        task.separator,
    )  # fmt: skip
    figures = predictor.judge(task.read(data, columns))
    if picture:
        if "confusion" not in figures:
            raise click.UsageError(f"--picture is for tasks of one label a text, this one is {task.name}.")
        import numpy as np

        plot_confusion(np.array(figures["confusion"]["counts"]), figures["confusion"]["labels"], os.fspath(picture))
    if as_json:
        click.echo(json.dumps(figures, ensure_ascii=False, indent=2))
        return
    click.echo(format_evaluation(figures, per_class))
    name = task.metric
    click.echo(f"\n{name.replace('_', ' ')} {figures[name]:.4f}")
