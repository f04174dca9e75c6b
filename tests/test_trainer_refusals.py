"""What a Trainer is given: arguments of the wrong kind, parts that do not belong together, and own tasks that answer wrongly."""

from __future__ import annotations

import json
import re
from collections import deque, namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import nn
from engine.data import Batch, DataLoader, TensorDataset, default_collate
from engine.models.forward import compute_logits
from engine.nn import functional as F
from engine.optim import SGD
from engine.optim.lr_scheduler import LambdaLR
from engine.runs import Run
from engine.tasks import Classification, Judgement, MaskedLM, MultiLabel, Tagging, Task
from engine.text import Compose, MaskedLanguageModeling, TokenDropout
from engine.train import (
    BatchStream,
    Callback,
    Trainer,
    TrainerConfig,
    freeze,
    load_checkpoint,
    parameter_groups,
    read_log,
    save_checkpoint,
)
from test_trainer import toy_data, toy_model

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4)).astype(np.float32)
Y = (X @ np.array([1, -1, 0.5, 2], np.float32))[:, None]
DATA = TensorDataset(engine.tensor(X), engine.tensor(Y))
PAIRS = [(engine.tensor(X[i : i + 8]), engine.tensor(Y[i : i + 8])) for i in range(0, 40, 8)]
CONFIG = TrainerConfig(epochs=2)
PLAIN = TrainerConfig(epochs=2, eval_every=1)


def linear() -> nn.Linear:
    engine.manual_seed(0)
    return nn.Linear(4, 1)


def loss(model, batch):
    return F.mse_loss(model(batch[0]), batch[1])


def trainer(**given: Any) -> Trainer:
    arguments = {"model": linear(), "task": loss, "config": CONFIG, "train_data": DATA, **given}
    return Trainer(**arguments)


# ---- arguments


class Odd:
    """Has the look of a callback, but lacks most of its methods."""

    def on_step_end(self, trainer, loss):
        raise RuntimeError("hidden")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("model", (None, lambda x: x, nn.Linear)),
        ("config", (None, {"epochs": 1}, TrainerConfig)),
        ("optimizer", ("adamw", SGD, 3)),
        ("scheduler", (LambdaLR, lambda step: 1.0)),
        ("callbacks", (None, 3, Callback(), [Callback], [lambda *given: None], [Odd()])),
        ("output", (3, b"x", ["x"])),
        ("progress", ("no", 1)),
        ("train_data", (None, 3, X, engine.tensor(X), "train.csv", b"x", {"a": DATA}, TensorDataset, lambda: DATA)),
        (
            "eval_data",
            (
                3,
                X,
                engine.tensor(X),
                "test.csv",
                {"a": DATA},
                iter(PAIRS),
                (batch for batch in PAIRS),
                BatchStream(iter(PAIRS)),
            ),
        ),
    ],
)
def test_arguments_of_another_kind_are_refused_by_name(name, values):
    for value in values:
        with pytest.raises(TypeError, match=rf"^\[Trainer\] {name}: expected .+, got "):
            trainer(**{name: value})


def test_a_file_for_an_output_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match=r"\[Trainer\] output: expected a folder, got the file"):
        trainer(output=tmp_path / "file")


def test_a_scheduler_belongs_to_the_optimizer_and_the_optimizer_to_the_model():
    model = linear()
    mine, other = SGD(model.parameters(), lr=0.1), SGD(linear().parameters(), lr=0.1)
    with pytest.raises(ValueError, match="optimizer: expected the optimizer of the scheduler, got None"):
        trainer(model=model, scheduler=LambdaLR(mine, lambda step: 0.5))
    with pytest.raises(ValueError, match="scheduler: expected a scheduler of the optimizer, got one of another"):
        trainer(model=model, optimizer=mine, scheduler=LambdaLR(other, lambda step: 0.5))
    both = SGD([*model.parameters(), nn.Parameter(engine.ones(3))], lr=0.1)
    for wrong in (other, both):
        with pytest.raises(ValueError, match="optimizer: expected an optimizer of the model's parameters"):
            trainer(model=model, optimizer=wrong)
    part = SGD([model.bias], lr=0.1)  # some of them are enough
    assert trainer(model=model, optimizer=part, scheduler=LambdaLR(part, lambda step: 0.5)).train().step == 4


def test_every_callback_hears_of_the_end_and_the_first_error_is_not_hidden():
    ends = []

    class End(Callback):
        def on_train_end(self, trainer):
            ends.append(self)

    class Fails(End):
        def on_step_end(self, trainer, loss):
            raise RuntimeError("in a step")

        def on_train_end(self, trainer):
            super().on_train_end(trainer)
            raise ValueError("at the end")

    callbacks = [End(), Fails(), End()]
    with pytest.raises(ValueError, match="at the end") as caught:
        trainer(callbacks=callbacks).train()
    assert ends == callbacks and str(caught.value.__context__) == "in a step"


@pytest.mark.parametrize("task", [linear(), nn.MSELoss(), nn.MSELoss, None, "mse", CONFIG])
def test_what_is_no_task_is_refused(task):
    with pytest.raises(TypeError, match=r"^\[Trainer\] task: expected a Task or a function loss\(model, batch\), got "):
        trainer(task=task)


def test_a_loss_without_a_gradient_is_refused():
    with pytest.raises(ValueError, match=r"^\[Trainer\] task: expected a loss that requires grad"):
        trainer(task=lambda model, batch: loss(model, batch).detach()).train()


def test_groups_and_freezing_take_numbers():
    for wrong in ({"lr": "1e-3"}, {"head_lr": "1"}, {"weight_decay": None}, {"layer_wise_lr_decay": "0.9"}):
        with pytest.raises(TypeError, match=rf"^\[parameter_groups\] {next(iter(wrong))}: expected "):
            parameter_groups(linear(), **{"weight_decay": 0.1, **wrong})
    for wrong in ({"layers": 1.5}, {"layers": "1"}, {"embeddings": "no"}):
        with pytest.raises(TypeError, match=rf"^\[freeze\] {next(iter(wrong))}: expected "):
            freeze(linear(), **wrong)
    for data in (3, "ab", {"a": 1}, None):
        with pytest.raises(TypeError, match=r"^\[BatchStream\] data: expected an iterable of batches"):
            BatchStream(data)
    with pytest.raises(TypeError, match=r"^\[MaskedLM\] masking: expected a MaskedLanguageModeling, got int"):
        MaskedLM(3)


# ---- lists


class OfBatch(nn.Module):
    """A model of a part of a batch."""

    def __init__(self, part):
        super().__init__()
        self.part, self.linear = part, linear()

    def forward(self, batch):
        return self.linear(self.part(batch))


class Own:
    """A batch of another kind."""

    batch_size = 8

    def __init__(self, x, labels):
        self.x, self.labels = x, labels

    def to(self, device):
        return self


Named = namedtuple("Named", "inputs labels")


@pytest.mark.parametrize("kind", [list, tuple, deque])
@pytest.mark.parametrize("item", [lambda x, y: (x, y), lambda x, y: {"x": x, "y": y}, Named, lambda x, y: x])
def test_a_list_that_could_hold_samples_or_batches_is_refused(kind, item):
    items = kind([item(*pair) for pair in PAIRS])
    hint = re.escape("(its items could be samples or batches: write DataLoader(samples) or BatchStream(batches))")
    for name in ("train_data", "eval_data"):
        with pytest.raises(TypeError, match=rf"\[Trainer\] {name}: expected a dataset, a loader or batches, .*{hint}"):
            trainer(**{name: items})
    for method in ("evaluate", "predict"):
        with pytest.raises(TypeError, match=rf"\[Trainer.{method}\] data: expected a dataset.*{hint}"):
            getattr(trainer(), method)(items)
    with pytest.raises(TypeError, match=hint):
        trainer(train_data=[Batch({"x": X}), *items])
    with pytest.raises(TypeError, match="got a list with DataLoader in it"):
        trainer(train_data=[DataLoader(DATA, 8)])


def test_a_list_says_what_it_holds():
    seen = []

    def seeing(model, batch):
        seen.append(batch[0].shape)
        return loss(model, batch)

    stream = trainer(task=seeing, config=PLAIN, train_data=BatchStream(PAIRS), eval_data=BatchStream(PAIRS))
    assert stream.train().samples == 80 and set(seen) == {(8, 4)}
    seen.clear()
    samples = DataLoader([(engine.tensor(x), engine.tensor(y)) for x, y in zip(X, Y)], 10)
    assert trainer(task=seeing, train_data=samples).train().samples == 80 and set(seen) == {(10, 4)}
    batches = [Batch({"x": X[:8], "y": Y[:8]}), Batch({"x": X[8:12], "y": Y[8:12]})]
    of_batch = lambda model, batch: F.mse_loss(model(batch.x), batch.y)  # noqa: E731
    assert trainer(task=of_batch, train_data=batches, eval_data=tuple(batches)).train().samples == 24


@pytest.mark.parametrize("accumulate", [1, 2])
def test_labels_of_plain_batches_are_counted(accumulate):
    config = TrainerConfig(epochs=2, gradient_accumulation_steps=accumulate)
    of_x = lambda model, batch: F.mse_loss(model(batch.x), batch.labels)  # noqa: E731
    own = [Own(*pair) for pair in PAIRS]
    assert trainer(task=of_x, config=config, train_data=own, eval_data=own).train().samples == 80
    of_inputs = lambda model, batch: F.mse_loss(model(batch.inputs), batch.labels)  # noqa: E731
    named = BatchStream([Named(*pair) for pair in PAIRS])
    assert trainer(task=of_inputs, config=config, train_data=named, eval_data=named).train().samples == 80
    task = Classification()
    assert Task.weight(task, Own(None, engine.tensor([1, -100, 2]))) == 2
    assert Task.weight(task, Own(None, np.array([1, -100]))) == 1
    assert Task.weight(task, Own(None, np.ones((3, 2), np.float32))) == 3
    assert Task.weight(task, Own(None, "no labels")) == 8
    assert Classification(class_weights=[1.0, 2.0, 4.0]).weight(Own(None, engine.tensor([1, -100, 2]))) == 6
    with pytest.raises(ValueError, match="train_data: expected batches with labels"):
        Trainer(linear(), Classification(), CONFIG, BatchStream(PAIRS)).train()
    of_x = lambda batch: batch.x  # noqa: E731
    logits, labels = compute_logits(OfBatch(of_x), own)
    assert logits.shape == (40, 1) and np.array_equal(labels, Y)
    assert compute_logits(OfBatch(lambda batch: batch[0]), BatchStream(PAIRS))[1] is None


# ---- figures that are not numbers


class Given(Task):
    """Gives the next of some values of a figure."""

    metric, metrics = "x", None

    def __init__(self, *values: Any) -> None:
        self.values = list(values)

    def loss(self, model, batch):
        return loss(model, batch)

    def evaluate(self, model, batches):
        return {"x": self.values.pop(0) if len(self.values) > 1 else self.values[0]}

    def settings(self):
        return {"name": "given"}


NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "best", "step", "minimize"),
    [
        ((NAN, 2.0, 3.0, 1.0), 3.0, 6, ()),
        ((NAN, 2.0, 3.0, 1.0), 1.0, 8, ("x",)),
        ((1.0, NAN, NAN, 0.5), 1.0, 2, ()),
        ((NAN, NAN, NAN, 0.0), 0.0, 8, ()),
        ((NAN,), None, 0, ()),
    ],
)
@pytest.mark.parametrize("on_disk", [False, True])
def test_nan_is_never_the_best(tmp_path, values, best, step, minimize, on_disk):
    task = Given(*values)
    task.minimize = frozenset(minimize)
    kept = {}

    class Keep(Callback):
        def on_log(self, trainer, record):
            if record["event"] == "eval":
                kept[record["step"]] = trainer.model.weight.detach().numpy().copy()

    model = linear()
    config = TrainerConfig(epochs=4, batch_size=20)
    output = tmp_path / "run" if on_disk else None
    state = trainer(model=model, task=task, config=config, eval_data=DATA, output=output, callbacks=[Keep()]).train()
    assert (state.best_metric, state.best_step) == (best, step)
    assert np.array_equal(model.weight.detach().numpy(), kept[step or 8])


def test_early_stopping_waits_for_a_number():
    config = TrainerConfig(epochs=9, batch_size=20, early_stopping=2)
    assert trainer(task=Given(NAN, 1.0, NAN, NAN, 5.0), config=config, eval_data=DATA).train().step == 8
    assert trainer(task=Given(NAN), config=config, eval_data=DATA).train().step == 4


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_reports_and_logs_of_nan_are_valid_json(tmp_path):
    run = Run(linear(), Given(NAN, float("inf"), NAN), CONFIG, {"train": DATA, "held_out": DATA, "test": DATA})
    run.train(tmp_path / "run")
    assert strict((tmp_path / "run/report.json").read_text())["test"] == {"x": None}
    for line in (tmp_path / "run/log.jsonl").read_text().splitlines():
        strict(line)
    assert [r["x"] for r in read_log(tmp_path / "run/log.jsonl") if r["event"] == "eval"] == [None, None]


def test_checkpoints_keep_infinite_numbers(tmp_path):
    state = {"a": {"best": float("inf"), "list": [-float("inf"), 1.5]}}
    path = save_checkpoint(tmp_path, 1, state)
    strict((path / "state.json").read_text())
    assert load_checkpoint(path) == state


# ---- own tasks


def test_numbers_of_numpy_and_tensors_are_figures(tmp_path):
    task = Given(np.float32(0.5), np.mean([np.float64(0.25)]), np.int64(3), engine.tensor(0.5), np.array([2.0]))
    config = TrainerConfig(epochs=5, batch_size=20)
    assert trainer(task=task, config=config, eval_data=DATA, output=tmp_path).train().best_metric == 3
    found = [r["x"] for r in read_log(tmp_path / "log.jsonl") if r["event"] == "eval"]
    assert found == [0.5, 0.25, 3, 0.5, 2.0] and type(found[2]) is int


@pytest.mark.parametrize(
    ("method", "answer", "expected"),
    [
        ("evaluate", None, "figures: expected a mapping of names to numbers, got NoneType"),
        ("evaluate", 0.5, "figures: expected a mapping of names to numbers, got float"),
        ("evaluate", {3: 0.5}, "figures: expected a string, got 3"),
        ("evaluate", {"x": "0.5"}, "x: expected a number, got '0.5'"),
        ("evaluate", {"x": None}, "x: expected a number, got None"),
        ("evaluate", {"x": np.zeros(3)}, "x: expected a number, got array"),
        ("judge", {"x": 1.0}, r"judgement: expected Judgement\(figures, worst\), got dict"),
        ("judge", None, r"judgement: expected Judgement\(figures, worst\), got NoneType"),
        ("judge", ({"x": 1.0}, None), "worst: expected a list of samples, got NoneType"),
        ("judge", ({"x": object()}, []), r"figures\['x'\]: expected a value that fits JSON, got object"),
        ("weight", None, "weight: expected a number, got None"),
        ("weight", "3", "weight: expected a number, got '3'"),
        ("weight", -1, r"weight: expected a finite number >= 0, got -1"),
        ("weight", NAN, r"weight: expected a finite number >= 0, got nan"),
        ("transform", None, "batch: expected a changed batch, got None"),
        ("settings", None, "settings: expected a mapping, got NoneType"),
        (
            "settings",
            {"a": {"b": [object()]}},
            r"settings\['a'\]\['b'\]\[0\]: expected a value that fits JSON, got object",
        ),
        ("settings", {"a": {3}}, r"settings\['a'\]: expected a value that fits JSON, got set"),
        ("settings", {"a": NAN}, r"settings\['a'\]: expected a finite number, as JSON has no other, got nan"),
        ("settings", {(1, 2): 3}, r"settings: expected names as keys, got \(1, 2\)"),
        ("settings", {1: 3, "1": 4}, "settings: expected keys that differ as strings"),
    ],
)
def test_wrong_answers_of_own_tasks_name_the_method(tmp_path, method, answer, expected):
    task = Given(1.0)
    setattr(task, method, lambda *given, **named: answer)
    config = TrainerConfig(epochs=2, batch_size=20, gradient_accumulation_steps=2)
    with pytest.raises((TypeError, ValueError), match=rf"^\[Given.{method}\] {expected}"):
        Run(linear(), task, config, {"train": DATA, "held_out": DATA}).train(tmp_path / "run")
    assert method != "settings" or not (tmp_path / "run").exists()  # known before anything is written


@pytest.mark.parametrize(("name", "value"), [("minimize", "x"), ("metrics", "x"), ("metric", 3), ("metrics", (3,))])
def test_wrong_attributes_of_own_tasks_are_named(name, value):
    task = Given(1.0)
    setattr(task, name, value)
    with pytest.raises(TypeError, match=rf"^\[Given\] {name}: expected "):
        trainer(task=task)


def test_judgements_are_fit_for_json(tmp_path):
    task = Given(1.0)
    figures = {"x": np.float32(0.5), "counts": np.arange(2), "deep": {"a": (1, engine.tensor(2))}}
    task.judge = lambda *given, **named: Judgement(figures, [{"index": np.int64(3)}])
    report = Run(linear(), task, CONFIG, {"train": DATA, "held_out": DATA}).train(tmp_path / "run")
    assert strict((tmp_path / "run/report.json").read_text())["held_out"] == report["held_out"]
    assert report["held_out"] == {"x": 0.5, "counts": [0, 1], "deep": {"a": [1, 2]}}


class BreakOff(Callback):
    def on_step_end(self, trainer, loss):
        if trainer.state.step == 3:
            raise KeyboardInterrupt


def test_settings_are_compared_as_json_gives_them_back(tmp_path):
    def task(**more: Any) -> Task:
        found = Given(1.0)
        settings = {"pair": (1, 2.5), "by": {3: np.float32(0.5)}, "path": Path("a"), "weights": engine.ones(2), **more}
        found.settings = lambda: settings
        return found

    config = TrainerConfig(epochs=4, batch_size=20, checkpoint_every=1)
    with pytest.raises(KeyboardInterrupt):
        trainer(task=task(), config=config, output=tmp_path, callbacks=[BreakOff()]).train()
    with pytest.raises(ValueError, match=r"pair: expected \[1, 2.5\] as in the checkpoint, got \[1, 2\]"):
        trainer(task=task(pair=(1, 2)), config=config, output=tmp_path).train(resume=True)
    assert trainer(task=task(), config=config, output=tmp_path).train(resume=True).step == 8


# ---- the tasks of texts


def resumed(folder: Path, first: Any, second: Any) -> int:
    config = TrainerConfig(epochs=2, batch_size=8, checkpoint_every=1)
    with pytest.raises(KeyboardInterrupt):
        Trainer(
            toy_model(), Classification(transform=first), config, toy_data(40), output=folder, callbacks=[BreakOff()]
        ).train()
    return (
        Trainer(toy_model(), Classification(transform=second), config, toy_data(40), output=folder)
        .train(resume=True)
        .step
    )


def hide(p: float = 0.5, seed: int = 0) -> TokenDropout:
    return TokenDropout(p, 1, [0], seed)


def own(batch, number):
    return batch


@pytest.mark.parametrize(
    ("first", "second"),
    [(hide(), None), (None, hide()), (hide(), hide(0.4)), (hide(), Compose([hide()])), (Compose([hide()]), Compose([hide(seed=3)])),
     (own, None), (own, hide())],
)  # fmt: skip
def test_a_resume_with_another_transform_is_refused(tmp_path, first, second):
    with pytest.raises(ValueError, match=r"\[Trainer.train\] transform: expected .* as in the checkpoint"):
        resumed(tmp_path, first, second)


def test_a_resume_with_the_same_transform_goes_on(tmp_path):
    for number, make in enumerate((lambda: None, hide, lambda: Compose([hide(), own]), lambda: own)):
        assert resumed(tmp_path / str(number), make(), make()) == 10


def test_the_seed_of_a_masking_is_a_setting():
    first, second = (MaskedLM(MaskedLanguageModeling(1, 9, seed=seed)).settings() for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize("kind", [Classification, MultiLabel])
def test_as_many_labels_as_the_model_has_outputs(kind):
    data = toy_data(40)
    for names in (["only", "two"], list("four")):
        task = kind(names)
        with pytest.raises(
            ValueError, match=rf"\[{kind.__name__}\] labels: expected 3 names, one for each output of the model, got "
        ):
            Trainer(toy_model(), task, CONFIG, data).train()
    with pytest.raises(ValueError, match=rf"\[{kind.__name__}\] class_weights: expected 3 numbers"):
        Trainer(toy_model(), kind(class_weights=[1.0, 2.0]), CONFIG, data).train()
    with pytest.raises(ValueError, match="expected 3 names"):
        Trainer(toy_model(), Classification(["only", "two"]), CONFIG, data).evaluate(data)


@pytest.mark.parametrize("kind", [Classification, MultiLabel, Tagging])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("label_smoothing", ("0.1", None, True, 2, -0.1, NAN)),
        ("labels", (3, "ham", [3], {"a": 1})),
        ("class_weights", ("balanced", [[1.0]], [], [1.0, NAN], [-1.0], ["a"], 3.0)),
        ("transform", (3, "swap")),
    ],
)
def test_wrong_arguments_of_a_task_are_named(kind, name, values):
    for value in values:
        with pytest.raises((TypeError, ValueError), match=rf"^\[{kind.__name__}\] {name}: expected "):
            kind(**{name: value})


# ---- a used folder


def test_a_used_folder_is_refused(tmp_path):
    trainer(output=tmp_path).train()
    before = (tmp_path / "log.jsonl").read_bytes()
    with pytest.raises(
        FileExistsError, match=r"\[Trainer.train\] output: expected a folder without an earlier training"
    ):
        trainer(output=tmp_path).train()
    with pytest.raises(TypeError, match=r"\[Trainer.train\] resume: expected True or False, got 'yes'"):
        trainer(output=tmp_path).train(resume="yes")
    assert (tmp_path / "log.jsonl").read_bytes() == before
    (tmp_path / "log.jsonl").unlink()
    with pytest.raises(FileExistsError):  # the checkpoints are an earlier training's
        trainer(output=tmp_path).train()


@pytest.mark.parametrize(("name", "value"), [("step", 1.5), ("step", -1), ("keep", 0), ("keep", "1")])
def test_wrong_arguments_of_a_checkpoint_are_named(tmp_path, name, value):
    with pytest.raises((TypeError, ValueError), match=rf"^\[save_checkpoint\] {name}: expected "):
        save_checkpoint(tmp_path, **{"step": 1, "state": {"a": 1}, name: value})


# ---- batches of numbers


@pytest.mark.parametrize(
    ("items", "dtype"),
    [
        ([1, 2.5], engine.float64), ([2.5, 1], engine.float64), ([True, 2], engine.int64), ([2, True], engine.int64),
        ([True, 0.5], engine.float64), ([True, False], engine.bool), ([1, 2], engine.int64), ([1, np.float32(2.5)], engine.float64),
        ([True, np.int64(3)], engine.int64), ([True, np.bool_(False)], engine.bool),
    ],
)  # fmt: skip
def test_numbers_of_several_kinds_become_the_widest(items, dtype):
    found = default_collate(items)
    assert found.dtype is dtype and found.tolist() == [
        float(item) if dtype is engine.float64 else item for item in items
    ]
    columns = default_collate([{"n": item} for item in items])
    assert columns["n"].dtype is dtype


@pytest.mark.parametrize(
    "items",
    [
        [1, "a"],
        ["a", 1],
        [1.5, None],
        [{"a": 1}, 3],
        [(1, 2), 3],
        [engine.ones(2), None],
        [np.float32(1), "a"],
        [1, (2,)],
    ],
)
def test_items_of_different_kinds_are_refused(items):
    with pytest.raises(TypeError, match=r"^\[default_collate\] batch: expected .+ in every item, got \w+ in item 1"):
        default_collate(items)


def test_an_integer_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"batch: expected integers that fit int64, got 9223372036854775808 in item 1"):
        default_collate([1, 2**63])
