"""`engine embed`: sentence embeddings of texts."""

from __future__ import annotations

from typing import Any

import click

from engine.commands.common import (
    PATH,
    Command,
    NewFile,
    complete_folder,
    device_option,
    file_options,
    file_settings,
    overwrite_option,
    settings_options,
    threads_option,
)
from engine.commands.terminal import progress_bar, progress_option, say, show

__all__ = ["embed"]


@click.command(cls=Command, packages=("tokenizers",), short_help="Turn texts into vectors.")
@click.argument("model", metavar="MODEL", shell_complete=complete_folder)
@click.argument("data", type=PATH)
@click.option(
    "--output",
    "-o",
    required=True,
    type=NewFile(".npy", ".jsonl"),
    help="A .npy file for the vectors, or a .jsonl file for the texts with their vectors.",
)
@overwrite_option
@click.option("--text-column", help="Column of the texts (default: found by its name).")
@settings_options(file_options)
@click.option(
    "--pooling",
    type=click.Choice(["mean", "max", "cls"]),
    help="How the vectors of a text's tokens become one (default: as the model's folder says, otherwise mean).",
)
@click.option(
    "--normalize/--no-normalize", default=None, help="Scale vectors to length 1 (default: as the model's folder says)."
)
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True, help="Most texts in a batch.")
@progress_option
@device_option
@threads_option
def embed(model: str, data: str, output: str, device: str | None, **options: Any) -> None:
    """Write a vector for each text of a file (CSV, TSV, JSON, Parquet, Excel, or TXT with a text on each line). The vector is the one that
    sentence-transformers computes: the mean of the hidden states of the text's tokens, unless the folder says otherwise.

    MODEL is a folder of sentence-transformers, of a published encoder, or of a run.

    \b
    Example:
      engine embed MiniLM questions.csv --output questions.npy
    """  # fmt: skip
    from engine.inference import SentenceEncoder, embed_file
    from engine.text import read_table

    encoder = SentenceEncoder.from_pretrained(
        model, pooling=options["pooling"], normalize=options["normalize"], device=device
    )
    table = read_table(
        data, options["text_column"], read_labels=False, skip_empty_lines=False, **file_settings(options)
    )  # fmt: skip
    for notice in table.notes:
        say(notice)
    before = 0
    with progress_bar(options["bar"], len(table)) as advance:

        def reach(done: int) -> None:
            nonlocal before
            advance(done - before)
            before = done

        shape = embed_file(encoder, table, output, batch_size=options["batch_size"], chunk=1024, on_chunk=reach)
    show(f"{shape[0]:,} vectors of {shape[1]:,} numbers written to {output}")
