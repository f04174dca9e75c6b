"""`engine pretrain`: masked language modelling on raw text."""

from __future__ import annotations

from typing import Any

import click

from engine.commands.common import (
    PATH,
    RUN,
    Command,
    begin_or_resume,
    config_option,
    device_option,
    refuse_beside_init,
    settings_options,
    threads_option,
)

__all__ = ["pretrain"]

_OPTIONS = [
    config_option,
    click.option("--init", metavar="DIR", help="A published encoder to go on from: a folder, or a name on the Hugging Face hub."),
    click.option("--tokenizer", type=click.Path(exists=True),
                 help="vocab.txt, tokenizer.json or their folder (default: that of --init, or trained on FILES)."),
    click.option("--vocab-size", type=int, default=8000, show_default=True, help="Of the trained tokenizer, at most."),
    click.option("--max-length", type=int, default=128, show_default=True, help="Tokens of a sequence, at most."),
    click.option("--document", type=click.Choice(["block", "line", "file"]), default="block", show_default=True,
                 help="What a document is in a text file: what empty lines part, a line, the file."),
    click.option("--packing", type=click.Choice(["full", "document"]), default="full", show_default=True,
                 help="full: sequences are filled across documents; document: none has text of two."),
    click.option("--text-key", default="text", show_default=True, help="Of JSON Lines."),
    click.option("--errors", type=click.Choice(["strict", "replace"]), default="strict", show_default=True,
                 help="Bytes that are no UTF-8."),
    click.option("--held-out", type=PATH, multiple=True, help="Text to judge by (default: a part of the documents)."),
    click.option("--held-out-fraction", type=float, default=0.05, show_default=True),
    click.option("--mask", "p", type=float, default=0.15, show_default=True, help="Share of tokens to predict."),
    click.option("--whole-word", is_flag=True, help="Hide whole words."),
    click.option("--layers", type=int, default=4, show_default=True),
    click.option("--dim", type=int, default=256, show_default=True, help="Size of the hidden states."),
    click.option("--heads", type=int, default=4, show_default=True),
    click.option("--ff", type=int, default=None, help="Size of the feed-forward part (default: 4 * dim)."),
    click.option("--dropout", type=float, help="(default: 0.1; with --init as published)"),
    click.option("--epochs", type=int, help="(default: 10)"),
    click.option("--max-steps", type=int, help="End after so many steps instead; the text is then not counted first."),
    click.option("--batch-size", type=int, default=None, help="Sequences in a batch, at most (default: no limit)."),
    click.option("--max-tokens", type=int, default=4096, show_default=True, help="Tokens in a batch, at most."),
    click.option("--lr", type=float, default=5e-4, show_default=True, help="Highest learning rate."),
    click.option("--weight-decay", type=float, default=0.01, show_default=True),
    click.option("--schedule", type=click.Choice(["linear", "cosine", "constant"]), default="linear", show_default=True),
    click.option("--warmup-ratio", type=float, default=0.1, show_default=True),
    click.option("--max-grad-norm", type=float, default=1.0, show_default=True),
    click.option("--eval-every", type=int, metavar="N", help="Steps between evaluations (default: one each epoch)."),
    click.option("--checkpoint-every", type=int, metavar="N", help="Steps between checkpoints (default: one each epoch; 0: none)."),
    click.option("--seed", type=int, default=0, show_default=True),
    device_option,
    click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True),
]  # fmt: skip
_TRAINER = (
    "epochs", "max_steps", "batch_size", "max_tokens", "lr", "weight_decay", "schedule", "warmup_ratio", "max_grad_norm",
    "eval_every", "checkpoint_every", "seed", "device", "precision",
)  # fmt: skip
_OTHERS = (
    "init", "tokenizer", "vocab_size", "max_length", "document", "packing", "text_key", "errors", "held_out",
    "held_out_fraction", "p", "whole_word",
)  # fmt: skip


@click.command(cls=Command, short_help="Pretrain an encoder on raw text.")
@click.argument("files", nargs=-1, type=PATH)
@click.option("--output", "-o", metavar="RUN", help="Folder for the run; must be new.")
@click.option(
    "--resume", metavar="RUN", type=RUN, help="Go on with a run that was broken off; takes no other settings."
)
@click.option("--overwrite", is_flag=True, help="Remove an earlier run in the output folder.")
@settings_options(_OPTIONS)
@click.option("--progress/--no-progress", default=True, show_default=True)
@threads_option
@click.pass_context
def pretrain(
    ctx: click.Context, files: tuple[str, ...], output: str | None, resume: str | None, **options: Any
) -> None:
    """Pretrain an encoder on raw text (.txt, .jsonl, or either with .gz) by masked language modelling. The files are streamed.

    \b
    Example:
      engine pretrain wiki.txt --output runs/encoder
      engine pretrain questions.txt --document line --init MiniLM --lr 1e-4 --output runs/adapted
      engine train questions.csv --init runs/encoder --output runs/tuned
    """
    from engine.report import format_report
    from engine.runs import pretrain as run
    from engine.runs import resume as go_on
    from engine.train import TrainerConfig

    progress = options["progress"]
    if options["max_steps"] is None and options["epochs"] is None:
        options["epochs"] = 10
    model: dict[str, Any] = {}
    if options["init"] is not None:
        refuse_beside_init(ctx, ("layers", "dim", "heads", "ff", "vocab_size"))
    if options["init"] is None:
        ff = 4 * options["dim"] if options["ff"] is None else options["ff"]
        model = {
            "hidden_size": options["dim"], "num_hidden_layers": options["layers"],
            "num_attention_heads": options["heads"], "intermediate_size": ff,
        }  # fmt: skip
    if options["dropout"] is not None:
        model |= {"hidden_dropout_prob": options["dropout"], "attention_probs_dropout_prob": options["dropout"]}
    report = begin_or_resume(
        ctx, files, output, resume,
        lambda folder, callbacks: run(
            files, folder, trainer=TrainerConfig(**{name: options[name] for name in _TRAINER}),
            model=model, progress=progress, callbacks=callbacks, overwrite=options["overwrite"],
            **{name: options[name] for name in _OTHERS},
        ),
        lambda folder, callbacks: go_on(folder, kind="pretraining", progress=progress, callbacks=callbacks),
    )  # fmt: skip
    click.echo(format_report(report), nl=False)
