"""From files of labelled texts to a trained model, a run folder and a report: what `engine train` does.

The run folder holds
    run.json             data and their hashes, what the model started from, settings, versions, seed
    config.json, model.safetensors, tokenizer.json, tokenizer_config.json    the best model, as other libraries open it
    adapter/             with LoRA: the adapters alone, as `peft` opens them (beside the merged weights `transformers` would add
                         them a second time)
    log.jsonl            a line each `log_every` steps, evaluation and epoch
    checkpoints/         what is needed to go on
    report.json, report.md, report.html, curves.png, confusion.png
    tensorboard/         where asked for
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from engine import manual_seed
from engine.device import number_of
from engine.inference.predictor import Predictor
from engine.models import TransformerConfig
from engine.models.pretrained import Pretrained
from engine.nn.lora import merge_lora, save_lora
from engine.report.markdown import format_report
from engine.runs.facts import environment, model_facts, training_facts
from engine.runs.judge import judge_run, write_report
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
from engine.runs.start import StartConfig
from engine.runs.textdata import Parts, TextData
from engine.serialization import write_json
from engine.text import TaggedTable, TextDataset, Tokenizer
from engine.text.augment import Compose, TokenDropout, augmentation
from engine.train.callbacks import Callback, TensorBoardLog
from engine.train.checkpoint import latest_checkpoint
from engine.train.config import TrainerConfig
from engine.train.state import TrainerState
from engine.train.trainer import Trainer

__all__ = ["StartConfig", "TextData", "read_run", "resume_text_classifier", "train_text_classifier"]


_ADAPTED = "checkpoints/adapted.safetensors"


@dataclass(frozen=True)
class _Run:
    """What a training needs to know, fresh or resumed."""

    folder: Path
    data: TextData
    start: StartConfig
    settings: TrainerConfig
    parts: Parts
    tokenizer: Tokenizer
    config: TransformerConfig


class _Training(NamedTuple):
    trainer: Trainer
    datasets: dict[str, TextDataset]
    started: float  # by the clock of the report


def train_text_classifier(
    data: TextData,
    trainer: TrainerConfig,
    output: str | os.PathLike[str],
    *,
    start: StartConfig | None = None,
    model: Mapping[str, Any] | None = None,
    progress: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    callbacks: tuple[Callback, ...] = (),
) -> dict[str, Any]:
    """Train a model for a task on texts, evaluate it, and write the run folder.

    Args:
        data: the texts, and the task.
        trainer: the settings of the training. Its metric "accuracy" becomes the task's own where that has none.
        output: the run folder; must be new, or empty.
        start: a published model to start from, or sizes; which parts are trained. None: `StartConfig(sizes=model)`.
        model: fields of `TransformerConfig`, without those that the data decide (vocab_size, num_labels, ...).
        progress: show a progress bar on standard error.
        overwrite: remove an earlier run in `output` first.
        tensorboard: write event files into `tensorboard/` (extra `tensorboard`).
        callbacks: for the `Trainer`.

    Returns:
        The report, as in report.json.

    Raises:
        FileNotFoundError, ValueError: on files that are missing, empty, damaged or lack a column, on labels that only held-out
            or test files have, and on settings out of range; nothing is written then.
        FileExistsError: if `output` is not empty.
        BlockingIOError: if another training works in `output`.
    """
    folder = Path(output)
    start = start or StartConfig(sizes=model or {})
    parts = data.read()
    check_output(folder, overwrite)
    tokenizer = _tokenizer(data, start, parts)
    config = start.config(parts.task, tokenizer, data.max_length, data.pair_column is not None)
    run: dict[str, Any] = {
        "format": FORMAT,
        "task": f"text-{data.task}" if data.task == "classification" else data.task,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": trainer.seed,
        "data": {
            **asdict(data),
            "train": list(data.train),
            "sha256": {path: sha256_of(path) for path in data.files},
            "absolute": {path: os.path.abspath(path) for path in data.files},  # to resume from another folder
        },
        "cleaning": parts.cleaning,
        "start": {
            **start.to_dict(),
            "sha256": start.hashes(),
            "absolute": None if start.init is None else os.path.abspath(start.folder() or start.init),
        },
        "model": {"architectures": [""], **config.to_dict()},
        "tensorboard": tensorboard,
        "trainer": trainer.to_dict(),
        "environment": environment(),
    }
    if trainer.device is not None:
        number_of(trainer.device)  # refused before anything is written
    written = TensorBoardLog(folder / "tensorboard") if tensorboard else None  # as a missing library
    manual_seed(trainer.seed)  # the initial weights
    made, new = start.build(config, parts.task)
    run["start"]["initial_values"] = new
    run["model"] = {"architectures": [made.architecture], **made.config.to_dict()}
    whole = _Run(folder, data, start, trainer, parts, tokenizer, made.config)
    training = _prepared(whole, made, progress, (*callbacks, *([written] if written else [])))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        check_output(folder, overwrite)  # again: another training may have begun here in the meantime
        if overwrite:
            remove_run(folder)
        tokenizer.save(folder)
        write_json(folder / "config.json", run["model"])
        write_json(folder / "run.json", run)
        return _train(whole, made, training, False)


def resume_text_classifier(
    output: str | os.PathLike[str], *, progress: bool = False, callbacks: tuple[Callback, ...] = ()
) -> dict[str, Any]:
    """Go on with a run that was broken off, from its last checkpoint; the result has the bits of an uninterrupted run.

    Raises:
        FileNotFoundError, ValueError: if the folder is no run, or a data file is gone or has changed.
        BlockingIOError: if another training works in the folder.
    """
    folder = Path(output)
    run = read_run(folder)
    try:
        values = dict(run["data"])
        hashes, absolute = values.pop("sha256"), values.pop("absolute", {})
        data = TextData(**values)
        settings = TrainerConfig.from_dict(run["trainer"])
        config = TransformerConfig.from_dict(run["model"])
        begun = dict(run.get("start", {}))
        weights, place = begun.pop("sha256", {}), begun.pop("absolute", None)
        begun.pop("initial_values", None)
        start = StartConfig(**begun)
    except (KeyError, TypeError) as error:
        if run.get("task") == "masked-language-modeling":
            raise ValueError(
                f"[resume] output: expected a run of `engine train`, got the pretraining {folder} (engine pretrain --resume)"
            ) from None
        raise ValueError(
            f"[resume] output: expected a whole run.json in {folder}, got one that lacks {error}"
        ) from None
    with locked(folder):
        places = {path: find_file(path, absolute.get(path, path), hashes.get(path)) for path in data.files}
        parts = data.moved(places).read()
        # Before the first checkpoint the weights are those that the run began with.
        fresh = latest_checkpoint(folder / "checkpoints") is None
        if start.init and place and not os.path.isdir(start.init):
            start = replace(start, init=place)  # the run is resumed from another folder
        if fresh and start.hashes() != weights:
            raise ValueError(f"[resume] init: expected {start.init} as it was when the run began, got other weights")
        manual_seed(settings.seed)
        made, _ = start.build(config, parts.task, weights=fresh)
        if run.get("tensorboard"):
            callbacks = (*callbacks, TensorBoardLog(folder / "tensorboard"))
        whole = _Run(folder, data, start, settings, parts, Tokenizer.from_pretrained(folder), made.config)
        return _train(whole, made, _prepared(whole, made, progress, callbacks), True)


# --- the parts of a run ----------------------------------------------------------------------------------------------


def _tokenizer(data: TextData, start: StartConfig, parts: Parts) -> Tokenizer:
    folder = data.tokenizer or start.folder()
    tokenizer = Tokenizer.train(parts.texts(), data.vocab_size) if folder is None else load_tokenizer(folder)
    tokenizer.model_max_length = data.max_length  # predictions cut texts as training did
    return tokenizer


def _prepared(run: _Run, model: Pretrained, progress: bool, callbacks: tuple[Callback, ...]) -> _Training:
    """All that comes before the first step. What is wrong with the settings is said here, before anything is written."""
    started = time.perf_counter()
    task, tables = run.parts.task, run.parts.tables
    settings = _settings(run.settings, task)
    datasets = {name: task.dataset(table, run.tokenizer, run.data.max_length) for name, table in tables.items()}
    if settings.class_weights == "balanced":
        task.weigh(task.targets(tables["train"]))
    trainer = Trainer(
        model,
        settings,
        datasets["train"],
        datasets.get("held_out"),
        output=run.folder,
        progress=progress,
        callbacks=callbacks,
        transform=_transform(settings, run.tokenizer, isinstance(tables["train"], TaggedTable)),
        compute_loss=lambda m, batch: task.loss(m, batch, settings.label_smoothing),
        metrics=task.figures,
        evaluate_fn=task.evaluate,
        batch_weight=task.batch_weight,
        # Adapters are merged into model.safetensors at the end; a resumed run wants the best weights as they were.
        best_weights=_ADAPTED if run.start.lora_rank else "model.safetensors",
    )
    if task.class_weights is not None:
        task.class_weights = task.class_weights.to(trainer.device)
    return _Training(trainer, datasets, started)


def _train(run: _Run, model: Pretrained, training: _Training, resume: bool) -> dict[str, Any]:
    task, tables, trainer = run.parts.task, run.parts.tables, training.trainer
    state = trainer.train(resume)
    if run.start.lora_rank:
        save_lora(model, run.folder / "adapter", run.start.init)
        merge_lora(model)
        model.save_weights(run.folder / "model.safetensors")
    predictor = Predictor(model, run.tokenizer, task)
    report = {**_facts(run, model, state), **judge_run(predictor, tables, training.datasets, run.data, trainer.config)}
    report["environment"] = environment(trainer.device)
    report["wall_seconds"] = time.perf_counter() - training.started
    return write_report(report, run.folder, format_report)


def _settings(settings: TrainerConfig, task: Any) -> TrainerConfig:
    """The settings with the task's metric instead of the default. Raises ValueError for a metric that it does not measure."""
    if settings.metric is None:
        return replace(settings, metric=task.metric)
    if settings.metric not in task.metrics:
        raise ValueError(
            f"[train] metric: expected one of {', '.join(task.metrics)} for {task.name}, got {settings.metric!r}"
        )
    return settings


def _facts(run: _Run, model: Pretrained, state: TrainerState) -> dict[str, Any]:
    """What was trained on what, for how long."""
    tables = run.parts.tables
    return {
        "seed": run.settings.seed,
        "task": run.data.task,
        "data": {
            "train_samples": len(tables["train"]),
            "held_out_samples": len(tables["held_out"]) if "held_out" in tables else 0,
            "labels": len(run.parts.labels),
            **({"cleaning": run.parts.cleaning} if run.parts.cleaning else {}),
        },
        "model": {**model_facts(model), **({"init": run.start.init} if run.start.init else {})},
        "training": training_facts(state),
    }


def _transform(settings: TrainerConfig, tokenizer: Tokenizer, tags: bool) -> Any:
    """What changes training batches: token dropout, augmentation; None: nothing."""
    steps: list[Any] = []
    if settings.token_dropout:
        if tokenizer.unk_token_id is None:
            raise ValueError("[train] token_dropout: expected a tokenizer with an unknown token, got one without")
        special = (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
        keep = [i for i in special if i is not None]
        steps.append(TokenDropout(settings.token_dropout, tokenizer.unk_token_id, keep, settings.seed))
    if settings.augment:
        if tags and {part.partition("=")[0].strip() for part in settings.augment.split(",")} != {"mask"}:
            raise ValueError(f"[train] augment: expected mask= alone where words have tags, got {settings.augment!r}")
        try:
            steps.append(augmentation(settings.augment, tokenizer, settings.seed))
        except ValueError as error:
            raise ValueError(str(error).replace("[augmentation] settings", "[train] augment")) from None
    return steps[0] if len(steps) == 1 else Compose(steps) if steps else None
