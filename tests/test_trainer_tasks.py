"""Trainer beyond classifiers: own losses and metrics, streams, accumulated batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import engine
from engine import nn, optim
from engine.models.forward import compute_logits
from engine.tasks import MINIMIZED, Classification, Task
from engine.tasks.base import counted_targets
from engine.text import PackedBatch, TextDataset
from engine.train import (
    Callback,
    ProgressBar,
    Trainer,
    TrainerConfig,
    latest_checkpoint,
    read_log,
)
from engine.train.sources import shares
from test_trainer import CONFIG, TASK, bits, files, toy_data, toy_model, without_times

STEPS = replace(CONFIG, epochs=None, max_steps=10, eval_every=4, log_every=2)
STREAM = replace(STEPS, batch_size=TrainerConfig.batch_size)  # batches that are made elsewhere
BARE = replace(STREAM, eval_every=None)


def batches_of(data: TextDataset, size: int) -> list[PackedBatch]:
    return [data.gather(range(i, min(i + size, len(data)))) for i in range(0, len(data), size)]


class Stream:
    """Batches that never end, or end after `count`, different ones each epoch; it has no length."""

    def __init__(self, data: TextDataset, count: int | None = None) -> None:
        self.data, self.count, self.epoch, self.drawn = data, count, 0, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch, self.drawn = epoch, 0

    def __iter__(self):
        while self.count is None or self.drawn < self.count:
            rng = np.random.default_rng([self.epoch, self.drawn])
            self.drawn += 1
            yield self.data.gather(rng.integers(len(self.data), size=6))
        self.drawn = 0


class Resumable(Stream):
    """The same, with a state of its own."""

    def state_dict(self):
        return {"drawn": self.drawn}

    def load_state_dict(self, state):
        self.drawn = state["drawn"]


class StopAfter(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer, loss):
        if trainer.state.step == self.step:
            raise KeyboardInterrupt


class Given(Classification):
    """Its evaluations give these figures, one after the other."""

    metrics = None

    def __init__(self, figures, minimize=MINIMIZED) -> None:
        super().__init__()
        self.given, self.minimize = iter(figures), frozenset(minimize)

    def evaluate(self, model, batches):
        return next(self.given)


class Tokens(nn.Module):
    """Logits of each token, (total_tokens, 3)."""

    def __init__(self) -> None:
        super().__init__()
        engine.manual_seed(3)
        self.table, self.out = nn.Embedding(20, 8), nn.Linear(8, 3)

    def forward(self, batch):
        return self.out(self.table(batch.input_ids))


class TokenBatch(PackedBatch):
    """Its labels are those of tokens."""

    def __post_init__(self) -> None:
        pass


def token_batch(ids: list[int], labels: list[int]) -> TokenBatch:
    cu = engine.tensor([0, len(ids)], dtype=engine.int32)
    row, positions = engine.tensor(ids), engine.arange(len(ids))
    return TokenBatch(row, cu, positions, len(ids), labels=engine.tensor(labels))


TOKEN_BATCHES = [
    token_batch([3, 4, 5, 6], [0, -100, 2, -100]),
    token_batch([7, 8], [-100, -100]),
    token_batch([9, 3, 9, 10, 4], [1, 1, 2, 0, 2]),
    token_batch([5], [1]),
]


# ---- tasks


def test_a_loss_and_metrics_of_ones_own():
    data = toy_data(40)
    targets = (data.lengths / 10).astype(np.float32)
    data = TextDataset([item.input_ids for item in (data[i] for i in range(40))], targets)
    seen = []

    class Length(Task):
        metric, metrics = "mse", ("mse", "r")

        def loss(self, model, batch):
            return nn.functional.mse_loss(model(batch).select(1, 0), batch.labels)

        def evaluate(self, model, batches):
            logits, labels = compute_logits(model, batches)
            seen.append((labels.shape, logits.shape))
            return {"mse": float(np.mean((labels - logits[:, 0]) ** 2)), "r": 0.5}

    model = toy_model(dropout=0.0)
    trainer = Trainer(model, Length(), replace(CONFIG, epochs=6), data, data)
    before = trainer.evaluate(data)["mse"]
    state = trainer.train()
    assert seen[0] == ((40,), (40, 3))
    assert trainer.evaluate(data)["mse"] == pytest.approx(state.best_metric) and state.best_metric < before / 3


def test_a_function_is_a_task():
    """Its evaluation is the mean loss over all samples, however they are batched."""
    data = toy_data(20)

    def loss(model, batch):
        return nn.functional.cross_entropy(model(batch), batch.labels)

    model = toy_model(dropout=0.0)
    trainer = Trainer(model, loss, replace(CONFIG, epochs=2, eval_batch_size=7), data, data)
    before = trainer.evaluate(data)
    with engine.no_grad():
        assert before == {"loss": pytest.approx(loss(model, data.gather(range(20))).item(), rel=1e-6)}
    state = trainer.train()
    assert state.best_metric == pytest.approx(trainer.evaluate(data)["loss"]) and state.best_metric < before["loss"]
    with pytest.raises(TypeError, match=r"task: expected a Task or a function .*, got the class Classification"):
        Trainer(model, Classification, CONFIG, data)
    with pytest.raises(TypeError, match=r"task: expected a Task or a function .*, got TrainerConfig"):
        Trainer(model, CONFIG, CONFIG, data)


@pytest.mark.parametrize(("metric", "best"), [("mae", 2), ("score", 3)])
def test_which_metrics_are_best_where_they_are_lowest(metric, best):
    figures = [{metric: value} for value in (3.0, 1.0, 5.0)]
    for minimize, step in ((MINIMIZED, best * 8), ({"score"}, (5 - best) * 8)):
        given = Given(figures, minimize)
        trainer = Trainer(toy_model(), given, replace(CONFIG, metric=metric), toy_data(), [toy_data(4).gather([0])])
        assert trainer.train().best_step == step


def test_evaluate_gets_the_batches_and_a_model_in_evaluation_mode(capsys):
    pytest.importorskip("tqdm")

    class Perplexity(Classification):
        metrics = None

        def evaluate(self, model, batches):
            assert not model.training and not engine.is_grad_enabled()
            losses = [float(nn.functional.cross_entropy(model(b), b.labels).item()) for b in batches]
            return {"loss": float(np.mean(losses)), "perplexity": float(np.exp(np.mean(losses)))}

    model = toy_model()
    config = replace(CONFIG, epochs=1, metric="perplexity")
    trainer = Trainer(model, Perplexity(), config, toy_data(), toy_data(9), progress=True)
    state = trainer.train()
    assert state.best_metric == pytest.approx(trainer.evaluate(toy_data(9))["perplexity"])
    assert (
        f"held-out loss {np.log(state.best_metric):.4f} perplexity {state.best_metric:.4f}" in capsys.readouterr().err
    )
    assert any(isinstance(c, ProgressBar) for c in trainer.callbacks)


def test_a_metric_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"metric: expected one of loss, accuracy, .*, got 'bleu'"):
        Trainer(toy_model(), TASK, replace(CONFIG, metric="bleu"), toy_data(), toy_data(4))
    trainer = Trainer(toy_model(), Given([{"f1": 0.0}]), replace(CONFIG, metric="bleu"), toy_data(), toy_data(4))
    with pytest.raises(ValueError, match=r"metric: expected one of f1, got 'bleu'"):
        trainer.train()


def test_labels_of_tokens_that_do_not_count_are_left_out_of_the_metrics():
    model = Tokens()
    trainer = Trainer(model, TASK, BARE, TOKEN_BATCHES, TOKEN_BATCHES)
    figures = trainer.evaluate(TOKEN_BATCHES)
    logits = np.concatenate([model(b).detach().numpy() for b in TOKEN_BATCHES]).astype(np.float64)
    labels = np.concatenate([b.labels.numpy() for b in TOKEN_BATCHES])
    rows = labels >= 0
    chances = np.exp(logits[rows]) / np.exp(logits[rows]).sum(1, keepdims=True)
    assert figures["loss"] == pytest.approx(-np.log(chances[np.arange(rows.sum()), labels[rows]]).mean(), rel=1e-6)
    assert figures["accuracy"] == np.mean(logits[rows].argmax(1) == labels[rows])
    assert trainer.predict(TOKEN_BATCHES).shape == (12, 3)


@pytest.mark.parametrize("loss", [3.0, engine.ones(2)])
def test_a_loss_that_is_no_scalar_is_refused(loss):
    with pytest.raises(TypeError, match="task: expected a loss that is a Tensor of one element"):
        Trainer(toy_model(), lambda model, batch: loss, CONFIG, toy_data()).train()


# ---- streams


def test_a_stream_trains_for_so_many_steps():
    data, held_out = toy_data(), toy_data(9)
    rates = []

    class Rates(Callback):
        def on_log(self, trainer, record):
            if record["event"] == "train":
                rates.append(record["lr"])

    config = replace(STREAM, log_every=1, warmup_ratio=0.2)
    state = Trainer(toy_model(), TASK, config, Stream(data), held_out, callbacks=[Rates()]).train()
    assert (state.step, state.epoch, state.samples) == (10, 0, 60)
    assert rates == pytest.approx([5e-3 * (s / 2 if s < 2 else (10 - s) / 8) for s in range(10)])
    state = Trainer(toy_model(), TASK, BARE, Stream(data, 4)).train()
    assert (state.step, state.epoch) == (10, 2)
    state = Trainer(
        toy_model(), TASK, replace(STEPS, eval_every=None), toy_data()
    ).train()  # a dataset too: eight steps an epoch
    assert (state.step, state.epoch) == (10, 1)
    state = Trainer(
        toy_model(), TASK, TrainerConfig(epochs=2), batches_of(data, 10)
    ).train()  # these say how many they are
    assert (state.step, state.epoch) == (12, 2)


@pytest.mark.parametrize("kind", [Stream, Resumable])
@pytest.mark.parametrize(("count", "accumulate"), [(None, 1), (4, 1), (5, 2)])
@pytest.mark.parametrize("stop", [4, 7])
def test_a_resumed_stream_gives_the_bits_of_an_uninterrupted_run(tmp_path, kind, count, accumulate, stop):
    config = replace(STREAM, checkpoint_every=3, gradient_accumulation_steps=accumulate)
    held_out = toy_data(9, 1)
    whole = Trainer(toy_model(), TASK, config, kind(toy_data(), count), held_out, output=tmp_path / "whole")
    whole.train()
    arguments = {"output": tmp_path / "cut", "callbacks": [StopAfter(stop)]}
    with pytest.raises(KeyboardInterrupt):
        Trainer(toy_model(), TASK, config, kind(toy_data(), count), held_out, **arguments).train()
    engine.manual_seed(99)
    model = toy_model(seed=5)
    state = Trainer(model, TASK, config, kind(toy_data(), count), held_out, output=tmp_path / "cut").train(resume=True)
    assert bits(model) == bits(whole.model)
    state.seconds = whole.state.seconds
    mine, other = latest_checkpoint(tmp_path / "cut/checkpoints"), latest_checkpoint(tmp_path / "whole/checkpoints")
    assert mine.name == other.name == "step-00000010"
    assert files(mine)["optimizer.safetensors"] == files(other)["optimizer.safetensors"]
    logs = [without_times(read_log(tmp_path / name / "log.jsonl")) for name in ("cut", "whole")]
    assert logs[0] == logs[1]


def test_streams_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="max_steps: expected a number"):
        Trainer(toy_model(), TASK, TrainerConfig(), Stream(toy_data()))
    with pytest.raises(TypeError, match="expected a dataset, a loader or batches, got int"):
        Trainer(toy_model(), TASK, BARE, 3)
    with pytest.raises(ValueError, match="at least one batch in epoch 1, got none"):  # a generator is through after one
        Trainer(toy_model(), TASK, BARE, iter(batches_of(toy_data(), 20))).train()
    with pytest.raises(ValueError, match="at least one batch in epoch 0, got none"):
        Trainer(toy_model(), TASK, BARE, iter(())).train()
    Trainer(toy_model(), TASK, BARE, Stream(toy_data()), output=tmp_path).train()
    with pytest.raises(ValueError, match="train_data: expected data of the same kind as in the checkpoint"):
        Trainer(toy_model(), TASK, BARE, Resumable(toy_data()), output=tmp_path).train(resume=True)
    with pytest.raises(ValueError, match="max_steps: expected at least 1"):
        TrainerConfig(max_steps=0)


def test_stopping_after_an_evaluation_takes_no_further_step():
    figures = [{"f1": value} for value in (0.5, 0.4, 0.3)]
    config = replace(STEPS, early_stopping=1, metric="f1")
    assert Trainer(toy_model(), Given(figures), config, toy_data(), toy_data(9)).train().step == 8
    config = replace(config, eval_every=3)
    assert Trainer(toy_model(), Given(figures), config, toy_data(), toy_data(9)).train().step == 6


# ---- accumulation


def trained(model, batches, accumulate: int, task: Task | None = None) -> dict[str, np.ndarray]:
    config = TrainerConfig(
        max_steps=1, gradient_accumulation_steps=accumulate, schedule="constant", warmup_ratio=0.0, max_grad_norm=None, seed=7
    )  # fmt: skip
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    trainer = Trainer(model, task or Classification(), config, batches, optimizer=optimizer)
    losses = []

    class Losses(Callback):
        def on_log(self, trainer, record):
            if record["event"] == "train":
                losses.append(record["loss"])

    trainer.callbacks.append(Losses())
    trainer.train()
    return {"loss": np.array(losses), **{name: t.numpy() for name, t in model.state_dict().items()}}


def assert_same_step(one, other):
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_accumulated_batches_are_as_one():
    data = toy_data(20)
    whole = trained(toy_model(dropout=0.0), [data.gather(range(20))], 1)
    ragged = [data.gather(range(*ends)) for ends in ((0, 3), (3, 4), (4, 15), (15, 20))]
    assert_same_step(whole, trained(toy_model(dropout=0.0), ragged, 4))

    class Unweighted(Classification):
        def weight(self, batch):
            return 1.0

    unweighted = trained(toy_model(dropout=0.0), ragged, 4, Unweighted())
    assert np.abs(unweighted["classifier.bias"] - whole["classifier.bias"]).max() > 1e-3


@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 7.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_accumulation_counts_the_targets_that_count_and_their_weights(weight, smoothing):
    task = Classification(class_weights=weight, label_smoothing=smoothing)
    ids = [i for b in TOKEN_BATCHES for i in b.input_ids.tolist()]
    labels = [i for b in TOKEN_BATCHES for i in b.labels.tolist()]
    whole = trained(Tokens(), [token_batch(ids, labels)], 1, task)
    assert_same_step(whole, trained(Tokens(), TOKEN_BATCHES, 4, task))


def test_an_accumulated_step_is_one_step_of_everything(tmp_path):
    data = toy_data(60)
    config = replace(CONFIG, epochs=2, gradient_accumulation_steps=3, log_every=1)
    numbers = []

    def transform(batch, number):
        numbers.append(number)
        return batch

    trainer = Trainer(toy_model(), Classification(transform=transform), config, data, output=tmp_path)
    state = trainer.train()  # eight batches an epoch: steps of 3, 3 and 2
    assert state.step == trainer.total_steps == 6 and state.epoch == 2
    assert trainer.scheduler.last_epoch == 6 and state.samples == 120
    assert len(read_log(tmp_path / "log.jsonl")) == 6 + 2 + 1
    assert numbers == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16]
    assert {s["step"] for s in trainer.optimizer.state.values()} == {6}


def test_shares_of_a_mean():
    texts = toy_data(5).gather(range(5))
    assert counted_targets(texts) == 5 and counted_targets(TextDataset([[1], [2]]).gather([0, 1])) == 2
    assert [counted_targets(b) for b in TOKEN_BATCHES] == [2, 0, 5, 1]
    weighted = Classification(class_weights=[3.0, 2.0, 4.0])
    assert [weighted.weight(b) for b in TOKEN_BATCHES] == [7, 0, 15, 2]
    assert shares(TOKEN_BATCHES, counted_targets) == [2 / 8, 0, 5 / 8, 1 / 8]
    assert shares(TOKEN_BATCHES[1:2], counted_targets) == [1.0]
    with pytest.raises(ValueError, match="expected a target that counts in 2 batches"):
        shares([TOKEN_BATCHES[1]] * 2, counted_targets)


def test_texts_tokenized_on_demand_are_tokenized_on_another_thread(monkeypatch):
    """A Trainer makes their batches ahead; the result has the bits of texts tokenized before."""
    pytest.importorskip("tokenizers")
    import threading

    from engine.models import TransformerClassifier, TransformerConfig
    from engine.text import LazyTextDataset, TextDataset, Tokenizer

    texts = [
        f"the {word} is {other}" for word in ("card", "money", "login") for other in ("late", "lost", "here", "new")
    ]
    labels = [i // 4 for i in range(12)]
    tokenizer = Tokenizer.train(texts, vocab_size=60)
    threads = set()
    gather = LazyTextDataset.gather
    monkeypatch.setattr(
        LazyTextDataset, "gather", lambda self, rows: threads.add(threading.current_thread()) or gather(self, rows)
    )
    found = []
    for data in (TextDataset.from_texts(texts, tokenizer, labels), LazyTextDataset(texts, tokenizer, labels)):
        engine.manual_seed(0)
        config = TransformerConfig(vocab_size=tokenizer.vocab_size, hidden_size=16, intermediate_size=32, num_labels=3)
        trainer = Trainer(TransformerClassifier(config), TASK, TrainerConfig(epochs=2, batch_size=4), data, data)
        trainer.train()
        found.append([p.tolist() for p in trainer.model.parameters()])
    assert found[0] == found[1]
    assert threads and threading.main_thread() not in threads
