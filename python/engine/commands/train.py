"""`engine train`: from files of labelled texts to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from engine.commands.common import (
    PATH,
    Command,
    begin_or_resume,
    complete_folder,
    complete_task,
    config_option,
    device_option,
    file_options,
    model_sizes,
    need,
    run_options,
    settings_options,
    threads_option,
)
from engine.commands.terminal import announce, say, show

__all__ = ["train", "training", "training_options"]


# What the help says of the defaults that depend on --init (`engine.runs.plan.DEFAULTS`; a test compares the numbers).
_DEFAULT = {
    "epochs": "(default: 8; with --init, 4 to 30, by the number of texts)",
    "lr": "(default: 0.002; with --init, by the model's size: 2e-4 for hidden states of 384, 5e-5 for 768)",
    "label_smoothing": "(default: 0.1; with --init, 0)",
    "token_dropout": "(default: 0.1; with --init, 0)",
    "dropout": "(default: 0.1; with --init, as published)",
}

training_options = [
    config_option,
    click.option("--task", metavar="NAME", default="classification", show_default=True, shell_complete=complete_task,
                 help="What the model learns: classification (one label a text), multilabel (any number of labels), "
                 "regression (a number) or tagging (a tag for each word)."),
    click.option("--init", metavar="DIR", shell_complete=complete_folder, help="A published encoder to start from: a folder, or a name on the Hugging Face hub."),
    click.option("--text-column", help="Column of the texts (default: found by its name)."),
    click.option("--pair-column", help="Column of second texts, for tasks on pairs of texts."),
    click.option("--label-column", metavar="NAMES",
                 help="Column of the labels, or several columns of 0 and 1 with commas (default: found by its name)."),
    click.option("--label-separator", default="|", show_default=True, help="Separates the labels of a text (multilabel). '' for classification: each label is one name, although it "
                 "looks like several."),
    click.option("--group-column", "group_columns", multiple=True,
                 help="Compare the figures of samples with different values in this column; may be repeated."),
    *file_options,
    click.option("--validation", type=PATH, help="Held-out texts (default: a share of DATA)."),
    click.option("--validation-fraction", type=float, default=0.1, show_default=True, help="Share of DATA to hold out."),
    click.option("--test", type=PATH, help="Texts for one evaluation at the end."),
    click.option("--clean", metavar="KINDS", default="",
                 help="Remove training texts with these problems, separated by commas: duplicate, near_duplicate, label_conflict, "
                 "leak or another kind that `engine check` reports. markup removes HTML from the texts."),
    click.option("--examples-per-class", type=int, metavar="N", help="Train on only N texts of each label."),
    click.option("--tokenizer", type=click.Path(exists=True),
                 help="vocab.txt, tokenizer.json or their folder (default: that of --init, otherwise trained on DATA)."),
    click.option("--vocab-size", type=int,
                 help="Most tokens of a tokenizer trained on DATA (default: one for each 35 words, from 2000 to 8000)."),
    click.option("--max-length", type=int, help="Most tokens in a text (default: 128, or fewer if the model takes no more)."),
    click.option("--layers", type=int, default=2, show_default=True, help="Number of layers."),
    click.option("--dim", type=int, default=128, show_default=True, help="Size of the hidden states."),
    click.option("--heads", type=int, default=2, show_default=True, help="Attention heads of each layer."),
    click.option("--ff", type=int, default=None, help="Size of the feed-forward part (default: 4 * dim)."),
    click.option("--dropout", type=float, help=f"Dropout in the layers {_DEFAULT['dropout']}."),
    click.option("--pooling", type=click.Choice(["max", "mean", "first", "pooler"]),
                 help="What a classifier reads of the tokens (default: max; with --init pooler, or mean if there are few texts for "
                 "each label). pooler: the first token, as BERT does; `transformers` opens only such a model."),
    click.option("--fit-head/--no-fit-head", default=True, show_default=True,
                 help="With --init: fit the new head to what the encoder gives before the first step, and with few texts after the last one."),
    click.option("--freeze-embeddings", is_flag=True, help="Do not train the embeddings."),
    click.option("--freeze-layers", type=int, default=0, metavar="N", help="Do not train the lowest N layers."),
    click.option("--lora-rank", type=int, default=0, metavar="R", help="Train LoRA adapters of rank R instead of the weights."),
    click.option("--lora-alpha", type=float, default=16.0, show_default=True, help="The adapters are scaled by alpha / R."),
    click.option("--lora-dropout", type=float, default=0.0, show_default=True, help="Dropout before the adapters."),
    click.option("--lora-targets", default="query,value", show_default=True, help="Layers that get an adapter."),
    click.option("--gradient-checkpointing", is_flag=True,
                 help="Compute layers again in the backward pass: less memory, more time, the same result."),
    click.option("--epochs", type=int, help=f"Passes over the training texts {_DEFAULT['epochs']}."),
    click.option("--max-steps", type=int, help="End after this many steps instead."),
    click.option("--batch-size", type=int, default=32, show_default=True, help="Most texts in a batch."),
    click.option("--max-tokens", type=int, default=None, help="Most tokens in a batch (default: no limit)."),
    click.option("--gradient-accumulation", type=int, default=1, show_default=True, help="Batches in a step."),
    click.option("--lr", type=float, help=f"Highest learning rate {_DEFAULT['lr']}."),
    click.option("--layer-wise-lr-decay", type=float, default=1.0, show_default=True,
                 help="Factor by which the learning rate falls from each layer to the one below."),
    click.option("--head-lr", type=float, help="Highest learning rate of the weights above the layers (default: --lr)."),
    click.option("--weight-decay", type=float, default=0.01, show_default=True, help="Weight decay of the optimizer."),
    click.option("--schedule", type=click.Choice(["linear", "cosine", "constant"]), default="linear", show_default=True,
                 help="How the learning rate falls."),
    click.option("--warmup-ratio", type=float, default=0.1, show_default=True, help="Share of the steps in which the learning rate rises."),
    click.option("--label-smoothing", type=float, help=f"Share of the target that is spread over all labels {_DEFAULT['label_smoothing']}."),
    click.option("--class-weights", type=click.Choice(["balanced"]), help="balanced: rare classes weigh more in the loss."),
    click.option("--token-dropout", type=float, help=f"Share of tokens hidden in training {_DEFAULT['token_dropout']}."),
    click.option("--augment", metavar="LIST", help="Change training texts at random, such as deletion=0.1,swap=0.05,mask=0.1."),
    click.option("--max-grad-norm", type=float, default=1.0, show_default=True, help="Gradients with a larger norm are scaled down to it."),
    click.option("--metric", show_default="the task's",
                 help="Figure that selects the best model: accuracy, macro_f1, micro_f1, mcc, f1, pearson, spearman, rmse or loss."),
    click.option("--early-stopping", type=int, default=None, metavar="N", help="Stop after N evaluations without a better model."),
    click.option("--checkpoint-every", type=int, metavar="N", help="Steps between checkpoints (default: one each epoch; 0: none)."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random numbers."),
    device_option,
    click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True,
                 help="bfloat16: matrix products in bfloat16, on a CUDA device."),
]  # fmt: skip

_TEXT_OPTIONS = (
    "text_column", "pair_column", "label_column", "group_columns", "encoding", "format", "columns", "delimiter", "quoting", "validation", "validation_fraction", "test",
    "tokenizer", "vocab_size", "max_length", "examples_per_class",
)  # fmt: skip
_TASK_OPTIONS = ("label_smoothing", "class_weights", "augment", "token_dropout", "label_separator")
_TRAINER_OPTIONS = (
    "epochs", "max_steps", "batch_size", "max_tokens", "lr", "layer_wise_lr_decay", "head_lr", "weight_decay", "schedule",
    "warmup_ratio", "max_grad_norm", "metric", "early_stopping", "checkpoint_every", "seed", "device", "precision",
)  # fmt: skip
_START_OPTIONS = (
    "init", "freeze_embeddings", "freeze_layers", "lora_rank", "lora_alpha", "lora_dropout", "fit_head", "gradient_checkpointing",
)  # fmt: skip
_NEED_HELD_OUT = ("validation", "early_stopping", "metric", "group_columns")
# The pooler of BERT's classifier, so that other libraries can open the model.
_POOLING = {"pooler": {"pooling": "first", "model_type": "bert", "type_vocab_size": 2}}


def _parts(value: Any) -> tuple[str, ...]:
    """The names in a list with commas, or in the list of a TOML file."""
    names = value.split(",") if isinstance(value, str) else value
    return tuple(name.strip() for name in names if name.strip())


def training(ctx: click.Context, data: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """The options as arguments of `train_text`."""
    from engine.runs import AUTOMATIC, DEFAULTS, StartConfig, TextData
    from engine.runs.start import longest_text
    from engine.tasks import TaskConfig, task_named
    from engine.train import TrainerConfig

    kind = task_named(options["task"])
    tuned = options["init"] is not None
    defaults = {name: values[tuned] for name, values in DEFAULTS.items()} | dict(kind.defaults)
    defaults = {name: default for name, default in defaults.items() if name not in kind.unused}
    if options["max_steps"] is not None:
        defaults["epochs"] = None
    if options["max_length"] is None:
        defaults["max_length"] = min(128, longest_text(options["init"])) if tuned else 128
    options = {name: defaults.get(name) if value is None else value for name, value in options.items()}
    automatic = [name for name in AUTOMATIC if tuned and options[name] is None]
    asked = ctx.get_parameter_source("validation_fraction") is not ParameterSource.DEFAULT
    if tuned and not asked and not any(options[name] for name in _NEED_HELD_OUT):
        automatic.append("validation_fraction")
    sizes = model_sizes(ctx, options, "vocab_size")
    pooling = options["pooling"] or ("max" if not tuned and "pooling" not in kind.unused else None)
    if pooling is not None:
        chosen = _POOLING.get(pooling, {"pooling": pooling})
        sizes |= {"pooling": chosen["pooling"]} if tuned else chosen
    settings = {name: options[name] for name in _TASK_OPTIONS if options[name] is not None}
    return {
        "data": TextData(data, clean=_parts(options["clean"]), **{name: options[name] for name in _TEXT_OPTIONS}),
        "task": TaskConfig(options["task"], **settings),
        "trainer": TrainerConfig(
            gradient_accumulation_steps=options["gradient_accumulation"],
            **{name: options[name] for name in _TRAINER_OPTIONS if name not in automatic},
        ),
        "automatic": automatic,
        "start": StartConfig(
            sizes=sizes,
            lora_targets=_parts(options["lora_targets"]),
            **{name: options[name] for name in _START_OPTIONS},
        ),
    }


def _without_notices(report: dict[str, Any]) -> dict[str, Any]:
    """The report for a terminal on which the notices were said before the training. The files of the run have them."""
    return {**report, "data": {name: value for name, value in report["data"].items() if name != "notices"}}


@click.command(cls=Command, packages=("tokenizers",), short_help="Train a model on labelled texts.")
@click.argument("data", nargs=-1, type=PATH)
@run_options
@settings_options(training_options)
@click.option("--tensorboard", is_flag=True, help="Write event files for TensorBoard into the run folder.")
@click.option("--progress/--no-progress", default=True, show_default=True, help="Show a progress bar.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only print the plan, with the expected time and memory. Writes nothing and needs no --output.",
)
@threads_option
@click.pass_context
def train(ctx: click.Context, data: tuple[str, ...], **options: Any) -> None:
    """Train a model on files of labelled texts. Writes a run folder with the model, its figures and a report.

    DATA are files (CSV, TSV, JSON, JSONL, Parquet, Arrow, Excel, fastText; also compressed), folders with a folder of texts for
    each class, or folders that `datasets` saved; for --task tagging, CoNLL files, JSONL, Parquet, or a folder with seq.in and seq.out.

    \b
    Example:
      engine train train.csv --label-column category --output runs/banking77
      engine train train.csv --test test.csv --init MiniLM --output runs/tuned
      engine train --task tagging train.conll --init MiniLM --output runs/slots
      engine train --config runs/settings.toml --output runs/third
      engine train --resume runs/banking77
      engine train train.csv --init MiniLM --dry-run

    Ctrl-C ends training after the current step and writes a checkpoint to resume from. A second Ctrl-C ends it at once.
    """  # fmt: skip
    from engine.runs import text_plan, train_text
    from engine.runs.folder import check_output

    if options["dry_run"] and options["resume"] is None:
        need(ctx, "data")
        if options["output"] is not None:
            check_output(Path(options["output"]), options["overwrite"])
        show(text_plan(**training(ctx, data, options), notify=say))
        return
    begin_or_resume(
        ctx, "text",
        lambda folder, callbacks: _without_notices(train_text(
            **training(ctx, data, options), output=folder, callbacks=callbacks, notify=say, announce=announce,
            **{name: options[name] for name in ("progress", "overwrite", "tensorboard", "keep_checkpoints")},
        )),
    )  # fmt: skip
