"""No setting is silent: each field of each config changes what happens, or is refused by its name.

A trace of a run is all that can be seen of it: the weights, the log, the report, the files, and how often the model was called.
Every field is given another value, in every surrounding that could leave it unread; then the trace must differ, or an error
must name the field. A config that gets a new field fails here until it has a value in the tables below.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest

pytest.importorskip("tokenizers")

import engine
import engine.nn.block as block
from cli_runs import tagged, texts, write_conll, write_encoder, write_rows
from engine.data import DataLoader
from engine.errors import ArgumentError
from engine.models import TransformerConfig
from engine.nn.lora import LoRAConfig, add_lora
from engine.optim import SGD
from engine.optim.lr_scheduler import LambdaLR
from engine.runs import CorpusData, StartConfig, TextData, pretrain, train_text
from engine.tasks import TASKS, Classification, TaskConfig
from engine.text import TextDataset
from engine.train import Callback, Trainer, TrainerConfig
from test_trainer import bits, toy_data, toy_model


class Recorder(Callback):
    """The log of a run without its times, and its checkpoints."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def on_log(self, trainer, record):
        left_out = ("seconds", "tokens_per_second")
        self.records.append({k: v for k, v in record.items() if k not in left_out and k != "held_out"})

    def on_checkpoint(self, trainer, path):
        self.records.append(path.name)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def acts_or_is_refused(name: str, default: Any, changed: Any) -> None:
    """default, changed: functions that give the trace of a run."""
    try:
        trace = changed()
    except (ArgumentError, RuntimeError) as error:  # a device that is not there is an answer, too
        named = {getattr(error, "argument", ""), *str(error).replace("[", " ").replace("]", " ").split()}
        assert name in named or f"{name}:" in named or name.split("_")[0] in str(error), f"{name} is not named: {error}"
        return
    assert trace != default, f"{name} changes nothing and is not refused"


# ---- the Trainer as a library

TRAINER = {
    "epochs": 2, "max_steps": 5, "batch_size": 4, "max_tokens": 21, "bucket_by_length": True,
    "gradient_accumulation_steps": 2, "lr": 3e-3, "layer_wise_lr_decay": 0.5, "head_lr": 1e-4, "weight_decay": 0.5,
    "betas": (0.5, 0.9), "eps": 1e-2, "schedule": "constant", "warmup_ratio": 0.5, "max_grad_norm": 1e-3, "seed": 5,
    "eval_every": 3, "metric": "macro_f1", "early_stopping": 1, "checkpoint_every": 3, "keep_checkpoints": 2, "log_every": 3,
    "eval_batch_size": 4, "device": "cuda:63", "precision": "bfloat16",
}  # fmt: skip
SURROUNDINGS = (
    "dataset",
    "loader",
    "batches",
    "no eval_data",
    "eval batches",
    "optimizer",
    "scheduler",
    "no output",
    "function",
)


def trained(tmp_path: Path, surrounding: str, **settings: Any) -> Any:
    folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
    model, data = toy_model(), toy_data(40)
    calls: list[int] = []
    model.register_forward_hook(lambda module, args, output: calls.append(len(args[0])))
    train: Any = data
    if surrounding == "loader":
        train = DataLoader(data, 8, shuffle=True, seed=1)
    if surrounding == "batches":
        train = [data.gather(range(i, i + 8)) for i in range(0, 40, 8)]
    # Nothing can be learned of these labels: evaluations get worse at times, and their figures differ.
    rows = toy_data(30, 1)
    held_out: Any = TextDataset([rows[i].input_ids for i in range(30)], np.random.default_rng(2).integers(3, size=30))
    if surrounding == "no eval_data":
        held_out = None
    if surrounding == "eval batches":
        held_out = [held_out.gather(range(30))]
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9) if surrounding in ("optimizer", "scheduler") else None
    scheduler = LambdaLR(optimizer, lambda step: 1 / (1 + step)) if surrounding == "scheduler" else None
    task: Any = Classification()
    if surrounding == "function":
        task = lambda model, batch: engine.cross_entropy(model(batch), batch.labels)  # noqa: E731
    log = Recorder()
    first = {"checkpoint_every": 0} if surrounding == "no output" else {}
    base = {"lr": 1e-2} if optimizer is None else {}
    epochs = {} if "max_steps" in settings else {"epochs": 3}
    often = {} if held_out is None else {"eval_every": 1}
    config = TrainerConfig(**{**epochs, **often, **base, **first, **settings})
    output = None if surrounding == "no output" else folder
    folder.mkdir()
    trainer = Trainer(
        model, task, config, train, held_out, optimizer=optimizer, scheduler=scheduler, output=output, callbacks=[log]
    )
    trainer.train()
    trainer.evaluate(data)
    return bits(model), log.records, files(folder), calls


def test_all_fields_of_the_trainer_are_tried():
    assert TRAINER.keys() == {field.name for field in fields(TrainerConfig)}
    assert all(TRAINER[field.name] != field.default for field in fields(TrainerConfig))


@pytest.mark.parametrize("surrounding", SURROUNDINGS)
def test_a_trainer_uses_or_refuses_each_setting(tmp_path, surrounding):
    default = trained(tmp_path, surrounding)
    for name, value in TRAINER.items():
        if name == "metric" and surrounding == "function":
            continue  # its only figure is the loss
        acts_or_is_refused(name, default, lambda n=name, v=value: trained(tmp_path, surrounding, **{n: v}))


def test_epochs_and_steps_exclude_each_other():
    with pytest.raises(ValueError, match=r"epochs: expected no value, got 3 \(max_steps= says when training ends\)"):
        TrainerConfig(epochs=3, max_steps=9)


# ---- runs from files


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("settings")
    rows = [(text, label, f"about {label} {i % 3}", ("x", "y")[i % 2]) for i, (text, label) in enumerate(texts(2))]
    rows = [(f"{text} {chr(233 + i % 3)}", *rest) for i, (text, *rest) in enumerate(rows)]
    write_rows(folder / "train.csv", ("text", "label", "second", "group"), rows)
    write_rows(folder / "other.csv", ("text", "label", "second", "group"), rows[::3])
    write_rows(folder / "several.csv", ("text", "label"), [(t, f"{a}|{b}") for t, a, b, _ in rows])
    write_rows(folder / "numbers.csv", ("text", "label"), [(t, str(len(t))) for t, *_ in rows])
    write_conll(folder / "tags.conll")
    write_encoder(folder / "encoder", num_hidden_layers=2)
    lines = [text for text, _ in texts(6)] + [" ".join(words) for words, _ in tagged()]
    (folder / "text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "other.jsonl").write_text("\n".join(json.dumps({"text": t, "body": t + " too"}) for t in lines))
    return folder


FILES = {
    "classification": "train.csv",
    "multilabel": "several.csv",
    "regression": "numbers.csv",
    "tagging": "tags.conll",
}
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
QUICK = TrainerConfig(epochs=1, batch_size=8, lr=1e-2, checkpoint_every=0)


def run_trace(folder: Path, report: dict[str, Any]) -> Any:
    """What a finished run leaves: times, memory and versions are left out."""
    kept = {k: v for k, v in report.items() if k not in ("training", "memory", "environment", "wall_seconds")}
    return (folder / "model.safetensors").read_bytes(), json.dumps(kept, sort_keys=True), files(folder)


def text_run(
    place: Path, tmp_path: Path, task: TaskConfig | None = None, start: dict[str, Any] | None = None, **data: Any
) -> Any:
    task = task or TaskConfig()
    folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
    given = {"train": (str(place / FILES[task.name]),), "max_length": 16, **data}
    begin = StartConfig(**({"sizes": SIZES} if start is None else start))
    return run_trace(folder, train_text(TextData(**given), QUICK, folder, task=task, start=begin))


TEXT = {
    "train": ("other.csv",), "validation": "other.csv", "validation_fraction": 0.3, "test": "other.csv",
    "text_column": "second", "label_column": "group", "tokenizer": "encoder", "vocab_size": 40, "max_length": 6,
    "encoding": "latin-1", "format": "klingon", "columns": ("x", "label", "text", "y"), "delimiter": ";", "quoting": False, "pair_column": "second", "group_columns": ("group",), "clean": ("near_duplicate",),
    "examples_per_class": 2,
}  # fmt: skip


def there(place: Path, value: Any) -> Any:
    """Names of files as paths."""
    if isinstance(value, tuple):
        return tuple(there(place, part) for part in value)
    return str(place / value) if isinstance(value, str) and (place / value).exists() else value


def test_all_fields_of_text_data_are_tried():
    assert TEXT.keys() == {field.name for field in fields(TextData)}


@pytest.mark.parametrize("task", TASKS)
def test_texts_use_or_refuse_each_setting(place, tmp_path, task):
    default = text_run(place, tmp_path, TaskConfig(task))
    for name, value in TEXT.items():
        if task != "classification" and name in ("train", "validation", "test", "label_column"):
            continue  # other files and labels are another task's
        if task == "tagging" and name == "vocab_size":
            continue  # so few words need no more
        if task in ("multilabel", "regression") and name in ("text_column", "pair_column"):
            continue  # these files have one column of texts
        acts_or_is_refused(
            name, default, lambda n=name, v=value: text_run(place, tmp_path, TaskConfig(task), **{n: there(place, v)})
        )


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"tokenizer": "encoder", "vocab_size": 40}, "vocab_size"),
        ({"validation": "other.csv", "validation_fraction": 0.3}, "validation_fraction"),
        ({"validation_fraction": 0, "group_columns": ["group"]}, "group_columns"),
    ],
)
def test_texts_refuse_what_another_setting_decides(place, given, name):
    with pytest.raises(ValueError, match=f"{name}: expected no value"):
        TextData(("train.csv",), **{n: there(place, v) for n, v in given.items()})


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"train": "train.csv"}, TypeError, r"\[TextData\] train: expected a list, got 'train.csv'"),
        ({"train": Path("train.csv")}, TypeError, "train: expected a list"),
        ({"train": []}, ValueError, "train: expected at least one file"),
        ({"group_columns": "group"}, TypeError, "group_columns: expected a list, got 'group'"),
        ({"examples_per_class": 0}, ValueError, "examples_per_class: expected at least 1, got 0"),
        ({"max_length": 2}, ValueError, "max_length: expected at least 3, got 2"),
        ({"validation_fraction": 0, "clean": ["leak"]}, ValueError, "clean: expected kinds without 'leak'"),
    ],
)
def test_wrong_settings_of_texts_are_named(given, error, text):
    with pytest.raises(error, match=text):
        TextData(**{"train": ("train.csv",), **given})


def test_a_run_without_data_to_judge_by_refuses_the_size_of_their_batches(place, tmp_path):
    settings = replace(QUICK, eval_batch_size=3)
    start, task = StartConfig(sizes=SIZES), TaskConfig()
    data = TextData((str(place / "train.csv"),), validation_fraction=0, max_length=16)
    with pytest.raises(ValueError, match="eval_batch_size: expected no value, got 3"):
        train_text(data, settings, tmp_path / "run", task=task, start=start)
    with pytest.raises(ValueError, match="eval_batch_size: expected no value, got 3"):
        trainer = TrainerConfig(max_steps=1, eval_batch_size=3)
        pretrain([place / "text.txt"], tmp_path / "run", trainer=trainer, document="line", held_out_fraction=0)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"data": "train.csv"}, "data: expected a TextData, got str"),
        ({"trainer": None}, "trainer: expected a TrainerConfig, got NoneType"),
        ({"task": TaskConfig}, "task: expected a TaskConfig, got type"),
        ({"start": {"init": "x"}}, "start: expected a StartConfig, got dict"),
    ],
)
def test_arguments_of_another_type_are_named(place, tmp_path, given, text):
    right = {"data": TextData((str(place / "train.csv"),)), "trainer": QUICK, "output": tmp_path / "run"}
    with pytest.raises(TypeError, match=text):
        train_text(**{**right, **given})


def test_paths_and_lists_go_through_json():
    data = TextData([Path("train.csv")], validation=Path("other.csv"), clean=["duplicate"])
    assert data.train == ("train.csv",) and data.validation == "other.csv" and data.clean == ("duplicate",)
    assert TextData.from_dict(json.loads(json.dumps(data.to_dict()))) == data
    assert StartConfig(init=Path("encoder")) == StartConfig(init="encoder", lora_targets=["query", "value"])


TASK = {
    "name": "regression", "label_smoothing": 0.3, "class_weights": "balanced", "augment": "mask=0.5", "token_dropout": 0.5,
    "label_separator": ";",
}  # fmt: skip


def test_all_fields_of_a_task_are_tried():
    assert TASK.keys() == {field.name for field in fields(TaskConfig)}


@pytest.mark.parametrize("task", TASKS)
def test_tasks_use_or_refuse_each_setting(place, tmp_path, task):
    default = text_run(place, tmp_path, TaskConfig(task))
    for name, value in TASK.items():
        if name != "name":
            changed = TaskConfig(task, **{name: value})
            acts_or_is_refused(name, default, lambda c=changed: text_run(place, tmp_path, c))


START = {
    "init": "encoder", "sizes": {**SIZES, "intermediate_size": 24}, "freeze_embeddings": True, "freeze_layers": 1,
    "lora_rank": 2, "lora_alpha": 4.0, "lora_dropout": 0.5, "lora_targets": ("key",), "fit_head": False,
    "gradient_checkpointing": True,
}  # fmt: skip


def test_all_fields_of_a_start_are_tried():
    assert START.keys() == {field.name for field in fields(StartConfig)}


@pytest.mark.parametrize("surrounding", ["scratch", "init", "lora"])
def test_a_start_uses_or_refuses_each_setting(place, tmp_path, monkeypatch, surrounding):
    checkpoints: list[int] = []
    checkpoint = block.checkpoint
    monkeypatch.setattr(block, "checkpoint", lambda *args, **kw: checkpoints.append(1) or checkpoint(*args, **kw))
    base: dict[str, Any] = {
        "scratch": {"sizes": SIZES},
        "init": {"init": str(place / "encoder")},
        "lora": {"init": str(place / "encoder"), "lora_rank": 4},
    }[surrounding]

    def trace(**settings: Any) -> Any:
        checkpoints.clear()
        found = text_run(place, tmp_path, start={**base, **{n: there(place, v) for n, v in settings.items()}})
        return found, len(checkpoints)

    default = trace()
    for name, value in START.items():
        if name in base and base[name] == there(place, value):
            continue
        given = {name: value, **({"sizes": {}} if name == "init" else {})}
        acts_or_is_refused(name, default, lambda g=given: trace(**g))


MODEL = {
    "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 24,
    "max_position_embeddings": 40, "type_vocab_size": 3, "hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3,
    "num_labels": 7, "pooling": "mean", "layer_norm_eps": 1e-2, "hidden_act": "relu", "norm_first": True, "pad_token_id": 3,
    "initializer_range": 0.1, "classifier_dropout": 0.4, "pooler": True, "id2label": {0: "a", 1: "b"},
    "problem_type": "multi_label_classification", "model_type": "roberta", "embedding_size": 8, "num_hidden_groups": 1,
    "position_offset": 1, "pooler_act": "silu", "pooler_dropout": True, "published": {"x": 1},
}  # fmt: skip


def test_all_fields_of_a_model_are_tried():
    assert MODEL.keys() == {field.name for field in fields(TransformerConfig)}


@pytest.mark.parametrize("task", ["classification", "tagging", "masked-lm"])
@pytest.mark.parametrize("surrounding", ["scratch", "init", "pooler", "distilbert"])
def test_a_model_uses_or_refuses_each_size(place, tmp_path, task, surrounding):
    if surrounding == "pooler" and task != "classification":
        pytest.skip("only classifiers have poolers")
    room = {**SIZES, "num_hidden_layers": 2, "max_position_embeddings": 24}
    base: dict[str, Any] = {
        "scratch": room, "init": {}, "pooler": {**room, "pooler": True}, "distilbert": {**room, "model_type": "distilbert"},
    }[surrounding]  # fmt: skip

    def trace(**sizes: Any) -> Any:
        init = {"init": str(place / "encoder")} if surrounding == "init" else {}
        if task == "masked-lm":
            return pretraining(place, tmp_path, **init, model={**base, **sizes})
        return text_run(place, tmp_path, TaskConfig(task), {**init, "sizes": {**base, **sizes}})

    default = trace()
    for name, value in MODEL.items():
        if base.get(name) == value or (
            name == "pooler" and task == "classification" and surrounding in ("init", "distilbert")
        ):
            continue  # it is so already
        acts_or_is_refused(name, default, lambda n=name, v=value: trace(**{n: v}))


def test_initial_values_are_refused_if_there_are_none(place, tmp_path):
    text_run(place, tmp_path, start={"init": str(place / "encoder")})
    (trained,) = (path for path in tmp_path.iterdir() if (path / "report.json").exists())
    with pytest.raises(ValueError, match="initializer_range: expected no value"):
        text_run(place, tmp_path, start={"init": str(trained), "sizes": {"initializer_range": 0.1}})


@pytest.mark.parametrize("task", ["tagging", "regression"])
def test_a_size_that_a_task_does_not_use_is_refused(place, tmp_path, task):
    sizes = {"sizes": {**SIZES, "pooling": "mean"}}
    default = text_run(place, tmp_path, TaskConfig(task))
    acts_or_is_refused("pooling", default, lambda: text_run(place, tmp_path, TaskConfig(task), sizes))


# ---- pretraining

CORPUS = {
    "files": ("other.jsonl",), "held_out": ("other.jsonl",), "held_out_fraction": 0.5, "held_out_tokens": 40,
    "document": "file", "text_key": "body", "errors": "replace", "packing": "document", "max_length": 12,
    "shuffle_characters": 200, "tokenizer": "encoder", "vocab_size": 60,
}  # fmt: skip
ARGUMENTS = {"p": 0.4, "whole_word": True, "model": {**SIZES, "intermediate_size": 24}, "init": "encoder"}


def pretraining(place: Path, tmp_path: Path, files_: Any = ("text.txt",), **given: Any) -> Any:
    folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
    options = {"document": "line", "max_length": 16, "model": SIZES, "shuffle_characters": 2000, **given}
    if "init" in given and "model" not in given:
        options.pop("model")
    trainer = TrainerConfig(max_steps=4, batch_size=4, lr=1e-2, checkpoint_every=0)
    return run_trace(folder, pretrain(there(place, files_), folder, trainer=trainer, **options))


def test_a_pretraining_uses_or_refuses_each_setting(place, tmp_path):
    assert CORPUS.keys() == {field.name for field in fields(CorpusData)}
    default = pretraining(place, tmp_path)
    in_json = pretraining(place, tmp_path, ("other.jsonl",))
    for name, value in {**CORPUS, **ARGUMENTS}.items():
        beside: dict[str, Any] = {"held_out_tokens": {"held_out_fraction": 0.5}, "whole_word": {"vocab_size": 45}}.get(
            name, {}
        )
        if beside:  # more held-out text than a batch; words of several tokens
            given = {**beside, name: value}
            surrounded = pretraining(place, tmp_path, **beside)
            acts_or_is_refused(name, surrounded, lambda g=given: pretraining(place, tmp_path, **g))
            continue
        if name == "errors":
            continue  # below: it decides about damaged files alone
        if name == "text_key":
            acts_or_is_refused(
                name, in_json, lambda v=value: pretraining(place, tmp_path, ("other.jsonl",), text_key=v)
            )
            continue
        given = {"files_" if name == "files" else name: there(place, value)}
        acts_or_is_refused(name, default, lambda g=given: pretraining(place, tmp_path, **g))
    for name, given in (
        ("held_out_tokens", {"held_out_fraction": 0, "held_out_tokens": 5}),
        ("vocab_size", {"init": there(place, "encoder"), "vocab_size": 50}),
        ("text_key", {"text_key": "body"}),
        ("document", {"files_": ("other.jsonl",), "document": "file"}),
        ("document", {"document": "x"}),
    ):
        with pytest.raises(ValueError, match=name):
            pretraining(place, tmp_path, **given)
    (tmp_path / "damaged.txt").write_bytes(b"".join(b"my card %d \xff has not arrived\n" % i for i in range(40)))
    with pytest.raises(ValueError, match="UTF-8"):
        pretraining(place, tmp_path, (str(tmp_path / "damaged.txt"),))
    assert pretraining(place, tmp_path, (str(tmp_path / "damaged.txt"),), errors="replace")


# ---- adapters

LORA = {"r": 2, "alpha": 3.0, "dropout": 0.5, "target_modules": ("value",), "modules_to_save": ("pooler",)}


def test_adapters_use_each_setting():
    assert LORA.keys() == {field.name for field in fields(LoRAConfig)}

    def trace(**settings: Any) -> Any:
        model = toy_model()
        add_lora(model, LoRAConfig(**settings))
        engine.manual_seed(1)
        model.train()
        batch = toy_data(8).gather(range(8))
        for p in model.parameters():
            if p.requires_grad:
                with engine.no_grad():
                    p.add_(0.01)
        loss = engine.cross_entropy(model(batch), batch.labels)
        loss.backward()
        trained = sorted(name for name, p in model.named_parameters() if p.requires_grad)
        return trained, [p.shape for p in model.parameters()], np.asarray(loss.detach()).tobytes()

    default = trace()
    for name, value in LORA.items():
        acts_or_is_refused(name, default, lambda n=name, v=value: trace(**{n: v}))


# ---- types

ALL = (
    (TrainerConfig, {}), (TaskConfig, {}), (TextData, {"train": ("a",)}), (StartConfig, {}), (CorpusData, {"files": ("a",)}),
    (LoRAConfig, {}),
)  # fmt: skip
WRONG: dict[type, tuple[Any, ...]] = {
    bool: ("no", 1, None),
    int: ("3", 2.5, True, np.float32(2), None),
    float: ("0.5", True, [0.5], None),
    str: (3, True, b"a", None),
    tuple: ("a", 3, (object(),), b"a", None),
}


@pytest.mark.parametrize(("kind", "first"), ALL)
def test_each_setting_refuses_other_types_by_its_name(kind, first):
    hints = get_type_hints(kind)
    for field in fields(kind):
        if field.name == "device":
            continue  # a number is a device, too
        choices = get_args(hints[field.name]) if type(None) in get_args(hints[field.name]) else (hints[field.name],)
        for python, values in WRONG.items():
            if not any((get_origin(choice) or choice) is python for choice in choices):
                continue
            for given in values:
                if given is None and type(None) in choices:
                    continue
                with pytest.raises(TypeError, match=rf"^\[{kind.__name__}\] {field.name}: expected .+, got "):
                    kind(**{**first, field.name: given})


def test_numbers_of_numpy_become_pythons():
    config = TrainerConfig(
        lr=np.float32(0.25), epochs=np.int64(2), bucket_by_length=np.bool_(True), betas=np.array([0.5, 0.25])
    )
    assert config == TrainerConfig(lr=0.25, epochs=2, bucket_by_length=True, betas=(0.5, 0.25))
    assert TrainerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert type(TrainerConfig(seed=np.uint8(3)).seed) is int and TrainerConfig(lr=1).lr == 1.0


def test_a_default_of_epochs_is_nobodys_choice():
    assert (TrainerConfig().epochs, replace(TrainerConfig(), max_steps=5).epochs) == (10, None)
    assert replace(TrainerConfig(max_steps=5), max_steps=None).epochs == 10
    with pytest.raises(ValueError, match="epochs: expected no value, got 3"):
        replace(TrainerConfig(epochs=3), max_steps=5)


def test_an_unknown_setting_is_answered_with_known_ones():
    with pytest.raises(ValueError, match=r"settings: expected names of settings, such as lr, got 'lrr'"):
        TrainerConfig.from_dict({"lrr": 1})
    with pytest.raises(ValueError, match=r"such as epochs, max_steps, batch_size, .*, got '\?'"):
        TrainerConfig.from_dict({"?": 1})
    with pytest.raises(TypeError, match="settings: expected a mapping, got list"):
        TrainerConfig.from_dict([1])
