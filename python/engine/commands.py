"""The commands of `engine`: train, evaluate, predict, info. Heavy parts of the package are imported when a command runs."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

import engine
from engine.tensor import number_of

if TYPE_CHECKING:
    from engine.train import InterruptAfterStep, Prediction, TextClassifier

__all__ = ["cli"]

_PATH = click.Path(exists=True, dir_okay=False)
_RUN = click.Path(exists=True, file_okay=False)


class _Command(click.Command):
    """Words the package's errors, which name arguments of Python, in options."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (ValueError, OSError, ImportError, MemoryError, FloatingPointError) as error:
            if ctx.find_root().params["debug"]:
                raise
            raise click.UsageError(self._in_options(str(error)), ctx) from error

    def _in_options(self, message: str) -> str:
        options = {p.name: p.opts[0] for p in self.params if isinstance(p, click.Option) and p.name}
        options |= {name: options[option] for name, option in _FIELDS.items() if option in options}
        message = message.replace(", or the columns of a file without a header with columns=", "")
        message = re.sub(r"\b(\w+)=(?!\w)", lambda match: options.get(match[1], match[0]), message)
        return re.sub(r"^\[[\w.]+\] (\w+)(?=: )", lambda match: options.get(match[1], match[0]), message)


_FIELDS = {
    "hidden_size": "dim", "num_hidden_layers": "layers", "num_attention_heads": "heads", "intermediate_size": "ff",
    "hidden_dropout_prob": "dropout", "attention_probs_dropout_prob": "dropout",
}  # fmt: skip


class _Group(click.Group):
    """Lists commands in the order of a working day."""

    command_class = _Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["train", "evaluate", "predict", "info"]


@click.group(cls=_Group, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(engine.__version__, prog_name="engine")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Train transformer classifiers on text, evaluate them, predict with them.

    \b
    Example:
      engine train questions.csv --test test.csv --output runs/first
      engine predict runs/first "My card has not arrived yet"
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _threads(ctx: click.Context, parameter: click.Parameter, value: int | None) -> None:
    if value is not None:
        engine.set_num_threads(value)


def _device(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    try:
        number_of(value)
    except (RuntimeError, ValueError) as error:  # there is none, or no such one
        raise click.BadParameter(re.sub(r"^\[\w+\] \w+: ", "", str(error))) from None
    return value


_encoding_option = click.option(
    "--encoding", metavar="NAME", help="Of the files (default: by their byte-order mark, else UTF-8)."
)
_device_option = click.option(
    "--device", metavar="NAME", callback=_device, help="cpu, cuda or cuda:1: where the model runs (default: cpu)."
)
_threads_option = click.option(
    "--threads",
    type=click.IntRange(1),
    expose_value=False,
    callback=_threads,
    help="CPU threads (default: all allowed).",
)


# --- train -----------------------------------------------------------------------------------------------------------


@cli.command(short_help="Train a classifier on labelled texts.")
@click.argument("data", nargs=-1, type=_PATH)
@click.option("--output", "-o", metavar="RUN", help="Folder for the run; must be new.")
@click.option(
    "--resume", metavar="RUN", type=_RUN, help="Go on with a run that was broken off; takes no other settings."
)
@click.option("--overwrite", is_flag=True, help="Remove an earlier run in the output folder.")
@click.option("--text-column", help="Column of the texts (default: found by its name).")
@click.option("--label-column", help="Column of the labels (default: found by its name).")
@_encoding_option
@click.option("--validation", type=_PATH, help="Held-out texts (default: a part of DATA).")
@click.option("--validation-fraction", type=float, default=0.1, show_default=True, help="Part of DATA to hold out.")
@click.option("--test", type=_PATH, help="Texts for one evaluation at the end.")
@click.option(
    "--tokenizer",
    type=click.Path(exists=True),
    help="vocab.txt, tokenizer.json or their folder (default: trained on DATA).",
)
@click.option("--vocab-size", type=int, default=8000, show_default=True, help="Of the trained tokenizer, at most.")
@click.option("--max-length", type=int, default=128, show_default=True, help="Tokens of a text, at most.")
@click.option("--layers", type=int, default=2, show_default=True)
@click.option("--dim", type=int, default=128, show_default=True, help="Size of the hidden states.")
@click.option("--heads", type=int, default=2, show_default=True)
@click.option("--ff", type=int, default=None, help="Size of the feed-forward part (default: 4 * dim).")
@click.option("--dropout", type=float, default=0.1, show_default=True)
@click.option("--pooling", type=click.Choice(["max", "mean", "first"]), default="max", show_default=True)
@click.option("--epochs", type=int, default=8, show_default=True)
@click.option("--batch-size", type=int, default=32, show_default=True)
@click.option("--max-tokens", type=int, default=None, help="Tokens in a batch, at most.")
@click.option("--lr", type=float, default=2e-3, show_default=True, help="Highest learning rate.")
@click.option("--weight-decay", type=float, default=0.01, show_default=True)
@click.option("--schedule", type=click.Choice(["linear", "cosine", "constant"]), default="linear", show_default=True)
@click.option("--warmup-ratio", type=float, default=0.1, show_default=True)
@click.option("--label-smoothing", type=float, default=0.1, show_default=True)
@click.option("--token-dropout", type=float, default=0.1, show_default=True, help="Share of tokens hidden in training.")
@click.option("--max-grad-norm", type=float, default=1.0, show_default=True)
@click.option(
    "--metric",
    type=click.Choice(["accuracy", "macro_f1", "micro_f1", "mcc", "loss"]),
    default="accuracy",
    show_default=True,
    help="Selects the best model.",
)
@click.option(
    "--early-stopping", type=int, default=None, metavar="N", help="Stop after N evaluations without a better one."
)
@click.option(
    "--checkpoint-every", type=int, metavar="N", help="Steps between checkpoints (default: one each epoch; 0: none)."
)
@click.option("--seed", type=int, default=0, show_default=True)
@_device_option
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="bfloat16: products in bfloat16, on a CUDA device.",
)
@click.option("--progress/--no-progress", default=True, show_default=True)
@_threads_option
@click.pass_context
def train(ctx: click.Context, data: tuple[str, ...], output: str | None, resume: str | None, **options: Any) -> None:
    """Train a classifier on files of labelled texts (CSV, TSV or JSONL) and write a run folder.

    \b
    Example:
      engine train train.csv --label-column category --test test.csv --output runs/banking77
      engine train --resume runs/banking77

    Ctrl-C ends training after the present step, with a checkpoint to resume from; a second one ends it at once.
    """  # fmt: skip
    from engine.train import InterruptAfterStep, format_report, resume_text_classifier, train_text_classifier
    from engine.train.config import TrainerConfig
    from engine.train.text import TextData

    ctrl_c = InterruptAfterStep()
    if resume is not None:
        free = ("data", "resume", "threads", "progress")
        given = [p.name for p in ctx.command.params if p.name and _given(ctx, p.name) and p.name not in free]
        if data or given:
            name = "DATA" if data else f"--{given[0].replace('_', '-')}"
            raise click.UsageError(f"{name} cannot be given beside --resume: a run goes on with its own settings.", ctx)
        with _advice(resume, ctrl_c):
            report = resume_text_classifier(resume, progress=options["progress"], callbacks=(ctrl_c,))
    else:
        if not data:
            raise click.UsageError("Missing argument 'DATA...'.", ctx)
        if output is None:
            raise click.UsageError("Missing option '--output'.", ctx)
        texts = {name: options[name] for name in _TEXT_OPTIONS}
        settings = {name: options[name] for name in _TRAINER_OPTIONS}
        with _advice(output, ctrl_c):
            report = train_text_classifier(
                TextData(data, **texts),
                TrainerConfig(**settings),
                output,
                model={
                    "hidden_size": options["dim"],
                    "num_hidden_layers": options["layers"],
                    "num_attention_heads": options["heads"],
                    "intermediate_size": 4 * options["dim"] if options["ff"] is None else options["ff"],
                    "hidden_dropout_prob": options["dropout"],
                    "attention_probs_dropout_prob": options["dropout"],
                    "pooling": options["pooling"],
                },
                progress=options["progress"],
                overwrite=options["overwrite"],
                callbacks=(ctrl_c,),
            )
    click.echo(format_report(report), nl=False)


@contextmanager
def _advice(folder: str, ctrl_c: InterruptAfterStep) -> Iterator[None]:
    """Says beside the error how to go on where training was broken off, or how to begin again where it failed."""
    from engine.train import latest_checkpoint

    try:
        yield
    except FloatingPointError as error:
        message = str(error).replace("a lower lr may", "a lower --lr may")
        raise FloatingPointError(f"{message}; to begin again in {folder}, give --overwrite") from error
    except KeyboardInterrupt:
        if not ctrl_c.begun or latest_checkpoint(os.path.join(folder, "checkpoints")) is None:
            raise
        if sys.stderr.isatty():
            click.echo(err=True)  # below the terminal's ^C
        raise _Interrupted(f"interrupted; to go on: engine train --resume {shlex.quote(folder)}") from None


class _Interrupted(click.ClickException):
    exit_code = 130


_TEXT_OPTIONS = (
    "text_column", "label_column", "encoding", "validation", "validation_fraction", "test", "tokenizer", "vocab_size", "max_length",
)  # fmt: skip
_TRAINER_OPTIONS = (
    "epochs", "batch_size", "max_tokens", "lr", "weight_decay", "schedule", "warmup_ratio", "label_smoothing",
    "token_dropout", "max_grad_norm", "metric", "early_stopping", "checkpoint_every", "seed",
    "device", "precision",
)  # fmt: skip


def _given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


# --- evaluate --------------------------------------------------------------------------------------------------------


@cli.command(short_help="Evaluate a run on labelled texts.")
@click.argument("run", type=_RUN)
@click.argument("data", type=_PATH)
@click.option("--text-column", help="Column of the texts (default: as in training, or found by its name).")
@click.option("--label-column", help="Column of the labels (default: as in training, or found by its name).")
@_encoding_option
@click.option("--per-class", is_flag=True, help="Also precision, recall and F1 of each class.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_device_option
@_threads_option
def evaluate(
    run: str,
    data: str,
    device: str | None,
    text_column: str | None,
    label_column: str | None,
    encoding: str | None,
    per_class: bool,
    as_json: bool,
) -> None:
    """Evaluate the model of a run on a file of labelled texts (CSV, TSV or JSONL).

    \b
    Example:
      engine evaluate runs/banking77 test.csv --per-class
    """
    from engine.data import read_table
    from engine.train import TextClassifier, evaluation, format_evaluation

    classifier = TextClassifier.from_pretrained(run, device=device)
    table = read_table(data, *_columns_of(run, text_column, label_column), encoding=encoding)
    if table.labels is None:
        raise click.UsageError(
            f"{data} has no column of labels that is known by its name; name it with --label-column."
        )
    figures = evaluation(*classifier.evaluate(table), classifier.labels.names)
    if as_json:
        click.echo(json.dumps(figures, ensure_ascii=False, indent=2))
    else:
        click.echo(f"{format_evaluation(figures, per_class)}\n\naccuracy {figures['accuracy']:.4f}")


def _columns_of(run: str, text_column: str | None, label_column: str | None) -> tuple[str | None, str | None]:
    """The columns asked for, else those that the run was told to train on (a folder of `save_pretrained` knows none)."""
    from engine.train.text import read_run

    data = read_run(run).get("data", {}) if os.path.exists(os.path.join(run, "run.json")) else {}
    return text_column or data.get("text_column"), label_column or data.get("label_column")


# --- predict ---------------------------------------------------------------------------------------------------------


@cli.command(short_help="Label texts with a run's model.")
@click.argument("run", type=_RUN)
@click.argument("texts", nargs=-1)
@click.option("--input", "-i", "source", type=_PATH, help="A file of texts: CSV, TSV, JSONL, or TXT with one a line.")
@click.option("--text-column", help="Column of the texts in the file (default: as in training, or found by its name).")
@_encoding_option
@click.option("--top-k", type=click.IntRange(1), default=1, show_default=True, help="Labels for each text.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines instead of tab-separated columns.")
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="Write to a file (.jsonl: JSON Lines).")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True)
@_device_option
@_threads_option
def predict(
    run: str,
    texts: tuple[str, ...],
    device: str | None,
    source: str | None,
    text_column: str | None,
    encoding: str | None,
    top_k: int,
    as_json: bool,
    output: str | None,
    batch_size: int,
) -> None:
    """Label texts: the arguments, the texts of a file, or the lines of standard input as they come.

    Prints label, probability (of each of the top k) and text, separated by tabs: a row each line, also an empty one.

    \b
    Example:
      engine predict runs/banking77 "My card has not arrived yet" --top-k 3
      engine predict runs/banking77 --input questions.csv --output labels.jsonl
      tail -f questions.txt | engine predict runs/banking77 --json
    """
    if texts and source:
        raise click.UsageError("Texts cannot be given beside --input.")
    if text_column and not source:
        raise click.UsageError("--text-column needs --input.")
    if encoding and not source:
        raise click.UsageError("--encoding needs --input.")
    from engine.data import read_table
    from engine.serialization import replace_file
    from engine.train import TextClassifier

    classifier = TextClassifier.from_pretrained(run, device=device)
    if source:
        if text_column is None and not source.lower().endswith(".txt"):  # plain lines have no columns
            text_column = _columns_of(run, None, None)[0]
        table = read_table(source, text_column, read_labels=False, encoding=encoding, skip_empty_lines=False)
        batches: Iterable[list[str]] = _batches(table.texts, batch_size)
    elif texts:
        batches = _batches(list(texts), batch_size)
    else:
        batches = _stdin_batches(batch_size)
    if output is None:
        _predict(classifier, batches, top_k, as_json, sys.stdout)
        return
    as_json = as_json or output.endswith((".jsonl", ".json"))

    def write(path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="\n") as stream:
            _predict(classifier, batches, top_k, as_json, stream)

    if source or texts:
        replace_file(output, write, "predict")  # complete or not at all
    else:
        write(output)  # grows as the lines come


def _predict(classifier: TextClassifier, batches: Iterable[list[str]], top_k: int, as_json: bool, stream: Any) -> None:
    write = _json_line if as_json else _columns
    row = 0
    bare = not classifier.dataset([""]).lengths[0]  # a tokenizer that adds nothing leaves some texts without a token
    for texts in batches:
        if bare and 0 in (lengths := classifier.dataset(texts).lengths.tolist()):
            raise ValueError(
                f"[predict] texts: expected at least one token in each for this model, got none in text "
                f"{row + lengths.index(0) + 1}"
            )
        row += len(texts)
        for text, prediction in zip(texts, classifier.predict(texts, top_k)):
            stream.write(write(text, prediction))
        stream.flush()


def _json_line(text: str, prediction: Prediction) -> str:
    record: dict[str, Any] = {"text": text, "label": prediction.label, "probability": round(prediction.probability, 6)}
    if len(prediction.labels) > 1:
        pairs = zip(prediction.labels, prediction.probabilities)
        record["top"] = [{"label": label, "probability": round(p, 6)} for label, p in pairs]
    return json.dumps(record, ensure_ascii=False) + "\n"


def _columns(text: str, prediction: Prediction) -> str:
    pairs = (f"{label}\t{p:.4f}" for label, p in zip(prediction.labels, prediction.probabilities))
    return "\t".join([*pairs, " ".join(text.split())]) + "\n"


def _batches(texts: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def _stdin_batches(size: int) -> Iterator[list[str]]:
    """Lines of standard input in batches of what has arrived, so that a slow writer gets each answer at once."""
    raw = sys.stdin.buffer
    read = raw.raw.read if isinstance(raw, io.BufferedReader) else raw.read
    rest = b""
    while chunk := read(1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from _batches([_line(line) for line in lines], size)
    if rest:
        yield [_line(rest)]


def _line(line: bytes) -> str:
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError:
        raise ValueError(f"[predict] standard input: expected UTF-8, got {line[:40]!r}") from None


# --- info ------------------------------------------------------------------------------------------------------------


@cli.command(short_help="Show versions, instruction set, threads, memory, kernels.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_threads_option
def info(as_json: bool) -> None:
    """Show versions, the instruction set chosen and why, threads, memory and kernels.

    \b
    Example:
      engine info
      ENGINE_CPU_ISA=baseline engine info
    """
    from engine import _core
    from engine.train.report import environment, peak_memory_bytes

    about = environment()
    devices = _cuda_devices()
    memory = _core.memory_stats()
    isas = _core.cpu_isas()
    kernels = sorted(name for name in dir(_core.kernels) if not name.startswith("_"))
    extras = {extra: _installed(packages) for extra, packages in _EXTRAS.items()}
    if as_json:
        about.update(
            cpu_isa_reason=_core.cpu_isa_reason(),
            cpu_isas=isas,
            memory=memory,
            kernels=kernels,
            extras=extras,
            cuda={"devices": devices, "why_unavailable": engine.cuda.why_unavailable()},
        )
        click.echo(json.dumps(about, indent=2))
        return
    limit = memory["limit_bytes"]
    rows = [
        ("versions", ", ".join(f"{name} {version}" for name, version in about["versions"].items())),
        ("system", f"{about['system']}, {about['machine']}"),
        ("instruction set", f"{about['cpu_isa']} ({_core.cpu_isa_reason()})"),
        ("built for", ", ".join(f"{i['name']}{'' if i['supported'] else ' (not on this machine)'}" for i in isas)),
        ("threads", str(about["threads"])),
        ("memory", f"{memory['allocated_bytes'] / 2**20:.1f} MiB in arrays, {memory['reserved_bytes'] / 2**20:.1f} MiB "
                   f"held, limit {f'{limit / 2**20:.0f} MiB' if limit else 'none'}, process peak "
                   f"{peak_memory_bytes() / 2**20:.0f} MiB"),
        *([(f"cuda:{n}", f"{d['name']}, compute capability {d['major']}.{d['minor']}, {d['multi_processor_count']} "
                         f"multiprocessors, {d['total_memory'] / 2**30:.1f} GiB") for n, d in enumerate(devices)]
          or [("cuda", f"none: {engine.cuda.why_unavailable()}")]),
        ("kernels", str(len(kernels))),
        ("extras", ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in extras.items())),
    ]  # fmt: skip
    for name, value in rows:
        click.echo(f"{name + ':':<17}{value}")


def _cuda_devices() -> list[dict[str, Any]]:
    return [engine.cuda.get_device_properties(n)._asdict() for n in range(engine.cuda.device_count())]


_EXTRAS = {"text": ("tokenizers",), "cli": ("click", "tqdm", "tokenizers"), "plot": ("matplotlib",)}


def _installed(packages: tuple[str, ...]) -> bool:
    from importlib.util import find_spec

    return all(find_spec(package) is not None for package in packages)
