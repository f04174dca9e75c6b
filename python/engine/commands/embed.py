"""`engine embed`: sentence embeddings of texts."""

from __future__ import annotations

from typing import Any

import click

from engine.commands.common import (
    PATH,
    Command,
    NewFile,
    device_option,
    file_options,
    file_settings,
    settings_options,
    threads_option,
)

__all__ = ["embed"]


@click.command(cls=Command, short_help="Turn texts into vectors.")
@click.argument("model", metavar="MODEL")
@click.argument("data", type=PATH)
@click.option(
    "--output",
    "-o",
    required=True,
    type=NewFile(".npy", ".jsonl"),
    help="A .npy file for the vectors, or a .jsonl file for the texts with their vectors.",
)
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

    encoder = SentenceEncoder.from_pretrained(
        model, pooling=options["pooling"], normalize=options["normalize"], device=device
    )
    shape = embed_file(
        encoder, data, output, text_column=options["text_column"], batch_size=options["batch_size"], **file_settings(options),
    )  # fmt: skip
    click.echo(f"{shape[0]} vectors of {shape[1]} numbers written to {output}")
