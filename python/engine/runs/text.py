"""From files of labelled texts to a trained model, a run folder and a report: what `engine train` does.

In addition to the files of all runs (`run.py`), the folder holds
    config.json, tokenizer.json, tokenizer_config.json    the model's config and tokenizer, which other libraries can open
    adapter/             with LoRA: the adapters, which `peft` can open. They have a folder of their own, because `transformers` would
                         add them to the merged weights a second time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engine import manual_seed
from engine.errors import Argument, require
from engine.inference import attention_of, explain_examples
from engine.models import TransformerConfig
from engine.nn.lora import merge_lora, save_lora
from engine.runs.folder import (
    check_output,
    file_record,
    find_files,
    load_tokenizer,
    recorded,
    recorded_model,
    tokenizer_of,
)
from engine.runs.plan import AUTOMATIC, Announcement, announcement, choose, counted_labels, few_to_learn
from engine.runs.run import Run
from engine.runs.start import StartConfig, check_types
from engine.runs.textdata import Parts, TextData
from engine.tasks import Part, TaskConfig
from engine.tasks.part_remarks import PART_WORDS, part_remarks
from engine.tasks.remarks import TextLosses
from engine.text import Tokenizer
from engine.train import Callback, HeadStart, Trainer, TrainerConfig
from engine.train.head_start import MOST

__all__ = ["TextRun", "text_plan", "train_text"]


def train_text(
    data: TextData,
    trainer: TrainerConfig,
    output: str | os.PathLike[str],
    *,
    task: TaskConfig | str = "classification",
    start: StartConfig | None = None,
    automatic: Collection[str] = (),
    announce: Callable[[str], None] | None = None,
    overwrite: bool = False,
    progress: bool = False,
    tensorboard: bool = False,
    keep_checkpoints: bool = False,
    callbacks: Iterable[Callback] = (),
    notify: Callable[[str], None] | None = None,
    tables: Mapping[str, Any] = MappingProxyType({}),
    own: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Trains a model for a task on texts, evaluates it, and writes the run folder.

    Args:
        data: the texts.
        trainer: the settings of the training.
        output: the run folder; must be new, or empty.
        task: the task and its settings, or its name.
        start: a published model or sizes, and which parts are trained. None: `StartConfig()`.
        automatic: names of settings that the run chooses by the number of texts and labels if it starts from a published encoder:
            some of `engine.runs.AUTOMATIC`. What the other arguments say of these does not count then.
        announce: gets a text before the first step that says what the run will do, how long that will take, and how much memory.
        overwrite, progress, tensorboard, keep_checkpoints, callbacks: as in `Run.train`.
        notify: called before the training with each sentence about the data that a user should know: texts that are cut, labels that
            look like mistakes, what reading has left out or guessed. The report has them, too.
        tables: tables of files in `data` that need not be read, by their paths.
        own: the caller's own labels by their names, where they differ. If all are numbers or truth values, the model answers with such.

    Returns:
        The report, as in report.json.

    Raises:
        FileNotFoundError, ValueError: for files that are missing, empty, damaged or lack a column; for labels that only the held-out
            or test files have; for settings that are out of range, or that the task does not use. Nothing is written then.
        FileExistsError: if `output` is not empty.
        BlockingIOError: if another training works in `output`.
    """
    check_output(Path(output), overwrite)
    run = _noted(data, trainer, task, start, automatic, notify, tables)
    run.task.own = own
    if announce is not None:
        run.first = (Announcement(run, announce),)
    return run.train(
        output, overwrite=overwrite, progress=progress, tensorboard=tensorboard, keep_checkpoints=keep_checkpoints,
        callbacks=callbacks,
    )  # fmt: skip


def text_plan(
    data: TextData,
    trainer: TrainerConfig,
    *,
    task: TaskConfig | str = "classification",
    start: StartConfig | None = None,
    automatic: Collection[str] = (),
    notify: Callable[[str], None] | None = None,
) -> str:
    """What `train_text` would do with these arguments: the text that it gives to `announce`. Reads the data and measures one step, but
    trains nothing and writes nothing. Raises the same errors as `train_text`."""
    run = _noted(data, trainer, task, start, automatic, notify)
    return announcement(run, run._trainer(Path(), False, False, ()))


def _noted(
    data: TextData,
    trainer: TrainerConfig,
    task: TaskConfig | str,
    start: StartConfig | None,
    automatic: Collection[str],
    notify: Callable[[str], None] | None,
    tables: Mapping[str, Any] = MappingProxyType({}),
) -> TextRun:
    """A new run, after `notify` got its notices."""
    for name in automatic:
        require(name in AUTOMATIC, "train", "automatic", f"some of {', '.join(AUTOMATIC)}", repr(name))
    settings = TaskConfig(task) if isinstance(task, str) else task
    run = TextRun.begin(data, settings, StartConfig() if start is None else start, trainer, automatic, tables)
    for notice in run.notices if notify else ():
        notify(notice)  # type: ignore[misc]
    return run


class TextRun(Run):
    """A task on files of texts. Make one with `begin`."""

    kind = "text"
    first: tuple[Callback, ...] = ()  # called before all others
    chosen: Collection[str] = ()  # the settings that the run has chosen itself

    def __init__(
        self,
        data: TextData,
        settings: TaskConfig,
        start: StartConfig,
        trainer: TrainerConfig,
        parts: Parts,
        tokenizer: Tokenizer,
        config: TransformerConfig,
        weights: bool = True,
    ) -> None:
        self.data, self.settings, self.start, self.tokenizer = data, settings, start, tokenizer
        self.cleaning = parts.cleaning
        task = parts.task
        manual_seed(trainer.seed)  # the initial weights
        model, self.new = start.build(config, task, weights)
        if start.init is None:
            task.begin_head(model, task.targets(parts.tables["train"]))
        if settings.class_weights == "balanced":
            task.balance(task.targets(parts.tables["train"]))
        task.augment_by(settings, tokenizer, trainer.seed)
        task.groups = data.group_columns
        if start.lora_rank:  # a resumed run needs the best weights before the adapters are merged
            self.best_weights = "checkpoints/adapted.safetensors"
        datasets = {
            name: Part(task.dataset(table, tokenizer, data.max_length), table) for name, table in parts.tables.items()
        }
        self.notices = _notices(datasets, task.remarks(parts.labelled), task, tokenizer, data.max_length)
        if not (trainer.lr or trainer.head_lr):
            self.notices.append("the learning rate is 0, so the training changes no weight")
        super().__init__(model, task, trainer, datasets)

    @classmethod
    def begin(
        cls,
        data: TextData,
        settings: TaskConfig,
        start: StartConfig,
        trainer: TrainerConfig,
        automatic: Collection[str] = (),
        tables: Mapping[str, Any] = MappingProxyType({}),
    ) -> TextRun:
        """Reads the data and makes the tokenizer and the model. Nothing is written. tables: as in `train_text`."""
        given = (
            ("data", data, TextData),
            ("task", settings, TaskConfig),
            ("start", start, StartConfig),
            ("trainer", trainer, TrainerConfig),
        )
        check_types("train", given)
        if start.init is not None:
            data.refuse((Argument("init"), " has a tokenizer"), "vocab_size")
        keep_few = "validation_fraction" in automatic and start.init is not None
        parts = data.read(settings, keep_few, tables)
        if data.validation is None and "held_out" not in parts.tables:
            data = replace(data, validation_fraction=0.0)
        trainer, start = choose(automatic, trainer, start, parts)
        tokenizer = _words(data, start, parts)
        config = start.config(parts.task, tokenizer, data.max_length, data.pair_column is not None)
        run = cls(data, settings, start, trainer, parts, tokenizer, config)
        run.chosen = automatic
        return run

    @classmethod
    def begun(cls, folder: Path, record: Mapping[str, Any], fresh: bool) -> TextRun:
        """The run that a folder's run.json records. fresh: whether it has no checkpoint, so that its first weights are needed."""
        data = recorded(record, "data", TextData, "sha256", "absolute")
        start = StartConfig.begun(record, fresh)
        settings, trainer = recorded(record, "task", TaskConfig), recorded(record, "trainer", TrainerConfig)
        config = recorded_model(record, folder)
        places = find_files(data.files, record["data"]["sha256"], record["data"]["absolute"])
        parts = data.moved(places).read(settings)
        tokenizer = tokenizer_of(folder, fresh, lambda: _words(data, start, parts))
        run = cls(data, settings, start, trainer, parts, tokenizer, config, fresh)
        run.new = record["start"]["initial_values"]
        run.task.take_label_type(record.get("label_type"), f"the run.json of {folder}")
        return run

    def record(self) -> dict[str, Any]:
        kind = self.task.label_type()
        return {
            "task": self.settings.to_dict(),
            **({} if kind is None else {"label_type": kind}),
            "data": {**self.data.to_dict(), **file_record(self.data.files)},
            "cleaning": self.cleaning,
            "start": {**self.start.record(), "initial_values": self.new},
        }

    def _trainer(self, folder: Path, progress: bool, tensorboard: bool, callbacks: Iterable[Callback]) -> Trainer:
        fit = (HeadStart(),) if self.fits_head else ()
        return super()._trainer(folder, progress, tensorboard, (*self.first, *fit, *callbacks))

    def save(self, folder: Path) -> None:
        self.tokenizer.save(folder)

    @property
    def fits_head(self) -> bool:
        """Whether the head is new and starts from a fit."""
        return self.start.fits(self.task, self.new)

    @property
    def fits_head_again(self) -> bool:
        """Whether the head is also fitted after the last step, because the texts are few, and the fit reads all of them."""
        texts = len(self.parts["train"].dataset)
        return self.fits_head and texts <= MOST and few_to_learn(texts, self.task)

    def finish(self, folder: Path, trainer: Trainer) -> None:
        if self.fits_head_again:
            HeadStart().fit(trainer)
        if self.start.lora_rank:
            save_lora(self.model, folder / "adapter", self.start.init)
            merge_lora(self.model)
        if self.fits_head_again or self.start.lora_rank:
            self.model.save_weights(folder / "model.safetensors")

    def facts(self) -> dict[str, Any]:
        counts = {name: len(part.dataset) for name, part in self.parts.items()}
        labels, named = len(self.task.labels), counted_labels(self.task)
        held_out = counts.get("held_out", 0)
        return {
            "train_samples": counts["train"],
            "held_out_samples": held_out,
            "labels": labels,
            "description": ", ".join([f"{counts['train']:,} training texts", f"{held_out:,} held out", *named]),
            **({"cleaning": self.cleaning} if self.cleaning else {}),
            **({"notices": self.notices} if self.notices else {}),
        }

    def advice(self, report: Mapping[str, Any]) -> list[str]:
        if not (self.trainer.lr or self.trainer.head_lr):
            return ["The learning rate was 0. A model learns only with a rate above 0."]
        training, advice = report["training"], []
        if "held_out" in report and training["epochs"] > 1 and training["best_step"] == training["steps"]:
            advice.append("The last epoch was the best one. More epochs may give a better model.")
        judged = report.get("test") or report.get("held_out") or {}
        if judged.get("r2", 0.0) < 0:
            advice.append(
                f"The model is worse than an answer that is always the mean (R² {judged['r2']:.2f}). More epochs, more texts or another "
                "learning rate may help; or the texts do not tell the numbers."
            )
        missed = [c["label"] for c in judged.get("classes") or () if c["support"] and not c["recall"]]
        if missed:
            names = ", ".join(missed[:5]) + (f" and {len(missed) - 5:,} more" if len(missed) > 5 else "")
            sample, kind = self.task.judged_words()
            remedy = f"More texts with these {kind}s, more epochs, or class weights may help."
            advice.append(
                f"No {sample} of {len(missed):,} of the {len(judged['classes']):,} {kind}s was recognised: {names}. {remedy}"
            )
        return advice

    def explain(self, worst: list[dict[str, Any]], dataset: Any) -> dict[str, Any]:
        examples = explain_examples(worst, self.model, dataset, self.tokenizer, self.task.labels.names)
        attention = attention_of(self.model, dataset, self.tokenizer, worst[0]["index"])
        return {"examples": examples, "attention": attention}


def _vocabulary(texts: list[str]) -> int:
    """The most tokens for so much text: what occurs a few times only teaches a model nothing about other texts."""
    return min(8000, max(2000, sum(len(text.split()) for text in texts) // 35))


def _words(data: TextData, start: StartConfig, parts: Parts) -> Tokenizer:
    """The tokenizer of the settings, or one that is trained on the texts."""
    source = data.tokenizer or start.folder()
    if source is None:
        texts = list(parts.texts())
        tokenizer = Tokenizer.train(texts, _vocabulary(texts) if data.vocab_size is None else data.vocab_size)
    else:
        tokenizer = load_tokenizer(source, "train", "tokenizer" if data.tokenizer else "init")
    tokenizer.model_max_length = data.max_length  # predictions cut texts as training did
    return tokenizer


def _notices(
    parts: Mapping[str, Part], of_labels: list[str], task: Any, tokenizer: Tokenizer, max_length: int
) -> list[str]:
    """What a user should know of the data, a sentence each."""
    said = [*(note for part in parts.values() for note in part.table.notes), *of_labels]
    said += part_remarks({name: part.table for name, part in parts.items()}, task)
    for name, part in parts.items():
        losses = TextLosses()
        losses.add(part.table, part.dataset, tokenizer, max_length)
        said += losses.sentences(max_length, PART_WORDS[name])
    return list(dict.fromkeys(said))
