"""`engine evaluate`: the figures of a run's model on labelled data."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from engine.commands.common import (
    PATH,
    RUN,
    Command,
    NewFile,
    columns_for,
    columns_of,
    device_option,
    file_options,
    one_text_only,
    overwrite_option,
    set_threshold,
    settings_options,
    threads_option,
    threshold_option,
)
from engine.commands.terminal import page, progress_bar, progress_option, say

__all__ = ["evaluate"]


@click.command(cls=Command, packages=("tokenizers",), short_help="Evaluate a run on labelled texts.")
@click.argument("run", type=RUN)
@click.argument("data", type=PATH)
@click.option("--text-column", help="Column of the texts (default: as in training, or found by its name).")
@click.option("--label-column", help="Column of the labels (default: as in training, or found by its name).")
@click.option("--pair-column", help="Column of second texts (default: as in training).")
@click.option(
    "--group-column",
    "group_columns",
    multiple=True,
    help="Compare the figures of samples with different values in this column; may be repeated.",
)
@settings_options(file_options)
@click.option("--per-class", is_flag=True, help="Also show precision, recall and F1 of each class.")
@click.option("--picture", type=NewFile(".png", ".pdf", ".svg"), help="Draw the confusion matrix into a PNG file.")
@overwrite_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@threshold_option
@progress_option
@device_option
@threads_option
def evaluate(
    run: str, data: str, device: str | None, per_class: bool, picture: str | None, as_json: bool, **options: Any
) -> None:
    """Evaluate the model of a run on a file of labelled data. The file has the form of the training data.

    \b
    Example:
      engine evaluate runs/banking77 test.csv --per-class --picture confusion.png
    """
    if per_class and as_json:
        raise click.UsageError(
            "--per-class cannot be combined with --json, which always has the figures of each class."
        )
    from engine.inference import Predictor
    from engine.report import plot_confusion, show_evaluation
    from engine.report.words import visible_json
    from engine.runs.folder import read_temperature
    from engine.serialization import finite
    from engine.tasks import Part
    from engine.tasks.remarks import TextLosses

    predictor = Predictor.from_pretrained(run, device=device)
    task = predictor.task
    trained, groups = columns_of(run), options["group_columns"]
    if groups and "group_columns" in task.unused:
        raise click.UsageError(
            f"--group-column is for tasks with one label a text, but this run's task is {task.name}."
        )
    if per_class and "per_class" in task.unused:
        raise click.UsageError(f"--per-class is for tasks with classes, but this run's task is {task.name}.")
    set_threshold(task, options["threshold"])
    one_text_only(run, options["pair_column"])
    task.groups, task.temperature = groups, read_temperature(run)
    task.separator = trained.get("label_separator") or task.separator
    table = task.read(data, columns_for(data, options, trained, task.separator, labelled=True))
    dataset, losses = predictor.encode(table), TextLosses()
    with progress_bar(options["bar"], len(dataset)) as advance:
        predictor.model.register_forward_hook(lambda model, given, logits: advance(given[0].batch_size))
        figures = task.judge(predictor.model, Part(dataset, table)).figures
    losses.add(table, dataset, predictor.tokenizer, predictor.max_length)
    for notice in (*table.notes, *losses.sentences(predictor.max_length)):
        say(notice)
    if picture:
        if "confusion" not in figures:
            raise click.UsageError(f"--picture is for tasks with one label a text, but this run's task is {task.name}.")
        import numpy as np

        plot_confusion(np.array(figures["confusion"]["counts"]), figures["confusion"]["labels"], os.fspath(picture))
    if as_json:
        click.echo(visible_json(json.dumps(finite(figures), ensure_ascii=False, indent=2, allow_nan=False)))
        return
    click.echo(show_evaluation(figures, task.metric, per_class, page()), nl=False)
