"""From files of raw text to a pretrained encoder, a run folder and a report: what `engine pretrain` does.

Beside what all runs have (`run.py`) the folder holds config.json, tokenizer.json and tokenizer_config.json, so that other libraries
open it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from engine import manual_seed
from engine.errors import BadType, BadValue
from engine.models import TransformerConfig
from engine.runs.folder import check_output, file_record, find_files, load_tokenizer
from engine.runs.run import Run
from engine.runs.start import StartConfig
from engine.tasks import MaskedLM, Part
from engine.text import MaskedLanguageModeling, PackedBatch, TextCorpus, Tokenizer, read_texts
from engine.text.corpus import Packing
from engine.text.documents import Document
from engine.train import Callback, TrainerConfig, TrainerState

__all__ = ["CorpusData", "PretrainingRun", "pretrain"]

_VOCABULARY_CHARACTERS = 2**26  # a vocabulary is learned from the beginning of more text than this
DEFAULTS = TrainerConfig(epochs=10, batch_size=None, max_tokens=4096, lr=5e-4)


@dataclass(frozen=True)
class CorpusData:
    """Which text a pretraining reads, and how. The fields are described in `pretrain`."""

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
    tokenizer: str | None
    vocab_size: int

    def __post_init__(self) -> None:
        for name in ("files", "held_out"):
            paths = getattr(self, name)
            if isinstance(paths, (str, os.PathLike)):
                raise BadType("pretrain", name, "a list of files", f"the path {os.fspath(paths)!r}")
            object.__setattr__(self, name, tuple(os.fspath(path) for path in paths))  # JSON knows no tuples
        if self.tokenizer is not None and self.vocab_size != 8000:
            raise BadValue("pretrain", "vocab_size", "no value beside tokenizer, which has its own", self.vocab_size)
        if self.held_out and self.held_out_fraction != 0.05:
            raise BadValue("pretrain", "held_out_fraction", "no value beside held_out", self.held_out_fraction)
        if not 0 <= self.held_out_fraction < 1:
            raise BadValue("pretrain", "held_out_fraction", "a number in [0, 1)", self.held_out_fraction)
        if self.held_out_tokens < 1:
            raise BadValue("pretrain", "held_out_tokens", "at least 1", self.held_out_tokens)

    @property
    def all_files(self) -> list[str]:
        """All files, each once."""
        return list(dict.fromkeys([*self.files, *self.held_out]))

    def part(self, held_out: bool = False) -> tuple[tuple[str, ...], tuple[float, float]]:
        """The files to train on or to judge by, and the part of their documents."""
        if self.held_out or not self.held_out_fraction:
            return self.held_out if held_out else self.files, (0.0, 1.0)
        edge = 1 - self.held_out_fraction
        return self.files, (edge, 1.0) if held_out else (0.0, edge)

    def texts(self, held_out: bool = False) -> Iterator[str]:
        """The documents to train on, or those held out."""
        files, part = self.part(held_out)
        return iter(read_texts(files, self.document, text_key=self.text_key, errors=self.errors, part=part))

    def _refuse_no_text(self, held_out: bool = False) -> None:
        """Raises ValueError if a side of the split has no document."""
        if next(self.texts(held_out), None) is None:
            name = (
                "held_out" if self.held_out and held_out else "held_out_fraction" if self.held_out_fraction else "files"
            )
            expected = "a document to hold out" if held_out else "a document to train on"
            raise BadValue(
                "pretrain", name, expected, "none", f"document={self.document!r} decides what one document is"
            )

    def corpus(self, tokenizer: Tokenizer, settings: TrainerConfig, held_out: bool = False) -> TextCorpus:
        """The text to train on, or that held out, which is the same for every seed."""
        files, part = self.part(held_out)
        return TextCorpus(
            files, tokenizer, self.max_length, packing=self.packing, batch_size=settings.batch_size,
            max_tokens=settings.max_tokens, document=self.document, text_key=self.text_key, errors=self.errors,
            seed=0 if held_out else settings.seed, part=part, shuffle_characters=self.shuffle_characters,
        )  # fmt: skip

    def judged(
        self, tokenizer: Tokenizer, settings: TrainerConfig, masking: MaskedLanguageModeling
    ) -> list[PackedBatch] | None:
        """Batches of held-out text, masked once and for all; None: nothing is held out."""
        if not (self.held_out or self.held_out_fraction):
            return None
        self._refuse_no_text(held_out=True)
        batches, tokens = [], 0
        for number, batch in enumerate(self.corpus(tokenizer, settings, held_out=True)):
            batches.append(masking(batch, number))
            tokens += batch.total_tokens
            if tokens >= self.held_out_tokens:
                break
        return batches

    def moved(self, places: Mapping[str, str]) -> CorpusData:
        """The same with files where they now lie."""
        files, held_out = (tuple(places[path] for path in paths) for paths in (self.files, self.held_out))
        return replace(self, files=files, held_out=held_out)

    def words(self, source: str | None) -> Tokenizer:
        """The tokenizer: of `source`, or learned from the beginning of the text."""
        self._refuse_no_text()
        if source is not None:
            words = load_tokenizer(source)
        else:
            words = Tokenizer.train(_beginning(self.texts(), _VOCABULARY_CHARACTERS), self.vocab_size)
        words.model_max_length = self.max_length
        return words


def _beginning(texts: Iterable[str], characters: int) -> Iterator[str]:
    for text in texts:
        yield text
        characters -= len(text)
        if characters <= 0:
            return


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
    check_output(Path(output), overwrite)
    data = CorpusData(
        tuple(files) if not isinstance(files, (str, os.PathLike)) else files,  # type: ignore[arg-type]
        tuple(held_out) if not isinstance(held_out, (str, os.PathLike)) else held_out,  # type: ignore[arg-type]
        held_out_fraction, held_out_tokens, document, text_key, errors, packing, max_length, shuffle_characters,
        None if tokenizer is None else os.fspath(tokenizer), vocab_size,
    )  # fmt: skip
    start = StartConfig(init=None if init is None else os.fspath(init), sizes=model or {})
    run = PretrainingRun.begin(data, {"p": p, "whole_word": whole_word}, start, trainer or DEFAULTS)
    return run.train(output, overwrite=overwrite, progress=progress, callbacks=callbacks)


class PretrainingRun(Run):
    """Masked language modelling on raw text. Make one with `begin`."""

    kind = "pretraining"

    def __init__(
        self,
        data: CorpusData,
        masking: Mapping[str, Any],
        start: StartConfig,
        trainer: TrainerConfig,
        tokenizer: Tokenizer,
        config: TransformerConfig | None = None,
        steps_an_epoch: int | None = None,
        weights: bool = True,
    ) -> None:
        self.data, self.start, self.tokenizer, self.steps_an_epoch = data, start, tokenizer, steps_an_epoch
        task = MaskedLM(MaskedLanguageModeling.of(tokenizer, **masking, seed=trainer.seed))
        held_out = data.judged(tokenizer, trainer, MaskedLanguageModeling.of(tokenizer, **masking))
        corpus = data.corpus(tokenizer, trainer)
        if config is None:
            config = start.config(task, tokenizer, data.max_length)
        if trainer.max_steps is None and steps_an_epoch is None:  # of the first epoch; the others have about as many
            self.steps_an_epoch = -(-sum(1 for _ in corpus) // trainer.gradient_accumulation_steps)
            corpus = data.corpus(tokenizer, trainer)
        manual_seed(trainer.seed)  # the initial weights
        model, self.new = start.build(config, task, weights)
        parts = {"train": Part(corpus)} | ({} if held_out is None else {"held_out": Part(held_out)})
        super().__init__(model, task, trainer, parts)

    @classmethod
    def begin(
        cls, data: CorpusData, masking: Mapping[str, Any], start: StartConfig, trainer: TrainerConfig
    ) -> PretrainingRun:
        """Reads the held-out text and makes the tokenizer and the model. Nothing is written."""
        return cls(data, masking, start, trainer, data.words(data.tokenizer or start.folder()))

    @classmethod
    def begun(cls, folder: Path, record: Mapping[str, Any], fresh: bool) -> PretrainingRun:
        """The run that a folder's run.json records; fresh: it has no checkpoint, so its weights are those that it began with."""
        values = dict(record["data"])
        hashes, absolute = values.pop("sha256"), values.pop("absolute")
        data = CorpusData(**values)
        start = StartConfig.begun(record["start"], fresh)
        masking = {name: record["task"][name] for name in ("p", "whole_word")}
        return cls(
            data.moved(find_files(data.all_files, hashes, absolute)), masking, start,
            TrainerConfig.from_dict(record["trainer"]), Tokenizer.from_pretrained(folder),
            TransformerConfig.from_dict(record["model"]), record["steps_an_epoch"], fresh,
        )  # fmt: skip

    def record(self) -> dict[str, Any]:
        return {
            "task": self.task.settings(),
            "data": {**asdict(self.data), **file_record(self.data.all_files)},
            "start": {**self.start.record(), "initial_values": self.new},
            "steps_an_epoch": self.steps_an_epoch,
        }

    def save(self, folder: Path) -> None:
        self.tokenizer.save(folder)

    def _trainer_config(self) -> TrainerConfig:
        """The corpus makes the batches, and its epochs are counted in steps."""
        given = self.trainer
        steps = given.max_steps or (given.epochs or 1) * (self.steps_an_epoch or 1)
        return replace(given, batch_size=TrainerConfig.batch_size, max_tokens=None, epochs=None, max_steps=steps)

    def facts(self) -> dict[str, Any]:
        data = self.data
        size = sum(os.path.getsize(path) for path in data.files)
        held_out = self.parts.get("held_out", Part(())).dataset
        tokens = sum(batch.total_tokens for batch in held_out)
        description = (
            f"{size / 1e6:,.1f} MB of text in {len(data.files)} files, {tokens:,} tokens held out, "
            f"sequences of at most {data.max_length} tokens, packing {data.packing!r}"
        )
        return {
            "files": len(data.files),
            "bytes": size,
            "held_out_tokens": tokens,
            "packing": data.packing,
            "max_length": data.max_length,
            "description": description,
        }

    def training_facts(self, state: TrainerState) -> dict[str, Any]:
        facts = super().training_facts(state)
        return {**facts, "epochs": state.step // self.steps_an_epoch} if self.steps_an_epoch else facts
