"""What a run chooses for itself if nobody said it, by the number of its texts and labels; and what it says before its first step."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import _core, cuda
from engine.errors import amount
from engine.inference.sentence_folder import pooling_of
from engine.runs.facts import peak_memory_bytes, resident_bytes
from engine.runs.heads import brings_head
from engine.runs.start import StartConfig, suggested_lr
from engine.runs.textdata import FEW_TEXTS, Parts
from engine.tasks import TextTask
from engine.tasks.part_remarks import PART_WORDS
from engine.text.table_columns import in_words
from engine.train import Callback, Trainer, TrainerConfig

if TYPE_CHECKING:
    from engine.runs.text import TextRun

__all__ = ["AUTOMATIC", "DEFAULTS", "counted_labels"]

AUTOMATIC = ("epochs", "lr", "pooling", "validation_fraction")
"""The settings that a run can choose if it starts from a published encoder."""

# Defaults of `engine train` and `fit`: for a model from scratch, and for one that starts from a published encoder. None: chosen by the
# run, or as published.
DEFAULTS: dict[str, tuple[Any, Any]] = {
    "epochs": (8, None), "lr": (2e-3, None), "label_smoothing": (0.1, 0.0), "token_dropout": (0.1, 0.0), "dropout": (0.1, None),
}  # fmt: skip

_STEPS = 600  # the least of a fine-tuning, as far as _MOST_EPOCHS allows; docs/finetuning.md has the figures
_LEAST_EPOCHS, _MOST_EPOCHS = 4, 30
_FOR_FIRST_TOKEN = 1000  # texts
_DRAWING = 60 * 2**20  # bytes that matplotlib takes


def why_mean(start: StartConfig, texts: int, task: TextTask) -> str | None:
    """Why a model that starts from a published encoder should read the mean of all tokens; None: it should read what is published.

    Encoders of sentences were trained so. With few texts, fewer than `FEW_TEXTS` for each label or than 1,000 in all, the first token
    does not learn what a whole text says. A head that is there, and adapters that `peft` opens, keep the published pooling.
    """
    folder = start.folder()
    if folder is None or "pooling" in task.unused or start.lora_rank or brings_head(str(folder)):
        return None
    if pooling_of(Path(folder), "train") == "mean":
        return "the encoder was trained so"
    return "there are few texts" if few_to_learn(texts, task) else None


def few_to_learn(texts: int, task: TextTask) -> bool:
    """Whether a task has few training texts: fewer than `FEW_TEXTS` for each label, or than 1,000 in all."""
    return texts < max(FEW_TEXTS * len(task.labels), _FOR_FIRST_TOKEN)


def choose(
    automatic: Collection[str], trainer: TrainerConfig, start: StartConfig, parts: Parts
) -> tuple[TrainerConfig, StartConfig]:
    """The settings with those named in `automatic` chosen, if the run starts from a published encoder; `TextData.read` chooses
    validation_fraction.

    epochs: from 4 to 30, so that there are about 600 steps. pooling: "mean" if there is a reason for it (`why_mean`), otherwise as
    published. lr: `suggested_lr`, half of it for the mean of few texts.
    """
    init = start.init
    if init is None:
        return trainer, start
    table, task = parts.tables["train"], parts.task
    if "epochs" in automatic and trainer.max_steps is None:
        texts = (trainer.batch_size or 32) * trainer.gradient_accumulation_steps
        steps = -(-len(table) // texts)
        trainer = replace(trainer, epochs=min(max(-(-_STEPS // steps), _LEAST_EPOCHS), _MOST_EPOCHS))
    if "pooling" in automatic and why_mean(start, len(table), task):
        start = replace(start, sizes={**start.sizes, "pooling": "mean"})
    if "lr" in automatic:
        lr = suggested_lr(init)
        gently = start.sizes.get("pooling") == "mean" and few_to_learn(len(table), task)
        trainer = replace(trainer, lr=lr / 2 if gently else lr)
    return trainer, start


def announcement(run: TextRun, trainer: Trainer) -> str:
    """What a run will do, how long that will take, and how much memory; a line for each fact."""
    return "\n".join([*_data(run), *_plan(run, trainer), _cost(trainer)])


class Announcement(Callback):
    """Gives `announcement` to `say` before the first step."""

    def __init__(self, run: TextRun, say: Callable[[str], None]) -> None:
        self.run, self.say = run, say

    def on_train_begin(self, trainer: Trainer) -> None:
        if not trainer.state.step:
            self.say(announcement(self.run, trainer))


def counted_labels(task: TextTask) -> list[str]:
    """How many labels a task has, in words; nothing for a task of numbers."""
    return [amount(len(task.labels), task.label_word)] if task.label_word else []


def _data(run: TextRun) -> list[str]:
    counts = {name: len(part.dataset) for name, part in run.parts.items()}
    others = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if name != "train"]
    table, lengths = run.parts["train"].table, run.parts["train"].dataset.lengths
    columns = [in_words(table.taken)] if table.taken else []
    columns += [
        f"of the {PART_WORDS[name]} {in_words(part.table.taken)}"
        for name, part in run.parts.items()
        if part.table.taken != table.taken
    ]
    texts = ", ".join([f"{counts['train']:,} training texts", *others, *counted_labels(run.task)])
    return [
        f"data: {texts}" + (f"; columns: {'; '.join(columns)}" if columns else ""),
        f"lengths: {lengths.min():,} to {lengths.max():,} tokens, half of the texts up to {int(np.median(lengths)):,}; "
        f"longest allowed: {run.data.max_length:,}",
    ]


def _plan(run: TextRun, trainer: Trainer) -> list[str]:
    config = trainer.config
    parts = [
        amount(trainer.total_steps, "step")
        if config.max_steps
        else f"{amount(config.epochs, 'epoch')}, {amount(trainer.total_steps, 'step')}"
    ]
    parts.append(f"learning rate {config.lr:g}")
    if run.fits_head:
        again = ", and is fitted again after the last step" if run.fits_head_again else ""
        parts.append(f"the head starts from a fit to what the encoder gives{again}")
    lines = [f"plan: {'; '.join(parts)}"]
    if "pooling" in run.chosen and run.start.sizes.get("pooling") == "mean":
        reason = why_mean(run.start, len(run.parts["train"].dataset), run.task)
        lines.append(
            f"plan: the model reads the mean of all tokens, because {reason}. `engine export` writes such a model for "
            "sentence-transformers. --pooling pooler makes one that `transformers` can open."
        )
    if "validation_fraction" in run.chosen and "held_out" not in run.parts:
        lines.append(
            "plan: there are few texts, so none are held out: the last weights are kept, and "
            "probabilities are not calibrated. --validation-fraction 0.1 holds some out."
        )
    few = len(run.parts["train"].dataset) < 100 * len(run.task.labels)
    if run.start.init is None and few:
        lines.append(
            "plan: there are too few texts to train a good model from scratch. A published encoder needs fewer: --init."
        )
    return lines


def _cost(trainer: Trainer) -> str:
    """The expected time and memory, by one measured step. The step changes neither weights nor random numbers.

    Time is that of the step times the number of steps, without evaluations. Memory is the most that the process will hold (resident
    set). It is counted in the middle of the training, when the process holds all of this:

    - what it holds after the measured step: Python, the data, the weights (4 bytes for each parameter), the gradients (4 bytes for
      each trained one), and what the forward pass keeps for the backward pass. An evaluation without gradients takes its memory from
      the same place; one batch of it is measured, too.
    - the two moments of AdamW: 8 bytes for each trained parameter.
    - at the end, if the best weights are read back from their file: 8 bytes for each parameter, for the file and a copy of it.
    - at the end, the libraries that draw the report: about 60 MiB. They come after the weights were read, so that only the larger of
      the two counts.
    """
    random = _core.random_state()
    trainer.model.train()
    trainer.train_loader.set_epoch(0)
    batch = next(iter(trainer.train_loader))
    on_gpu = trainer.device.type == "cuda"
    for _ in range(2):  # the first one also allocates memory
        started = time.perf_counter()
        trainer.rehearse(batch)
        if on_gpu:  # the device works on after the call
            cuda.synchronize(trainer.device)
        seconds = time.perf_counter() - started
    trainer.train_loader.set_epoch(0)
    if trainer.eval_loader is not None:
        trainer.predict([next(iter(trainer.eval_loader))])
        trainer.model.train()
    _core.set_random_state(*random)
    sizes = [(p.numel(), p.requires_grad) for p in trainer.model.parameters()]
    moments = sum(8 * size for size, learns in sizes if learns)
    best = sum(8 * size for size, _ in sizes) if trainer.eval_loader is not None else 0
    if on_gpu:
        memory = cuda.max_memory_allocated(trainer.device) + moments
    else:
        memory = max(resident_bytes() + moments + max(best, _DRAWING), peak_memory_bytes())
    seconds *= trainer.total_steps * trainer.config.gradient_accumulation_steps
    spent = (
        "less than 1 s"
        if seconds < 1
        else f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
    place = str(trainer.device) if on_gpu else amount(_core.get_num_threads(), "thread")
    return f"cost: {'about ' * (seconds >= 1)}{spent} of training on {place}, up to {memory / 2**20:,.0f} MiB of {'its ' if on_gpu else ''}memory"
