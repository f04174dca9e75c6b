"""Parameter groups, and what frozen parameters cost: nothing on the way back."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

import engine
from engine import nn
from engine.models import TransformerClassifier, TransformerConfig
from engine.train import Callback, Trainer, TrainerConfig, freeze, parameter_groups
from test_trainer import CONFIG, TASK, bits, toy_data


def deep_model(layers: int = 3, **options):
    engine.manual_seed(0)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": layers}
    return TransformerClassifier(
        TransformerConfig(
            vocab_size=400, max_position_embeddings=16, num_labels=3, type_vocab_size=2, **sizes, **options
        )
    )


def rate_by_name(model, groups) -> dict[str, tuple[float, float]]:
    names = {id(p): name for name, p in model.named_parameters()}
    return {names[id(p)]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_rates_fall_from_layer_to_layer():
    model = deep_model(pooler=True)
    groups = parameter_groups(model, 0.1, 1.0, 0.5, head_lr=7.0)
    rates = rate_by_name(model, groups)
    assert set(rates) == {name for name, _ in model.named_parameters()}
    for name, (rate, decay) in rates.items():
        layer = next((i for i in range(3) if f".layer.{i}." in name), None)
        expected = 0.0625 if "embeddings" in name else 7.0 if layer is None else (0.125, 0.25, 0.5)[layer]
        assert rate == expected, name
        assert decay == (0.1 if model.get_parameter(name).ndim >= 2 else 0.0)
    assert {rates[n][0] for n in ("classifier.weight", "bert.pooler.dense.bias")} == {7.0}
    assert groups[0]["lr"] == 7.0  # the rate in the log
    assert rate_by_name(model, parameter_groups(model, 0.1, 1.0, 0.5))["classifier.weight"][0] == 1.0
    plain = parameter_groups(model, 0.1)
    assert len(plain) == 2 and "lr" not in plain[0]
    with pytest.raises(ValueError, match="lr: expected a number, because layer_wise_lr_decay or head_lr is given"):
        parameter_groups(model, 0.1, head_lr=1.0)
    with pytest.raises(ValueError, match="expected numbered layers"):
        parameter_groups(nn.Linear(2, 2), 0.1, 1.0, 0.9)


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("transformer.layer.1.ffn", 2), ("encoder.layers.0.x", 1), ("h.1.attn", 2), ("blocks.1.norm", 2),
        ("encoder.albert_layer_groups.0.albert_layers.1.ffn", 2), ("encoder.embedding_hidden_mapping_in", 0),
        ("embeddings_project", 0), ("pooler", 3), ("encoder.LayerNorm", 3), ("players.5.x", 3),
    ],
)  # fmt: skip
def test_layers_are_found_by_the_names_that_encoders_use(name, depth):
    class Leaf(nn.Module):
        def __init__(self, path: list[str]) -> None:
            super().__init__()
            if path:
                self.add_module(path[0], Leaf(path[1:]))
            else:
                self.weight = nn.Parameter(engine.zeros(2, 2))

    model = nn.ModuleDict({"a": Leaf(name.split(".")), "b": Leaf(["layer", "1"])})
    rates = rate_by_name(model, parameter_groups(model, 0.0, 1.0, 0.5))
    assert rates[f"a.{name}.weight"][0] == 0.5 ** (3 - depth)


def test_the_trainer_uses_the_groups_and_its_schedule_keeps_their_ratios(tmp_path):
    model = deep_model()
    config = replace(CONFIG, epochs=1, layer_wise_lr_decay=0.5, head_lr=0.02, warmup_ratio=0.5)
    seen = []

    class Rates(Callback):
        def on_step_end(self, trainer, loss):
            seen.append([group["lr"] for group in trainer.optimizer.param_groups])

    trainer = Trainer(model, TASK, config, toy_data(), output=tmp_path, callbacks=[Rates()])
    trainer.train()
    assert seen[3] == pytest.approx([0.02] * 2 + [r for i in range(1, 5) for r in [5e-3 * 0.5**i] * 2])
    Trainer(deep_model(), TASK, config, toy_data(), output=tmp_path).train(resume=True)
    for setting in ({"layer_wise_lr_decay": 0.0}, {"layer_wise_lr_decay": 1.1}, {"head_lr": -1.0}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            TrainerConfig(**setting)


@pytest.fixture
def calls(monkeypatch):
    """Names of the kernels that were called, in their order."""
    seen: list[str] = []
    for module in [m for name, m in sys.modules.items() if name.startswith("engine.") and hasattr(m, "K")]:
        kernels = module.K

        class Counted:
            def __getattr__(self, name, kernels=kernels):
                kernel = getattr(kernels, name)

                def call(*args):
                    seen.append(name)
                    return kernel(*args)

                return call

        monkeypatch.setattr(module, "K", Counted())
    return seen


def nodes_of(tensor) -> list[str]:
    """Names of all ops on the tape behind a tensor."""
    found, left = {}, [tensor._node]
    while left:
        node = left.pop()
        if id(node) not in found:
            found[id(node)] = node
            left += [edge[0] for edge in node.edges if type(edge) is tuple]
    return [node.name for node in found.values()]


def backward_kernels(model, calls) -> dict[str, int]:
    batch = toy_data(8).gather(range(8))
    loss = nn.functional.cross_entropy(model(batch), batch.labels)
    nodes = nodes_of(loss)
    calls.clear()
    loss.backward()
    return {"nodes": len(nodes), **{name: calls.count(name) for name in calls}}


def test_frozen_parts_cost_no_backward(calls):
    whole = backward_kernels(deep_model(pooling="mean", pooler=False), calls)
    assert whole["linear_backward_weight"] == 3 * 4 + 1 and whole["embedding_sum_backward"] == 1

    model = deep_model(pooling="mean", pooler=False)
    frozen = freeze(model, embeddings=True, layers=2)
    assert len(frozen) == 5 + 2 * 12  # queries, keys and values are one
    got = backward_kernels(model, calls)
    # One layer and the classifier are left; nothing is on the tape below, and no input gradient is made for what is frozen.
    assert got["linear_backward_weight"] == 4 + 1 and "embedding_sum_backward" not in got
    assert got["attention_qkv_backward"] == 1 and got["dropout_add_layer_norm_backward"] == 2
    assert (whole["linear_backward_input"], got["linear_backward_input"]) == (3 * 3 + 1, 2 + 1)
    assert got["nodes"] < whole["nodes"] / 2
    assert all(model.get_parameter(name).grad is None for name in frozen)
    trained = [name for name, p in model.named_parameters() if p.grad is not None]
    assert set(trained) == {name for name, _ in model.named_parameters()} - set(frozen)

    # The classifier alone: nothing of the encoder is on the tape.
    model = deep_model(pooling="mean", pooler=False)
    model.bert.requires_grad_(False)
    got = backward_kernels(model, calls)
    assert {k for k in got if k.endswith("backward") or "_backward_" in k} == {"linear_backward_weight"}
    assert got["nodes"] == 2


def test_a_frozen_weight_between_trained_ones_costs_no_weight_gradient(calls):
    model = deep_model(pooling="mean", pooler=False)
    for name, parameter in model.named_parameters():
        if "dense" in name or "qkv" in name:
            parameter.requires_grad_(False)
    got = backward_kernels(model, calls)
    assert got["linear_backward_weight"] == 1 and got["linear_backward_input"] >= 3 * 3
    model = deep_model(pooling="mean", pooler=False)
    model.bert.embeddings.word_embeddings.requires_grad_(False)
    got = backward_kernels(model, calls)
    assert "embedding_backward_sparse" not in got and got["embedding_sum_backward"] == 1
    assert model.bert.embeddings.word_embeddings.weight.grad is None
    # The lowest trained part: its input needs no gradient.
    model = deep_model(1, pooling="mean", pooler=False)
    model.requires_grad_(False)
    model.bert.encoder.layer[0].intermediate.dense.requires_grad_(True)
    got = backward_kernels(model, calls)
    assert "linear_gelu_backward" not in got and got["gelu_backward"] == 1


def test_gradients_of_what_is_trained_are_those_without_frozen_parts():
    batch = toy_data(8).gather(range(8))
    grads = []
    for frozen in (0, 2):
        model = deep_model(pooling="mean")
        if frozen:
            freeze(model, layers=frozen)
        nn.functional.cross_entropy(model(batch), batch.labels).backward()
        grads.append({name: p.grad.numpy().tobytes() for name, p in model.named_parameters() if p.grad is not None})
    assert 0 < len(grads[1]) < len(grads[0])
    assert all(grads[0][name] == value for name, value in grads[1].items())


def test_frozen_parameters_stay_as_they_are_and_have_no_state(tmp_path):
    model = deep_model()
    frozen = freeze(model, layers=1)
    before = bits(model)
    trainer = Trainer(model, TASK, replace(CONFIG, epochs=1), toy_data(), output=tmp_path)
    trainer.train()
    kept = {id(model.get_parameter(name)) for name in frozen}
    assert not kept & {id(p) for p in trainer.optimizer.state} and kept
    after = bits(model)
    assert after["bert.embeddings.word_embeddings.weight"] == before["bert.embeddings.word_embeddings.weight"]
    assert (
        after["bert.encoder.layer.0.intermediate.dense.weight"]
        == before["bert.encoder.layer.0.intermediate.dense.weight"]
    )
    assert (
        after["bert.encoder.layer.1.intermediate.dense.weight"]
        != before["bert.encoder.layer.1.intermediate.dense.weight"]
    )
    assert freeze(deep_model(), embeddings=False) == []
    with pytest.raises(ValueError, match=r"layers: expected a number in \[0, 3\], got 4"):
        freeze(deep_model(), layers=4)
