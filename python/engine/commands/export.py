"""`engine export`: writes a run's model for other libraries."""

from __future__ import annotations

import click

from engine.commands.common import RUN, Command

__all__ = ["export"]


@click.command(cls=Command, short_help="Write a run's model for Hugging Face.")
@click.argument("run", type=RUN)
@click.argument("output", type=click.Path(file_okay=False))
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Dtype of the weights.",
)
@click.option(
    "--card/--no-card", default=True, show_default=True, help="Write a README.md about the model and its figures."
)
def export(run: str, output: str, dtype: str, card: bool) -> None:
    """Write a folder from which `transformers` computes the same outputs: config.json, model.safetensors, the tokenizer's files and
    a model card.

    \b
    Example:
      engine export runs/tuned hub/banking77
      python -c "from transformers import pipeline; print(pipeline('text-classification', 'hub/banking77')('my card is lost'))"
    """  # fmt: skip
    from engine.inference.export import export as write

    folder = write(run, output, dtype=dtype, card=card)
    click.echo(f"{', '.join(sorted(path.name for path in folder.iterdir()))} written to {folder}")
