"""Training on a CUDA device: the losses of the CPU, the same bits on every run, no wait of the host inside a step, mixed
precision, and what happens to an id that is out of range. Two layers, ragged sequences of 190 tokens in all: more than a
tile of every kernel and an edge."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.models import (
    BertForMaskedLM,
    BertForTokenClassification,
    TransformerClassifier,
    TransformerConfig,
)
from engine.tasks import TASKS, MaskedLM, Task
from engine.text import Labels, MaskedLanguageModeling, PackedBatch
from engine.train.sources import shares

VOCAB, LABELS = 211, 7
LENGTHS = (1, 17, 33, 70, 5, 64)


def batch(device: str, number: int = 0) -> PackedBatch:
    rng = np.random.default_rng(number)
    sequences = [rng.integers(1, VOCAB, n).tolist() for n in LENGTHS]
    made = PackedBatch.from_sequences(sequences, labels=rng.integers(0, LABELS, len(LENGTHS)).tolist())
    return made.to(device)


def classifier(device: str, dropout: float = 0.1) -> TransformerClassifier:
    engine.manual_seed(3)
    config = TransformerConfig(
        vocab_size=VOCAB,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=136,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=LABELS,
        pooling="mean",
    )
    return TransformerClassifier(config).to(device)


class Training:
    """The steps of a usual recipe, one at a time."""

    def __init__(self, device: str, autocast: bool = False, dropout: float = 0.1) -> None:
        self.device, self.autocast = device, autocast
        self.model = classifier(device, dropout)
        self.model.train()
        decay = [p for p in self.model.parameters() if p.ndim > 1]
        rest = [p for p in self.model.parameters() if p.ndim == 1]
        self.optimizer = engine.optim.AdamW(
            [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=2e-3
        )
        self.scheduler = engine.optim.lr_scheduler.LinearLR(self.optimizer, 1.0, 0.2, 20)

    def step(self, data: PackedBatch) -> engine.Tensor:
        with engine.autocast(dtype=engine.bfloat16, enabled=self.autocast):
            loss = engine.nn.functional.cross_entropy(self.model(data), data.labels, label_smoothing=0.1)
        self.optimizer.zero_grad()
        loss.backward()
        engine.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.scheduler.step()
        return loss.detach()

    def losses(self, steps: int) -> np.ndarray:
        engine.manual_seed(11)
        batches = [batch(self.device, i) for i in range(3)]
        found = [self.step(batches[i % 3]) for i in range(steps)]
        return np.array([x.item() for x in found])


@pytest.fixture
def precision():
    yield engine.set_float32_matmul_precision
    engine.set_float32_matmul_precision("highest")


def test_twenty_steps_follow_the_cpu(cuda: str) -> None:
    expected, found = Training("cpu"), Training(cuda)
    wanted = expected.losses(20)
    np.testing.assert_allclose(found.losses(20), wanted, rtol=0, atol=1e-4)
    assert wanted[-1] < wanted[0] - 0.1, "nothing was learnt: the comparison would show little"
    for (name, a), b in zip(expected.model.named_parameters(), found.model.parameters()):
        np.testing.assert_allclose(b.detach().cpu().numpy(), a.detach().numpy(), rtol=0, atol=2e-3, err_msg=name)


def test_same_bits_on_every_run(cuda: str) -> None:
    runs = [Training(cuda) for _ in range(2)]
    losses = [run.losses(3).tobytes() for run in runs]
    assert losses[0] == losses[1]
    for (name, a), b in zip(runs[0].model.named_parameters(), runs[1].model.parameters()):
        assert a.detach().cpu().numpy().tobytes() == b.detach().cpu().numpy().tobytes(), name


@pytest.mark.parametrize("name, tolerance", [("high", 2e-3), ("medium", 2e-2)])
def test_precisions_of_float32_products(name: str, tolerance: float, cuda: str, precision) -> None:
    wanted = Training("cpu", dropout=0.0).losses(5)
    precision(name)
    found = Training(cuda, dropout=0.0).losses(5)
    np.testing.assert_allclose(found, wanted, rtol=tolerance)
    assert found.tobytes() != wanted.tobytes(), "float32 throughout: the setting had no effect"


def test_autocast_trains_float32_masters(cuda: str) -> None:
    wanted = Training("cpu").losses(10)
    training = Training(cuda, autocast=True)
    found = training.losses(10)
    np.testing.assert_allclose(found, wanted, rtol=3e-2)
    for name, p in training.model.named_parameters():
        assert p.dtype is engine.float32 and p.grad is not None and p.grad.dtype is engine.float32, name
    with engine.no_grad(), engine.autocast(dtype=engine.bfloat16):
        layer = engine.nn.Linear(64, 8, device=cuda)
        assert layer(engine.randn(130, 64, device=cuda)).dtype is engine.bfloat16


def test_a_step_waits_for_nothing(cuda: str) -> None:
    training = Training(cuda)
    batches = [batch(cuda, i) for i in range(2)]
    training.step(batches[0])  # the optimizer's state is made
    before = engine.cuda.memory_stats()["host_waits"]
    for i in range(3):
        training.step(batches[i % 2])
    assert engine.cuda.memory_stats()["host_waits"] == before


def task_on(name: str, device: str) -> tuple[Task, engine.nn.Module, list]:
    """A task, a model for it, and six batches on the host, of different sizes."""
    rng = np.random.default_rng(5)
    config = TransformerConfig(
        vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=40,
        num_labels=1 if name == "regression" else LABELS,
        model_type="bert" if name in ("tagging", "masked") else None,
    )  # fmt: skip
    ids = [[rng.integers(5, VOCAB, n) for n in lengths] for lengths in ((9, 33), (1, 5, 2), (40,)) * 2]
    names = Labels(map(str, range(LABELS)))
    engine.manual_seed(3)
    if name == "masked":
        masking = MaskedLanguageModeling(4, VOCAB, range(5), p=0.4)
        batches = [masking(PackedBatch.from_sequences(x), i) for i, x in enumerate(ids)]
        model = BertForMaskedLM(config)
        return MaskedLM(masking), model.to(device), batches
    targets = {
        "classification": lambda x: {"labels": rng.integers(0, LABELS, len(x))},
        "multilabel": lambda x: {"labels": rng.integers(0, 2, (len(x), LABELS)).astype(np.float32)},
        "regression": lambda x: {"labels": rng.standard_normal(len(x)).astype(np.float32)},
        "tagging": lambda x: {"token_labels": [np.where(rng.random(len(s)) < 0.5, -100, s % LABELS) for s in x]},
    }[name]
    batches = [PackedBatch.from_sequences(x, **targets(x)) for x in ids]
    task = TASKS[name](
        ["value"] if name == "regression" else names, **({} if name == "regression" else {"label_smoothing": 0.1})
    )
    if name != "regression":
        task.balance(np.concatenate([b.labels.numpy() for b in batches]))
    kind = BertForTokenClassification if name == "tagging" else TransformerClassifier
    return task, kind(config).to(device), batches


@pytest.mark.parametrize("name", [*TASKS, "masked"])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("moved", [False, True], ids=["from the host", "on the device"])
def test_no_task_waits(name: str, accumulate: int, moved: bool, cuda: str) -> None:
    """Steps of one batch and of three together; batches that each step moves, and such as lie on the device already."""
    task, model, batches = task_on(name, cuda)
    optimizer = engine.optim.AdamW(model.parameters(), lr=1e-3)
    if moved:
        batches = [batch.to(cuda) for batch in batches]

    def step(group: list) -> None:
        for batch, share in zip(group, shares(group, task.weight), strict=True):
            loss = task.loss(model, batch.to(cuda, non_blocking=True))
            (loss * share).backward()
        engine.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    before = [p.detach().cpu().numpy().copy() for p in model.parameters()]
    waits = engine.cuda.memory_stats()["host_waits"]
    for i in range(0, 6, accumulate):
        step(batches[i : i + accumulate])
        assert engine.cuda.memory_stats()["host_waits"] == waits, f"step {i}"
    engine.cuda.synchronize()  # where kernels would say what they found wrong
    assert any((p.detach().cpu().numpy() != old).any() for p, old in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("name", [*TASKS, "masked"])
def test_the_losses_and_weights_of_tasks_are_those_of_the_cpu(name: str, cuda: str) -> None:
    found = {}
    for device in ("cpu", cuda):
        task, model, batches = task_on(name, device)
        model.eval()
        moved = [batch.to(device) for batch in batches]
        found[device] = [[task.loss(model, b).item() for b in moved], [task.weight(b) for b in moved]]
        assert found[device][1] == [task.weight(b) for b in batches]
    np.testing.assert_allclose(found[cuda], found["cpu"], rtol=1e-4)


def test_memory_is_flat_from_the_second_step_on(cuda: str) -> None:
    training = Training(cuda)
    data = batch(cuda)
    training.step(data)
    training.step(data)
    engine.cuda.synchronize()
    before = engine.cuda.memory_allocated()
    for _ in range(3):
        training.step(data)
    engine.cuda.synchronize()
    assert engine.cuda.memory_allocated() == before


def test_an_id_out_of_range_is_an_index_error_and_no_end(cuda: str) -> None:
    model = classifier(cuda)
    data = batch(cuda)
    data.input_ids[5] = VOCAB
    loss = engine.nn.functional.cross_entropy(model(data), data.labels)
    with pytest.raises(IndexError, match=rf"input.*\[0, {VOCAB}\), got {VOCAB} at position 5"):
        loss.item()
    fine = engine.nn.functional.cross_entropy(model(batch(cuda)), data.labels)
    assert np.isfinite(fine.item()), "the device is usable again"


def test_a_label_out_of_range_is_an_index_error(cuda: str) -> None:
    data = batch(cuda)
    data.labels[2] = LABELS
    loss = engine.nn.functional.cross_entropy(classifier(cuda)(data), data.labels)
    with pytest.raises(IndexError, match=rf"\[cross_entropy\] target.*{LABELS}"):
        loss.item()


def test_a_model_moves_and_its_outputs_stay(cuda: str) -> None:
    model = classifier("cpu").eval()
    with engine.no_grad():
        wanted = model(batch("cpu")).numpy()
        on_device = model.to(cuda)(batch(cuda))
        assert on_device.device == engine.device("cuda:0")
        np.testing.assert_allclose(on_device.cpu().numpy(), wanted, atol=1e-5)
        assert np.array_equal(model.to("cpu")(batch("cpu")).numpy(), wanted)
