"""From files of raw text to a pretrained encoder, a run folder and a report: what `engine pretrain` does.

The run folder holds
    run.json             files and their hashes, settings, versions, seed
    config.json, model.safetensors, tokenizer.json, tokenizer_config.json    the best model, as other libraries open it
    log.jsonl            a line each `log_every` steps, evaluation and epoch
    checkpoints/         what is needed to go on
    report.json, report.md, report.html, curves.png
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import engine
from engine.device import number_of
from engine.hub import resolve
from engine.models import BertForMaskedLM, TransformerConfig
from engine.runs.facts import environment, memory_facts, model_facts, training_facts
from engine.runs.judge import write_report
from engine.runs.runfolder import (
    FORMAT,
    check_output,
    find_file,
    load_tokenizer,
    locked,
    read_run,
    remove_run,
    sha256_of,
)
from engine.serialization import write_json
from engine.tasks.masked import evaluate_masked
from engine.text import PackedBatch, Tokenizer
from engine.text.corpus import Document, Packing, TextCorpus, read_texts
from engine.text.masking import MaskedLanguageModeling
from engine.train.callbacks import Callback
from engine.train.checkpoint import latest_checkpoint
from engine.train.config import TrainerConfig
from engine.train.trainer import Trainer

__all__ = ["format_pretraining", "pretrain", "resume_pretraining"]

TASK = "masked-language-modeling"
_VOCABULARY_CHARACTERS = 2**26  # a vocabulary is learned from the beginning of more text than this
DEFAULTS = TrainerConfig(epochs=10, batch_size=None, max_tokens=4096, lr=5e-4, metric="loss")


@dataclass(frozen=True)
class _Text:
    """Which text is read, and how; as in `pretrain`."""

    files: tuple[str, ...]
    held_out: tuple[str, ...]
    held_out_fraction: float
    held_out_tokens: int
    document: Document
    text_key: str
    errors: Literal["strict", "replace"]
    packing: Packing
    max_length: int
    shuffle_characters: int
    p: float
    whole_word: bool

    def __post_init__(self) -> None:
        if not 0 <= self.held_out_fraction < 1:
            raise ValueError(f"[pretrain] held_out_fraction: expected a number in [0, 1), got {self.held_out_fraction}")
        if self.held_out_tokens < 1:
            raise ValueError(f"[pretrain] held_out_tokens: expected at least 1, got {self.held_out_tokens}")

    @property
    def all_files(self) -> list[str]:
        return list(dict.fromkeys([*self.files, *self.held_out]))

    def part(self, held_out: bool = False) -> tuple[tuple[str, ...], tuple[float, float]]:
        """The files to train on or to judge by, and the part of their documents."""
        if self.held_out or not self.held_out_fraction:
            return self.held_out if held_out else self.files, (0.0, 1.0)
        edge = 1 - self.held_out_fraction
        return self.files, (edge, 1.0) if held_out else (0.0, edge)

    def corpus(self, tokenizer: Tokenizer, settings: TrainerConfig, held_out: bool = False) -> TextCorpus:
        """The text to train on, or that held out, which is the same for every seed."""
        files, part = self.part(held_out)
        return TextCorpus(
            files, tokenizer, self.max_length, packing=self.packing, batch_size=settings.batch_size,
            max_tokens=settings.max_tokens, document=self.document, text_key=self.text_key, errors=self.errors,
            seed=0 if held_out else settings.seed, part=part, shuffle_characters=self.shuffle_characters,
        )  # fmt: skip

    def masking(self, tokenizer: Tokenizer, seed: int = 0) -> MaskedLanguageModeling:
        return MaskedLanguageModeling.of(tokenizer, self.p, seed, self.whole_word)

    def judged(self, tokenizer: Tokenizer, settings: TrainerConfig) -> list[PackedBatch] | None:
        """Batches of held-out text, masked once and for all; None: nothing is held out."""
        if not (self.held_out or self.held_out_fraction):
            return None
        masking, batches, tokens = self.masking(tokenizer), [], 0
        try:
            for number, batch in enumerate(self.corpus(tokenizer, settings, held_out=True)):
                batches.append(masking(batch, number))
                tokens += batch.total_tokens
                if tokens >= self.held_out_tokens:
                    break
        except ValueError as error:
            if "at least one text" not in str(error):
                raise
            name = "held_out" if self.held_out else "held_out_fraction"
            raise ValueError(
                f"[pretrain] {name}: expected a text to hold out, got none (is the file one document?)"
            ) from None
        return batches


def pretrain(
    files: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    trainer: TrainerConfig | None = None,
    model: Mapping[str, Any] | None = None,
    init: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    vocab_size: int = 8000,
    max_length: int = 128,
    document: Document = "block",
    packing: Packing = "full",
    text_key: str = "text",
    errors: Literal["strict", "replace"] = "strict",
    shuffle_characters: int = 2**24,
    held_out: Iterable[str | os.PathLike[str]] = (),
    held_out_fraction: float = 0.05,
    held_out_tokens: int = 2**17,
    p: float = 0.15,
    whole_word: bool = False,
    progress: bool = False,
    overwrite: bool = False,
    callbacks: tuple[Callback, ...] = (),
) -> dict[str, Any]:
    """Pretrain an encoder on raw text by masked language modelling, and write the run folder.

    From scratch by sizes, or on from a published checkpoint (`init`), to adapt it to other text. The folder opens with
    `BertForMaskedLM.from_pretrained`, and as the start of any other head; `transformers` opens it as well.

    Args:
        files: raw text (.txt or any name), JSON Lines (.jsonl), either compressed (.gz); streamed, see `TextCorpus`.
        output: the run folder; must be new, or empty.
        trainer: the settings of the training; batch_size and max_tokens are those of the batches. Without `max_steps` the text is
            read once to count the batches of an epoch. The figures of an evaluation are "loss", "perplexity" and
            "accuracy", of hidden tokens. None: 10 epochs of batches of 4096 tokens, lr 5e-4, the model with the lowest loss.
        model: fields of `TransformerConfig`, such as hidden_size, num_hidden_layers; beside `init` only those that change no weight.
        init: a directory (or a name on the Hugging Face hub) of a published encoder to go on from.
        tokenizer: a vocab.txt, a tokenizer.json, or a folder with one. None: that of `init`; without it WordPiece, lower-case,
            learned from the training text.
        vocab_size: of a learned tokenizer, at most.
        max_length: the most tokens in a sequence.
        document, packing, text_key, errors, shuffle_characters: as in `TextCorpus`.
        held_out: files to judge the model by. Empty: a part of the documents of `files`, chosen by their text.
        held_out_fraction: that part; 0: nothing is held out, and the last weights are kept.
        held_out_tokens: held-out text after which an evaluation ends, or a batch more; it is masked once, in the same way for all
            seeds.
        p, whole_word: as in `MaskedLanguageModeling`.
        progress: show a progress bar on standard error.
        overwrite: remove an earlier run in `output` first.
        callbacks: for the `Trainer`.

    Returns:
        The report, as in report.json.

    Raises:
        FileNotFoundError, ValueError, TypeError: on files that are missing, empty or damaged, a tokenizer that does not fit, and on
            settings out of range; nothing is written then.
        FileExistsError: if `output` is not empty.
        BlockingIOError: if another training works in `output`.
    """
    folder, settings = Path(output), trainer or DEFAULTS
    if isinstance(files, (str, os.PathLike)) or isinstance(held_out, (str, os.PathLike)):
        raise TypeError("[pretrain] files: expected lists of files, got one path")
    text = _Text(
        tuple(os.fspath(path) for path in files), tuple(os.fspath(path) for path in held_out), held_out_fraction, held_out_tokens, document,
        text_key, errors, packing, max_length, shuffle_characters, p, whole_word,
    )  # fmt: skip
    check_output(folder, overwrite)
    start = None if init is None else resolve(init, "pretrain")
    words = _tokenizer(text, tokenizer or start, vocab_size)
    batches = text.judged(words, settings)
    an_epoch = None
    if settings.max_steps is None:
        an_epoch = _count_steps(text.corpus(words, settings), settings)
        settings = replace(settings, max_steps=settings.epochs * an_epoch)
    if settings.device is not None:
        number_of(settings.device)  # refused before anything is written
    engine.manual_seed(settings.seed)  # the initial weights
    made = _model(words, max_length, start, dict(model or {}))
    run = {
        "format": FORMAT,
        "task": TASK,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": settings.seed,
        "data": {
            **asdict(text),
            "sha256": {path: sha256_of(path) for path in text.all_files},
            "absolute": {path: os.path.abspath(path) for path in text.all_files},  # to resume from another folder
        },
        "start": {} if start is None else {"init": os.path.abspath(start), "sha256": _hashes(start)},
        "model": made.config.to_dict(),
        "steps_an_epoch": an_epoch,
        "trainer": settings.to_dict(),
        "environment": environment(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        check_output(folder, overwrite)  # again: another training may have begun here in the meantime
        if overwrite:
            remove_run(folder)
        words.save(folder)
        write_json(folder / "config.json", {"architectures": [made.architecture], **made.config.to_dict()})
        write_json(folder / "run.json", run)
        return _train(folder, text, words, made, settings, batches, progress, False, callbacks)


def resume_pretraining(
    output: str | os.PathLike[str], *, progress: bool = False, callbacks: tuple[Callback, ...] = ()
) -> dict[str, Any]:
    """Go on with a run that was broken off, from its last checkpoint; the result has the bits of an uninterrupted run.

    Raises:
        FileNotFoundError, ValueError: if the folder is no such run, or a file it began with is gone or has changed.
        BlockingIOError: if another training works in the folder.
    """
    folder = Path(output)
    run = read_run(folder)
    if run.get("task") != TASK:
        raise ValueError(f"[resume] output: expected a run of {TASK} in {folder}, got one of {run.get('task')}")
    try:
        values = dict(run["data"])
        hashes, absolute = values.pop("sha256"), values.pop("absolute")
        text = _Text(**{**values, "files": tuple(values["files"]), "held_out": tuple(values["held_out"])})
        settings = TrainerConfig.from_dict(run["trainer"])
        config, start = TransformerConfig.from_dict(run["model"]), run["start"]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"[resume] output: expected a whole run.json in {folder}, got one that lacks {error}"
        ) from None
    with locked(folder):
        found = {path: find_file(path, absolute.get(path, path), hashes.get(path)) for path in text.all_files}
        files, held_out = (tuple(found[path] for path in paths) for paths in (text.files, text.held_out))
        text = replace(text, files=files, held_out=held_out)
        words = Tokenizer.from_pretrained(folder)
        engine.manual_seed(settings.seed)
        made = BertForMaskedLM(config)
        if start and latest_checkpoint(folder / "checkpoints") is None:
            if _hashes(start["init"]) != start["sha256"]:
                raise ValueError(f"[resume] init: expected {start['init']} as the run began with, got other weights")
            engine.manual_seed(settings.seed)  # as in the first run, for what the directory lacks
            source = BertForMaskedLM.from_pretrained(start["init"])
            made.load_state_dict(source.state_dict())
        batches = text.judged(words, settings)
        return _train(folder, text, words, made, settings, batches, progress, True, callbacks)


# --- the parts of a run ----------------------------------------------------------------------------------------------


def _hashes(folder: str) -> dict[str, str]:
    """SHA-256 of the weights in a folder, by file."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(".safetensors"))
    return {name: sha256_of(os.path.join(folder, name)) for name in names}


def _tokenizer(text: _Text, path: Any, vocab_size: int) -> Tokenizer:
    if path is not None:
        words = load_tokenizer(path)
    else:
        files, part = text.part()
        texts = read_texts(files, text.document, text_key=text.text_key, errors=text.errors, part=part)
        words = Tokenizer.train(_beginning(texts, _VOCABULARY_CHARACTERS), vocab_size)
    words.model_max_length = text.max_length
    return words


def _beginning(texts: Iterable[str], characters: int) -> Iterator[str]:
    for text in texts:
        yield text
        characters -= len(text)
        if characters <= 0:
            return


def _count_steps(corpus: TextCorpus, settings: TrainerConfig) -> int:
    """Steps of the first epoch; the others have as many, give or take a few."""
    return -(-sum(1 for _ in corpus) // settings.gradient_accumulation_steps)


def _model(tokenizer: Tokenizer, max_length: int, init: str | None, sizes: dict[str, Any]) -> BertForMaskedLM:
    if init is None:
        decided = {"vocab_size": tokenizer.vocab_size, "pad_token_id": tokenizer.pad_token_id}
        defaults = {"model_type": "bert", "type_vocab_size": 2, "max_position_embeddings": max_length}
        model = BertForMaskedLM(TransformerConfig(**{**defaults, **sizes, **decided}))
    else:
        model = BertForMaskedLM.from_pretrained(init, **sizes)
    config = model.config
    if max_length > config.max_length:
        raise ValueError(
            f"[pretrain] max_length: expected at most the model's {config.max_length} tokens, got {max_length}"
        )
    if tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"[pretrain] tokenizer: expected at most the model's {config.vocab_size} tokens, got {tokenizer.vocab_size}"
        )
    return model


def _loss(model: Any, batch: PackedBatch) -> Any:
    return model.loss(batch)


def _train(
    folder: Path,
    text: _Text,
    tokenizer: Tokenizer,
    model: BertForMaskedLM,
    settings: TrainerConfig,
    held_out: list[PackedBatch] | None,
    progress: bool,
    resume: bool,
    callbacks: tuple[Callback, ...],
) -> dict[str, Any]:
    started = time.perf_counter()
    trainer = Trainer(
        model,
        settings,
        text.corpus(tokenizer, settings),
        held_out,
        output=folder,
        progress=progress,
        callbacks=callbacks,
        transform=text.masking(tokenizer, settings.seed),
        compute_loss=_loss,
        evaluate_fn=evaluate_masked,
    )
    state = trainer.train(resume)
    model.save_pretrained(folder)
    an_epoch = read_run(folder)["steps_an_epoch"]
    report: dict[str, Any] = {
        "seed": settings.seed,
        "task": TASK,
        "data": {
            "files": len(text.files),
            "bytes": sum(os.path.getsize(path) for path in text.files),
            "held_out_tokens": sum(batch.total_tokens for batch in held_out or ()),
            "packing": text.packing,
            "max_length": text.max_length,
        },
        "model": model_facts(model),
        "training": {**training_facts(state), **({"epochs": state.step // an_epoch} if an_epoch else {})},
    }
    if held_out is not None:
        report["held_out"] = trainer.evaluate(held_out)
    report["memory"] = memory_facts()
    report["environment"] = environment(trainer.device)
    report["wall_seconds"] = time.perf_counter() - started
    return write_report(report, folder, format_pretraining)


def format_pretraining(report: Mapping[str, Any]) -> str:
    """The report of `pretrain` as Markdown; the held-out perplexity is its very last line."""
    training, model, data = report["training"], report["model"], report["data"]
    lines = [
        "# Pretraining report",
        "",
        f"{data['bytes'] / 1e6:,.1f} MB of text in {data['files']} files, {data['held_out_tokens']:,} tokens held out; "
        f"sequences of at most {data['max_length']} tokens, packing {data['packing']!r}; "
        f"{model['layers']} layers of {model['hidden_size']}, {model['heads']} heads, "
        f"{model['parameters']:,} parameters, vocabulary of {model['vocab_size']:,}; seed {report['seed']}.",
        "",
        f"- epochs: {training['epochs']}, steps: {training['steps']}",
        f"- training: {training['tokens']:,} tokens in {training['seconds']:.1f} s, "
        f"{training['tokens_per_second']:,.0f} tokens/s on {report['environment']['threads']} threads "
        f"({report['environment']['cpu_isa']})",
        f"- padding saved: {training['padding_saved']:.1%} of the cells that batches padded to their longest sequence hold",
        f"- peak memory: {report['memory']['peak_resident_bytes'] / 2**20:,.0f} MiB resident, "
        f"{report['memory']['peak_array_bytes'] / 2**20:,.0f} MiB of it arrays",
    ]
    if report.get("curves"):
        lines += ["", f"![curves]({report['curves']})"]
    if "held_out" in report:
        figures = report["held_out"]
        lines += [
            "",
            f"held out, of hidden tokens: loss {figures['loss']:.4f}, accuracy {figures['accuracy']:.4f}, best at step "
            f"{training['best_step']}",
            "",
            f"held-out perplexity {figures['perplexity']:.3f}",
        ]
    return "\n".join(lines) + "\n"
