"""`engine train`: from files of labelled texts to a run folder."""

from __future__ import annotations

from typing import Any

import click

from engine.commands.common import (
    PATH,
    RUN,
    Command,
    TaskName,
    begin_or_resume,
    config_option,
    device_option,
    encoding_option,
    refuse_beside_init,
    settings_options,
    threads_option,
)

__all__ = ["train", "training", "training_options"]

# What suits a model from scratch, and one that starts from a published encoder.
_DEFAULTS: dict[str, tuple[Any, Any]] = {
    "epochs": (8, 4), "lr": (2e-3, None), "label_smoothing": (0.1, 0.0), "token_dropout": (0.1, 0.0), "dropout": (0.1, None),
}  # fmt: skip


def _default(name: str) -> str:
    scratch, tuned = _DEFAULTS[name]
    words = {"dropout": "as published", "lr": "by its size: 2e-4 for states of 384, 5e-5 for 768"}
    return f"(default: {scratch:g}; with --init {words.get(name) or f'{tuned:g}'})"


training_options = [
    config_option,
    click.option("--task", type=TaskName(), default="classification", show_default=True,
                 help="What is learned: classification (a label), multilabel, regression (a number), tagging (a tag a word), …"),
    click.option("--init", metavar="DIR", help="A published encoder to start from: a folder, or a name on the Hugging Face hub."),
    click.option("--text-column", help="Column of the texts (default: found by its name)."),
    click.option("--pair-column", help="Column of a second text, for tasks on two."),
    click.option("--label-column", help="Column of the labels (default: found by its name)."),
    click.option("--label-separator", default="|", show_default=True, help="Between the labels of a text (multilabel)."),
    click.option("--group-column", "group_columns", multiple=True, help="Compare the figures by the values of that column."),
    encoding_option,
    click.option("--validation", type=PATH, help="Held-out texts (default: a part of DATA)."),
    click.option("--validation-fraction", type=float, default=0.1, show_default=True, help="Part of DATA to hold out."),
    click.option("--test", type=PATH, help="Texts for one evaluation at the end."),
    click.option("--clean", metavar="KINDS", default="", help="Take out of the training texts what `engine check` finds: duplicate, "
                 "near_duplicate, label_conflict, leak, …, with commas; markup takes HTML out of texts."),
    click.option("--examples-per-class", type=int, metavar="N", help="Train on N texts of each label alone."),
    click.option("--tokenizer", type=click.Path(exists=True),
                 help="vocab.txt, tokenizer.json or their folder (default: that of --init, or trained on DATA)."),
    click.option("--vocab-size", type=int, default=8000, show_default=True, help="Of the trained tokenizer, at most."),
    click.option("--max-length", type=int, help="Tokens of a text, at most (default: 128, or fewer if the model takes no more)."),
    click.option("--layers", type=int, default=2, show_default=True),
    click.option("--dim", type=int, default=128, show_default=True, help="Size of the hidden states."),
    click.option("--heads", type=int, default=2, show_default=True),
    click.option("--ff", type=int, default=None, help="Size of the feed-forward part (default: 4 * dim)."),
    click.option("--dropout", type=float, help=_default("dropout")),
    click.option("--pooling", type=click.Choice(["max", "mean", "first", "pooler"]), default="max", show_default=True,
                 help="What a classifier from scratch reads; pooler: the first token, as BERT's does, so that it can be exported."),
    click.option("--freeze-embeddings", is_flag=True, help="Do not train the tables."),
    click.option("--freeze-layers", type=int, default=0, metavar="N", help="Do not train the lowest N layers."),
    click.option("--lora-rank", type=int, default=0, metavar="R", help="Train adapters of rank R in place of the weights."),
    click.option("--lora-alpha", type=float, default=16.0, show_default=True),
    click.option("--lora-dropout", type=float, default=0.0, show_default=True),
    click.option("--lora-targets", default="query,value", show_default=True, help="Layers that get an adapter."),
    click.option("--gradient-checkpointing", is_flag=True, help="Less memory for long texts, more time, the same bits."),
    click.option("--epochs", type=int, help=_default("epochs")),
    click.option("--max-steps", type=int, help="End after so many steps instead."),
    click.option("--batch-size", type=int, default=32, show_default=True),
    click.option("--max-tokens", type=int, default=None, help="Tokens in a batch, at most."),
    click.option("--gradient-accumulation", type=int, default=1, show_default=True, help="Batches of a step."),
    click.option("--lr", type=float, help=f"Highest learning rate {_default('lr')}."),
    click.option("--layer-wise-lr-decay", type=float, default=1.0, show_default=True, help="Of the rate, from layer to layer down."),
    click.option("--head-lr", type=float, help="Highest rate of what stands above the layers (default: --lr)."),
    click.option("--weight-decay", type=float, default=0.01, show_default=True),
    click.option("--schedule", type=click.Choice(["linear", "cosine", "constant"]), default="linear", show_default=True),
    click.option("--warmup-ratio", type=float, default=0.1, show_default=True),
    click.option("--label-smoothing", type=float, help=_default("label_smoothing")),
    click.option("--class-weights", type=click.Choice(["balanced"]), help="balanced: rare classes weigh more."),
    click.option("--token-dropout", type=float, help=f"Share of tokens hidden in training {_default('token_dropout')}."),
    click.option("--augment", metavar="LIST", help="Change training texts: deletion=0.1,swap=0.05,mask=0.1."),
    click.option("--max-grad-norm", type=float, default=1.0, show_default=True),
    click.option("--metric", show_default="the task's",
                 help="Selects the best model: accuracy, macro_f1, micro_f1, mcc, f1, pearson, spearman, rmse, loss."),
    click.option("--early-stopping", type=int, default=None, metavar="N", help="Stop after N evaluations without a better one."),
    click.option("--checkpoint-every", type=int, metavar="N", help="Steps between checkpoints (default: one each epoch; 0: none)."),
    click.option("--seed", type=int, default=0, show_default=True),
    device_option,
    click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True,
                 help="bfloat16: products in bfloat16, on a CUDA device."),
]  # fmt: skip

_TEXT_OPTIONS = (
    "text_column", "pair_column", "label_column", "group_columns", "encoding", "validation", "validation_fraction", "test",
    "tokenizer", "vocab_size", "max_length", "examples_per_class",
)  # fmt: skip
_TASK_OPTIONS = ("label_smoothing", "class_weights", "augment", "token_dropout", "label_separator")
_TRAINER_OPTIONS = (
    "epochs", "max_steps", "batch_size", "max_tokens", "lr", "layer_wise_lr_decay", "head_lr", "weight_decay", "schedule",
    "warmup_ratio", "max_grad_norm", "metric", "early_stopping", "checkpoint_every", "seed", "device", "precision",
)  # fmt: skip
_START_OPTIONS = (
    "init", "freeze_embeddings", "freeze_layers", "lora_rank", "lora_alpha", "lora_dropout", "gradient_checkpointing",
)  # fmt: skip
# A classifier just as BERT's, which other libraries open.
_POOLING = {"pooler": {"pooling": "first", "model_type": "bert", "type_vocab_size": 2}}
_SIZES = ("layers", "dim", "heads", "ff", "pooling", "vocab_size")


def _parts(value: Any) -> tuple[str, ...]:
    """A list with commas; a TOML file may have it as a list."""
    names = value.split(",") if isinstance(value, str) else value
    return tuple(name.strip() for name in names if name.strip())


def training(ctx: click.Context, data: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Options as arguments of `train_text`."""
    from engine.runs import StartConfig, TextData
    from engine.runs.start import longest_text, suggested_lr
    from engine.tasks import TaskConfig, task_named
    from engine.train import TrainerConfig

    options = dict(options)
    kind = task_named(options["task"])
    tuned = options["init"] is not None

    def given(name: str) -> bool:
        return ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT

    defaults = {name: values[tuned] for name, values in _DEFAULTS.items()} | dict(kind.defaults)
    if options["max_steps"] is not None:
        defaults["epochs"] = None
    for name, default in defaults.items():
        if options[name] is None and name not in kind.unused:
            options[name] = default
    if options["max_length"] is None:
        options["max_length"] = 128 if not tuned else min(128, longest_text(options["init"]))
    if options["lr"] is None:
        options["lr"] = suggested_lr(options["init"])
    sizes: dict[str, Any] = {}
    if options["dropout"] is not None:
        sizes = {"hidden_dropout_prob": options["dropout"], "attention_probs_dropout_prob": options["dropout"]}
    if tuned:
        refuse_beside_init(ctx, _SIZES)
    else:
        sizes |= {
            "hidden_size": options["dim"],
            "num_hidden_layers": options["layers"],
            "num_attention_heads": options["heads"],
            "intermediate_size": 4 * options["dim"] if options["ff"] is None else options["ff"],
        }
        if given("pooling") or "pooling" not in kind.unused:
            sizes |= _POOLING.get(options["pooling"], {"pooling": options["pooling"]})
    settings = {name: options[name] for name in _TASK_OPTIONS if options[name] is not None}
    return {
        "data": TextData(data, clean=_parts(options["clean"]), **{name: options[name] for name in _TEXT_OPTIONS}),
        "task": TaskConfig(options["task"], **settings),
        "trainer": TrainerConfig(
            gradient_accumulation_steps=options["gradient_accumulation"],
            **{name: options[name] for name in _TRAINER_OPTIONS},
        ),
        "start": StartConfig(
            sizes=sizes,
            lora_targets=_parts(options["lora_targets"]),
            **{name: options[name] for name in _START_OPTIONS},
        ),
    }


@click.command(cls=Command, short_help="Train a model on labelled texts.")
@click.argument("data", nargs=-1, type=PATH)
@click.option("--output", "-o", metavar="RUN", help="Folder for the run; must be new.")
@click.option(
    "--resume", metavar="RUN", type=RUN, help="Go on with a run that was broken off; takes no other settings."
)
@click.option("--overwrite", is_flag=True, help="Remove an earlier run in the output folder.")
@settings_options(training_options)
@click.option("--tensorboard", is_flag=True, help="Write event files for TensorBoard into the run folder.")
@click.option("--progress/--no-progress", default=True, show_default=True)
@threads_option
@click.pass_context
def train(ctx: click.Context, data: tuple[str, ...], output: str | None, resume: str | None, **options: Any) -> None:
    """Train a model on files of labelled texts and write a run folder with the model, its figures and a report.

    DATA are CSV, TSV or JSONL files; for --task tagging CoNLL files, JSONL, or a folder with seq.in and seq.out.

    \b
    Example:
      engine train train.csv --label-column category --test test.csv --output runs/banking77
      engine train train.csv --test test.csv --init MiniLM --output runs/tuned
      engine train --task tagging train.conll --init MiniLM --output runs/slots
      engine train --config runs/settings.toml --output runs/third
      engine train --resume runs/banking77

    Ctrl-C ends training after the present step, with a checkpoint to resume from; a second one ends it at once.
    """  # fmt: skip
    from engine.report import format_report
    from engine.runs import resume as go_on
    from engine.runs import train_text

    progress = options["progress"]
    report = begin_or_resume(
        ctx, data, output, resume,
        lambda folder, callbacks: train_text(
            **training(ctx, data, options), output=folder, progress=progress, overwrite=options["overwrite"],
            tensorboard=options["tensorboard"], callbacks=callbacks,
        ),
        lambda folder, callbacks: go_on(folder, kind="text", progress=progress, callbacks=callbacks),
    )  # fmt: skip
    click.echo(format_report(report), nl=False)
