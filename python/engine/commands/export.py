"""`engine export`: writes a run's model for other libraries."""

from __future__ import annotations

import click

from engine.commands.common import RUN, Command
from engine.commands.terminal import say, show

__all__ = ["export"]


@click.command(cls=Command, packages=("tokenizers",), short_help="Write a run's model for other libraries.")
@click.argument("run", type=RUN)
@click.argument("output", type=click.Path(file_okay=False))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["transformers", "sentence-transformers", "onnx"]),
    help="What opens the folder: a library, or programs that run ONNX models (default: transformers, or sentence-transformers for a "
    "classifier that reads the mean or the maximum of all tokens).",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Dtype of the weights; in ONNX they are float32.",
)
@click.option(
    "--card/--no-card", default=True, show_default=True, help="Write a README.md about the model and its figures."
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export in OUTPUT.")
def export(run: str, output: str, kind: str | None, dtype: str, card: bool, overwrite: bool) -> None:
    """Write a folder from which another library computes the same outputs: config.json, model.safetensors, the tokenizer's files and
    a model card. With --format onnx, the folder has model.onnx instead of the weights, and the card has a program for ONNX Runtime.

    \b
    Example:
      engine export runs/tuned hub/banking77
      python -c "from transformers import pipeline;
      print(pipeline('text-classification', 'hub/banking77')('my card is lost'))"
      engine export runs/tuned served/banking77 --format onnx
    """  # fmt: skip
    from engine.inference.export import export as for_transformers
    from engine.inference.onnx import export_onnx
    from engine.inference.sentence_classifier import export_sentence_classifier, needs_sentence_transformers

    reason = needs_sentence_transformers(run) if kind is None else ""
    if kind == "onnx":
        if dtype != "float32":
            raise click.UsageError("--dtype is not for --format onnx: the weights of an ONNX file are float32.")
        folder = export_onnx(run, output, card=card, overwrite=overwrite)
    else:
        write = export_sentence_classifier if reason or kind == "sentence-transformers" else for_transformers
        folder = write(run, output, dtype=dtype, card=card, overwrite=overwrite)
    if reason:
        say(
            f"{reason}, which no class of `transformers` does; the folder is for sentence-transformers. For `transformers`, "
            "train with --pooling pooler"
        )
    show(f"{', '.join(sorted(path.name for path in folder.iterdir()))} written to {folder}")
