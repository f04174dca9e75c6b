"""`engine export`: writes a run's model for other libraries."""

from __future__ import annotations

import click

from engine.commands.common import RUN, Command

__all__ = ["export"]


@click.command(cls=Command, short_help="Write a run's model for Hugging Face or ONNX.")
@click.argument("run", type=RUN)
@click.argument("output", type=click.Path(file_okay=False))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["transformers", "onnx"]),
    default="transformers",
    show_default=True,
    help="What opens the folder: the library transformers, or programs that run ONNX models (needs engine[onnx]).",
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
def export(run: str, output: str, kind: str, dtype: str, card: bool) -> None:
    """Write a folder from which `transformers` computes the same outputs: config.json, model.safetensors, the tokenizer's files and
    a model card. With --format onnx, the folder has model.onnx instead of the weights, and the card has a program for ONNX Runtime.

    \b
    Example:
      engine export runs/tuned hub/banking77
      python -c "from transformers import pipeline; print(pipeline('text-classification', 'hub/banking77')('my card is lost'))"
      engine export runs/tuned served/banking77 --format onnx
    """  # fmt: skip
    from engine.inference.export import export as write
    from engine.inference.onnx import export_onnx

    if kind == "onnx":
        if dtype != "float32":
            raise click.UsageError("--dtype is for --format transformers: the weights of an ONNX file are float32.")
        folder = export_onnx(run, output, card=card)
    else:
        folder = write(run, output, dtype=dtype, card=card)
    click.echo(f"{', '.join(sorted(path.name for path in folder.iterdir()))} written to {folder}")
