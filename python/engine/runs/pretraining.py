"""From files of raw text to a pretrained encoder, a run folder and a report: what `engine pretrain` does.

In addition to the files of all runs (`run.py`), the folder holds config.json, tokenizer.json and tokenizer_config.json, so that
other libraries can open it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from engine import manual_seed
from engine.errors import Argument, amount, require
from engine.models import TransformerConfig
from engine.runs.folder import (
    check_output,
    file_record,
    find_files,
    load_tokenizer,
    reading,
    recorded,
    recorded_model,
    tokenizer_of,
)
from engine.runs.run import Run
from engine.runs.start import StartConfig, check_types
from engine.settings import Settings
from engine.tasks import MaskedLM, Part
from engine.text import MaskedLanguageModeling, PackedBatch, TextCorpus, Tokenizer, read_texts
from engine.text.corpus import Packing
from engine.text.documents import Document, has_rows
from engine.text.files import DecodeErrors
from engine.train import Callback, TrainerConfig, TrainerState

__all__ = ["CorpusData", "PretrainingRun", "pretrain"]

_VOCABULARY_CHARACTERS = 2**26  # a vocabulary is learned from the first so many characters
DEFAULTS = TrainerConfig(epochs=10, batch_size=None, max_tokens=4096, lr=5e-4)


@dataclass(frozen=True)
class CorpusData(Settings):
    """Which text a pretraining reads, and how. The fields are described in `pretrain`."""

    files: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    held_out_fraction: float = 0.05
    held_out_tokens: int = 2**17
    document: Document = "block"
    text_key: str = "text"
    errors: DecodeErrors = "strict"
    packing: Packing = "full"
    max_length: int = 128
    shuffle_characters: int = 2**24
    tokenizer: str | None = None
    vocab_size: int = 8000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokenizer is not None:
            self.refuse((Argument("tokenizer"), " has a vocabulary"), "vocab_size")
        if self.held_out:
            self.refuse((Argument("held_out"), " has the held-out text"), "held_out_fraction")
        elif not self.held_out_fraction:
            self.refuse("nothing is held out", "held_out_tokens")
        self.require("held_out_fraction", 0 <= self.held_out_fraction < 1, "a number in [0, 1)")
        for name, least in (("held_out_tokens", 1), ("max_length", 3), ("shuffle_characters", 1), ("vocab_size", 1)):
            self.require(name, getattr(self, name) >= least, f"at least {least}")
        for name, kind in (("document", Document), ("errors", DecodeErrors), ("packing", Packing)):
            known = get_args(kind)
            self.require(name, getattr(self, name) in known, f"one of {', '.join(map(repr, known))}")
        in_rows = [has_rows(str(path)) for path in self.all_files]
        if not any(in_rows):
            self.refuse("no file is JSON Lines or a table", "text_key")
        lone = self.document != "file" or not in_rows or not all(in_rows)
        self.require("document", lone, "'line' or 'block', because each row of JSON Lines and tables is a document")

    @property
    def all_files(self) -> list[str]:
        """All files, each once."""
        return list(dict.fromkeys([*self.files, *self.held_out]))

    @property
    def splits(self) -> bool:
        """Whether a part of the documents of `files` is held out."""
        return bool(self.held_out_fraction and not self.held_out)

    def part(self, held_out: bool = False) -> tuple[tuple[str, ...], tuple[float, float]]:
        """The files to train on or to judge by, and the part of their documents."""
        if not self.splits:
            return self.held_out if held_out else self.files, (0.0, 1.0)
        edge = 1 - self.held_out_fraction
        return self.files, (edge, 1.0) if held_out else (0.0, edge)

    def texts(self, held_out: bool = False) -> Iterator[str]:
        """The documents to train on, or the held-out ones."""
        files, part = self.part(held_out)
        return iter(read_texts(files, self.document, text_key=self.text_key, errors=self.errors, part=part))

    def _refuse_no_text(self, held_out: bool = False) -> None:
        """Raises ValueError if there is no document to train on, or to hold out."""
        name = "held_out_fraction" if self.splits else "held_out" if held_out else "files"
        expected = "a document to hold out" if held_out else "a document to train on"
        hint = (Argument("document"), f" decides what one document is, and is {self.document!r}")
        require(next(self.texts(held_out), None) is not None, "pretrain", name, expected, "none", hint)

    def corpus(self, tokenizer: Tokenizer, settings: TrainerConfig, held_out: bool = False) -> TextCorpus:
        """The text to train on, or the held-out text, which comes in the same order for every seed."""
        files, part = self.part(held_out)
        return TextCorpus(
            files, tokenizer, self.max_length, packing=self.packing, batch_size=settings.batch_size,
            max_tokens=settings.max_tokens, document=self.document, text_key=self.text_key, errors=self.errors,
            seed=0 if held_out else settings.seed, part=part, shuffle_characters=self.shuffle_characters,
        )  # fmt: skip

    def judged(
        self, tokenizer: Tokenizer, settings: TrainerConfig, masking: MaskedLanguageModeling
    ) -> list[PackedBatch] | None:
        """Batches of held-out text, which are masked here and not again; None: nothing is held out."""
        if not (self.held_out or self.splits):
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
        """The same settings with the present paths of the files: places gives the path of each."""
        files, held_out = (tuple(places[path] for path in paths) for paths in (self.files, self.held_out))
        return replace(self, files=files, held_out=held_out)

    def words(self, source: str | None) -> Tokenizer:
        """The tokenizer in `source`; None: one that is learned from the beginning of the text."""
        self._refuse_no_text()
        if source is not None:
            words = load_tokenizer(source, "pretrain", "tokenizer" if self.tokenizer else "init")
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
    errors: DecodeErrors = "strict",
    shuffle_characters: int = 2**24,
    held_out: Iterable[str | os.PathLike[str]] = (),
    held_out_fraction: float = 0.05,
    held_out_tokens: int = 2**17,
    p: float = 0.15,
    whole_word: bool = False,
    progress: bool = False,
    overwrite: bool = False,
    keep_checkpoints: bool = False,
    callbacks: tuple[Callback, ...] = (),
) -> dict[str, Any]:
    """Pretrains an encoder on raw text by masked language modelling, and writes the run folder.

    The encoder starts from scratch (`model`), or from a published checkpoint (`init`), to adapt it to other text. The folder opens
    with `BertForMaskedLM.from_pretrained`, with any other head, and with `transformers`.

    Args:
        files: raw text (.txt or any other name) or JSON Lines (.jsonl), also compressed (.gz). They are streamed, see `TextCorpus`.
        output: the run folder; must be new, or empty.
        trainer: the settings of the training; batch_size and max_tokens are limits of its batches. Without `max_steps` the text is
            read once to count the batches of an epoch. The figures of an evaluation are "loss", "perplexity" and
            "accuracy", of hidden tokens. None: 10 epochs of batches of 4096 tokens, lr 5e-4, the model with the lowest loss.
        model: fields of `TransformerConfig`, such as hidden_size, num_hidden_layers. With `init`, only those that change no weight.
        init: a directory of a published encoder to start from, or its name on the Hugging Face hub.
        tokenizer: a vocab.txt, a tokenizer.json, or a folder with one. None: that of `init`; without `init`, a lower-case WordPiece
            tokenizer is learned from the training text.
        vocab_size: the most tokens of a learned tokenizer.
        max_length: the most tokens in a sequence.
        document, packing, text_key, errors, shuffle_characters: as in `TextCorpus`.
        held_out: files to judge the model by. Empty: a part of the documents of `files`, chosen by their text.
        held_out_fraction: the share of this part; 0: nothing is held out, and the last weights are kept.
        held_out_tokens: an evaluation ends with the batch that reaches so many tokens. The held-out text is masked once, and in the
            same way for all seeds.
        p, whole_word: as in `MaskedLanguageModeling`.
        progress: show a progress bar on standard error.
        overwrite: remove an earlier run in `output` first.
        keep_checkpoints: as in `Run.train`.
        callbacks: for the `Trainer`.

    Returns:
        The report, as in report.json.

    Raises:
        FileNotFoundError, ValueError, TypeError: for files that are missing, empty or damaged, a tokenizer that does not fit, and
            settings out of range. Nothing is written then.
        FileExistsError: if `output` is not empty.
        BlockingIOError: if another training works in `output`.
    """
    check_output(Path(output), overwrite)
    paths: Any = {
        "files": files,
        "held_out": held_out,
        "tokenizer": tokenizer,
        "init": init,
    }  # `Settings` makes strings of them
    start = StartConfig(init=paths.pop("init"), sizes={} if model is None else model)
    data = CorpusData(
        **paths, held_out_fraction=held_out_fraction, held_out_tokens=held_out_tokens, document=document, text_key=text_key,
        errors=errors, packing=packing, max_length=max_length, shuffle_characters=shuffle_characters, vocab_size=vocab_size,
    )  # fmt: skip
    run = PretrainingRun.begin(
        data, {"p": p, "whole_word": whole_word}, start, DEFAULTS if trainer is None else trainer
    )
    return run.train(
        output, overwrite=overwrite, progress=progress, keep_checkpoints=keep_checkpoints, callbacks=callbacks
    )  # fmt: skip


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
        if (
            trainer.max_steps is None and steps_an_epoch is None
        ):  # counted in the first epoch; the others have about as many
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
        given = (("data", data, CorpusData), ("start", start, StartConfig), ("trainer", trainer, TrainerConfig))
        check_types("pretrain", given)
        if start.init is not None:
            data.refuse((Argument("init"), " has a tokenizer"), "vocab_size")
        return cls(data, masking, start, trainer, data.words(data.tokenizer or start.folder()))

    @classmethod
    def begun(cls, folder: Path, record: Mapping[str, Any], fresh: bool) -> PretrainingRun:
        """The run that a folder's run.json records. fresh: whether it has no checkpoint, so that its first weights are needed."""
        data = recorded(record, "data", CorpusData, "sha256", "absolute")
        start = StartConfig.begun(record, fresh)
        trainer = recorded(record, "trainer", TrainerConfig)

        def words() -> Tokenizer:
            return found().words(data.tokenizer or start.folder())

        def found() -> CorpusData:
            return data.moved(find_files(data.all_files, record["data"]["sha256"], record["data"]["absolute"]))

        tokenizer = tokenizer_of(folder, fresh, words)
        masking = {name: record["task"][name] for name in ("p", "whole_word")}
        with reading("task"):
            MaskedLanguageModeling.of(tokenizer, **masking)
        config = recorded_model(record, folder)
        steps = record["steps_an_epoch"]
        whole = steps is None or (type(steps) is int and 1 <= steps < 2**53)
        require(whole, "resume", "output", "a whole number as steps_an_epoch in run.json", repr(steps))
        return cls(found(), masking, start, trainer, tokenizer, config, steps, fresh)

    def record(self) -> dict[str, Any]:
        return {
            "data": {**self.data.to_dict(), **file_record(self.data.all_files)},
            "start": {**self.start.record(), "initial_values": self.new},
            "steps_an_epoch": self.steps_an_epoch,
        }

    def save(self, folder: Path) -> None:
        self.tokenizer.save(folder)

    def _trainer_config(self) -> TrainerConfig:
        """The settings of the `Trainer`: the corpus makes the batches, and steps are counted instead of epochs."""
        given = self.trainer
        steps = given.max_steps or (given.epochs or 1) * (self.steps_an_epoch or 1)
        return replace(given, batch_size=TrainerConfig.batch_size, max_tokens=None, epochs=None, max_steps=steps)

    def facts(self) -> dict[str, Any]:
        data = self.data
        size = sum(os.path.getsize(path) for path in data.files)
        held_out = self.parts.get("held_out", Part(())).dataset
        tokens = sum(batch.total_tokens for batch in held_out)
        description = (
            f"{size / 1e6:,.1f} MB of text in {amount(len(data.files), 'file')}, {tokens:,} tokens held out, "
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
