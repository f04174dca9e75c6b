"""`engine pretrain`: masked language modelling on raw text."""

from __future__ import annotations

from typing import Any

import click

from engine.commands.common import (
    PATH,
    Command,
    begin_or_resume,
    complete_folder,
    config_option,
    device_option,
    model_sizes,
    run_options,
    settings_options,
    threads_option,
)

__all__ = ["pretrain"]

_OPTIONS = [
    config_option,
    click.option("--init", metavar="DIR", shell_complete=complete_folder, help="A published encoder to start from: a folder, or a name on the Hugging Face hub."),
    click.option("--tokenizer", type=click.Path(exists=True),
                 help="vocab.txt, tokenizer.json or their folder (default: that of --init, otherwise trained on FILES)."),
    click.option("--vocab-size", type=int, default=8000, show_default=True, help="Most tokens of a tokenizer trained on FILES."),
    click.option("--max-length", type=int, default=128, show_default=True, help="Most tokens in a sequence."),
    click.option("--document", type=click.Choice(["block", "line", "file"]), default="block", show_default=True,
                 help="What a document is in a text file: the lines between empty lines, each line, or the whole file."),
    click.option("--packing", type=click.Choice(["full", "document"]), default="full", show_default=True,
                 help="full: a sequence may hold several documents; document: it holds text of one only."),
    click.option("--text-key", default="text", show_default=True, help="Key of the text in JSON Lines."),
    click.option("--errors", type=click.Choice(["strict", "replace"]), default="strict", show_default=True,
                 help="What to do with bytes that are not UTF-8: stop, or replace them."),
    click.option("--held-out", type=PATH, multiple=True, help="File for the evaluations; may be repeated (default: a share of the documents)."),
    click.option("--held-out-fraction", type=float, default=0.05, show_default=True, help="Share of the documents to hold out."),
    click.option("--mask", "p", type=float, default=0.15, show_default=True, help="Share of tokens to predict."),
    click.option("--whole-word", is_flag=True, help="Hide whole words instead of single tokens."),
    click.option("--layers", type=int, default=4, show_default=True, help="Number of layers."),
    click.option("--dim", type=int, default=256, show_default=True, help="Size of the hidden states."),
    click.option("--heads", type=int, default=4, show_default=True, help="Attention heads of each layer."),
    click.option("--ff", type=int, default=None, help="Size of the feed-forward part (default: 4 * dim)."),
    click.option("--dropout", type=float, help="Dropout in the layers (default: 0.1; with --init, as published)."),
    click.option("--epochs", type=int, help="Passes over the text (default: 10)."),
    click.option("--max-steps", type=int, help="End after this many steps instead. The text is then not counted first."),
    click.option("--batch-size", type=int, default=None, help="Most sequences in a batch (default: no limit)."),
    click.option("--max-tokens", type=int, default=4096, show_default=True, help="Most tokens in a batch."),
    click.option("--lr", type=float, default=5e-4, show_default=True, help="Highest learning rate."),
    click.option("--weight-decay", type=float, default=0.01, show_default=True, help="Weight decay of the optimizer."),
    click.option("--schedule", type=click.Choice(["linear", "cosine", "constant"]), default="linear", show_default=True,
                 help="How the learning rate falls."),
    click.option("--warmup-ratio", type=float, default=0.1, show_default=True, help="Share of the steps in which the learning rate rises."),
    click.option("--max-grad-norm", type=float, default=1.0, show_default=True, help="Gradients with a larger norm are scaled down to it."),
    click.option("--eval-every", type=int, metavar="N", help="Steps between evaluations (default: one each epoch)."),
    click.option("--checkpoint-every", type=int, metavar="N", help="Steps between checkpoints (default: one each epoch; 0: none)."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random numbers."),
    device_option,
    click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True,
                 help="bfloat16: matrix products in bfloat16, on a CUDA device."),
]  # fmt: skip
_TRAINER = (
    "epochs", "max_steps", "batch_size", "max_tokens", "lr", "weight_decay", "schedule", "warmup_ratio", "max_grad_norm",
    "eval_every", "checkpoint_every", "seed", "device", "precision",
)  # fmt: skip
_OTHERS = (
    "init", "tokenizer", "vocab_size", "max_length", "document", "packing", "text_key", "errors", "held_out",
    "held_out_fraction", "p", "whole_word", "progress", "overwrite", "keep_checkpoints",
)  # fmt: skip


@click.command(cls=Command, packages=("tokenizers",), short_help="Pretrain an encoder on raw text.")
@click.argument("files", nargs=-1, type=PATH)
@run_options
@settings_options(_OPTIONS)
@click.option("--progress/--no-progress", default=True, show_default=True, help="Show a progress bar.")
@threads_option
@click.pass_context
def pretrain(ctx: click.Context, files: tuple[str, ...], **options: Any) -> None:
    """Pretrain an encoder by masked language modelling on raw text: .txt or .jsonl files, or tables; also compressed. Text files are read
    piece by piece, so they may be larger than memory.

    \b
    Example:
      engine pretrain wiki.txt --output runs/encoder
      engine pretrain questions.txt --document line --init MiniLM -o runs/adapted
      engine train questions.csv --init runs/encoder --output runs/tuned
    """  # fmt: skip
    from engine.runs import pretrain as run
    from engine.train import TrainerConfig

    if options["max_steps"] is None and options["epochs"] is None:
        options["epochs"] = 10
    model = model_sizes(ctx, options, "vocab_size")
    begin_or_resume(
        ctx, "pretraining",
        lambda folder, callbacks: run(
            files, folder, trainer=TrainerConfig(**{name: options[name] for name in _TRAINER}), model=model,
            callbacks=callbacks, **{name: options[name] for name in _OTHERS},
        ),
    )  # fmt: skip
