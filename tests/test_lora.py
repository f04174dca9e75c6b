"""LoRA: what is trained and what it costs, the gradients of the adapters, merging, files that peft opens."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

import engine
from engine import nn, optim
from engine.models import (
    BertForSequenceClassification,
    BertForTokenClassification,
    TransformerClassifier,
    TransformerConfig,
)
from engine.nn import functional as F
from engine.nn.lora import (
    LoRAConfig,
    LoRALinear,
    add_lora,
    load_lora,
    load_lora_state_dict,
    lora_state_dict,
    merge_lora,
    save_lora,
)
from engine.train import Trainer, parameter_groups
from test_trainer import CONFIG, TASK, bits, toy_data

DENSE = ("query", "value", "attention.output.dense", "intermediate.dense")


def config(**options) -> TransformerConfig:
    values = {
        "vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "max_position_embeddings": 24, "num_labels": 3, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "pad_token_id": 0, **options,
    }  # fmt: skip
    return TransformerConfig(**values)


def classifier(seed: int = 0, **options) -> TransformerClassifier:
    engine.manual_seed(seed)
    return TransformerClassifier(config(**options))


def shake(model) -> None:
    """Adapters that change something."""
    rng = np.random.default_rng(1)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            p.detach().copy_(engine.tensor(rng.normal(0, 0.3, p.shape).astype(np.float32).tolist()))


def batch():
    return toy_data(7).gather(range(7))


# ---- one layer


def test_a_layer_is_what_its_factors_say():
    engine.manual_seed(0)
    base = nn.Linear(6, 9).double()
    weight, bias = base.weight.detach().numpy().copy(), base.bias.detach().numpy().copy()
    layer = LoRALinear(base, LoRAConfig(r=2, alpha=3), {"value": (6, 9), "query": (0, 3)})
    x = engine.randn(5, 6, dtype=engine.float64)
    np.testing.assert_allclose(layer(x).detach().numpy(), x.numpy() @ weight.T + bias, rtol=1e-12)
    shake(layer)
    whole = weight.copy()
    whole[:3] += 1.5 * layer.lora_B_query.detach().numpy() @ layer.lora_A_query.detach().numpy()
    whole[6:] += 1.5 * layer.lora_B_value.detach().numpy() @ layer.lora_A_value.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), x.numpy() @ whole.T + bias, rtol=1e-12)
    np.testing.assert_allclose(layer.weight.detach().numpy(), whole, rtol=1e-12)
    np.testing.assert_array_equal(layer.base_weight.detach().numpy(), weight)
    assert "r=2, scaling=1.5, parts=query, value" in repr(layer)
    merged = layer.merged()
    assert type(merged) is nn.Linear and merged.weight is base.weight
    np.testing.assert_allclose(merged(x).detach().numpy(), x.numpy() @ whole.T + bias, rtol=1e-12)


@pytest.mark.parametrize("parts", [None, {"key": (3, 6)}, {"a": (0, 3), "b": (3, 6), "c": (6, 9)}])
@pytest.mark.parametrize("through", ["layer", "weight"])
def test_gradients(parts, through):
    engine.manual_seed(0)
    base = nn.Linear(4, 9).double()
    base.requires_grad_(False)
    layer = LoRALinear(base, LoRAConfig(r=2, alpha=3), parts)
    shake(layer)
    factors = [p for name, p in layer.named_parameters() if "lora" in name]
    assert len(factors) == 2 * len(parts or "1")
    x = engine.randn(5, 4, dtype=engine.float64, requires_grad=True)

    def function(x, *factors):
        y = layer(x) if through == "layer" else F.linear_gelu(x, layer.weight, layer.bias)
        return y * y

    assert engine.autograd.gradcheck(function, (x, *factors))
    assert layer.base_weight.grad is None and layer.bias.grad is None


def test_dropout_is_of_the_adapters_input_alone():
    engine.manual_seed(0)
    layer = LoRALinear(nn.Linear(4, 4), LoRAConfig(r=4, alpha=4, dropout=0.5))
    shake(layer)
    x = engine.randn(3, 4)
    state = engine.get_rng_state()
    got = layer(x)
    engine.set_rng_state(state)
    expected = F.linear(x, layer.base_weight, layer.bias) + F.dropout(x, 0.5) @ layer.lora_A.T @ layer.lora_B.T
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    layer.eval()
    np.testing.assert_allclose(
        layer(x).detach().numpy(), F.linear(x, layer.weight, layer.bias).detach().numpy(), rtol=1e-5, atol=1e-6
    )


# ---- a model


@pytest.mark.parametrize("pooling", ["mean", "first"])
@pytest.mark.parametrize("act", ["gelu", "relu"])
def test_adapters_change_nothing_at_first_and_merge_back(pooling, act):
    model = classifier(pooling=pooling, hidden_act=act)
    before = model(batch()).detach().numpy()
    names = add_lora(model, LoRAConfig(r=3, target_modules=DENSE))
    assert names == [
        f"bert.encoder.layer.{i}.{name}"
        for i in range(2)
        for name in ("attention.self.query", "attention.self.value", "attention.output.dense", "intermediate.dense")
    ]
    np.testing.assert_allclose(model(batch()).detach().numpy(), before, atol=1e-6)
    optimizer = optim.AdamW(parameter_groups(model, 0.0), lr=0.02)
    for _ in range(4):
        F.cross_entropy(model(batch()), batch().labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    after = model(batch()).detach().numpy()
    assert np.abs(after - before).max() > 0.05
    assert merge_lora(model) is model and not hasattr(model, "lora_config")
    assert not any(isinstance(m, LoRALinear) for m in model.modules())
    np.testing.assert_allclose(model(batch()).detach().numpy(), after, atol=1e-6)
    assert set(model.state_dict()) == set(classifier(pooling=pooling).state_dict())
    again = classifier(seed=4, pooling=pooling, hidden_act=act)
    again.load_state_dict(model.state_dict())
    np.testing.assert_allclose(again(batch()).detach().numpy(), after, atol=1e-6)


def test_what_is_not_adapted_stays_as_it_is_and_has_no_state(tmp_path):
    model = classifier()
    names = set(add_lora(model))
    assert len(names) == 4
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name for name in trained if "lora" not in name} == {"classifier.weight", "classifier.bias"}
    assert len(trained) == 2 + 4 * 2
    before = model.state_dict(keep_vars=False)
    before = {name: t.numpy().copy() for name, t in before.items()}
    trainer = Trainer(model, TASK, replace(CONFIG, epochs=1), toy_data(), output=tmp_path)
    trainer.train()
    by_id = {id(p): name for name, p in model.named_parameters()}
    assert {by_id[id(p)] for p in trainer.optimizer.state} == trained
    for name, t in model.state_dict().items():
        assert np.array_equal(t.numpy(), before[name]) == ("lora" not in name and "classifier" not in name), name
    saved = sum(p.numel() for name, p in model.named_parameters() if name in trained)
    assert saved < model.num_parameters() / 4


def test_training_resumes_with_adapters(tmp_path):
    def make():
        model = classifier()
        add_lora(model, LoRAConfig(r=2, dropout=0.1))
        return model

    whole = make()
    Trainer(whole, TASK, CONFIG, toy_data(), toy_data(9), output=tmp_path / "whole").train()
    cut = Trainer(make(), TASK, replace(CONFIG), toy_data(), toy_data(9), output=tmp_path / "cut")
    cut.callbacks.append(type("Stop", (engine.train.Callback,), {"on_step_end": lambda s, t, loss: t.interrupt()})())
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    model = make()
    Trainer(model, TASK, CONFIG, toy_data(), toy_data(9), output=tmp_path / "cut").train(resume=True)
    assert bits(model) == bits(whole)


def test_a_frozen_base_costs_no_weight_gradient(monkeypatch):
    model = classifier(pooling="mean")
    add_lora(model, LoRAConfig(r=2, target_modules=("query", "value", "attention.output.dense")))
    shapes = []
    linear = sys.modules["engine.ops.linear"]

    class Counted:
        def __getattr__(self, name, kernels=linear.K):
            kernel = getattr(kernels, name)
            if name != "linear_backward_weight":
                return kernel
            return lambda dy, x: (shapes.append((dy.shape[-1], x.shape[-1])), kernel(dy, x))[1]

    monkeypatch.setattr(linear, "K", Counted())
    F.cross_entropy(model(batch()), batch().labels).backward()
    qkv, out = [(48, 4), (4, 16)], [(16, 2), (2, 16)]  # B, A
    assert sorted(shapes) == sorted([(3, 16), *2 * (qkv + out)])
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert frozen and all(p.grad is None for p in frozen)


def test_names_that_fit_nothing_are_refused_before_anything_changes():
    model = classifier()
    state = {name: p.requires_grad for name, p in model.named_parameters()}
    for wrong in ({"target_modules": ("query", "q")}, {"modules_to_save": ("head",)}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            add_lora(model, LoRAConfig(**wrong))
    with pytest.raises(ValueError, match="expected a model with adapters"):
        merge_lora(model)
    with pytest.raises(ValueError, match="expected a model with adapters"):
        lora_state_dict(model)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == state
    add_lora(model)
    with pytest.raises(ValueError, match="expected a model without adapters"):
        add_lora(model)
    for wrong in (
        {"r": 0}, {"alpha": 0}, {"dropout": 1.5}, {"target_modules": ()}, {"alpha": float("inf")},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"LoRAConfig\] {next(iter(wrong))}: expected"):
            LoRAConfig(**wrong)
    for wrong in ({"target_modules": "query"}, {"modules_to_save": "classifier"}, {"r": "8"}, {"alpha": None}):
        with pytest.raises(TypeError, match=rf"LoRAConfig\] {next(iter(wrong))}: expected"):
            LoRAConfig(**wrong)


def test_a_plain_stack_and_a_fused_projection_as_a_whole():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2, bias=False))
    assert add_lora(model, LoRAConfig(r=1, target_modules=("0", "2"))) == ["0", "2"]
    assert isinstance(model[0], LoRALinear) and model(engine.ones(3, 4)).shape == (3, 2)
    merge_lora(model)
    assert type(model[2]) is nn.Linear and model[2].bias is None
    model = classifier()
    names = add_lora(model, LoRAConfig(target_modules=("self.qkv",)))
    assert [name.rpartition(".")[2] for name in names] == ["query", "key", "value"] * 2


# ---- files


def test_what_is_trained_whole_gets_no_adapter(tmp_path):
    """Its weights would be trained, and then be missing from the adapters' files."""
    with pytest.raises(ValueError, match=r"got 'classifier' \(no Linear layer has that name, or"):
        add_lora(classifier(), LoRAConfig(r=2, target_modules=("query", "classifier")))
    for targets, saved in ((("query", "dense"), ("classifier", "pooler")), (("query", "value"), None)):
        base = BertForSequenceClassification(config(model_type="bert")).eval()
        base.save_pretrained(tmp_path / "base")
        adapted = add_lora(base, LoRAConfig(r=2, target_modules=targets, modules_to_save=saved))
        assert not any("classifier" in name or "pooler" in name for name in adapted)
        shake(base)
        with engine.no_grad():
            for name, p in base.named_parameters():
                if p.requires_grad and "lora" not in name:
                    p.add_(0.3)
        save_lora(base, tmp_path / "adapter")
        again = BertForSequenceClassification.from_pretrained(tmp_path / "base")
        load_lora(again, tmp_path / "adapter")
        assert again(batch()).tolist() == base(batch()).tolist()


def test_names_and_shapes_of_the_files(tmp_path):
    model = classifier()
    add_lora(model, LoRAConfig(r=2, target_modules=("query", "layer.1.output.dense")))
    shake(model)
    state = lora_state_dict(model)
    start = "base_model.model."
    assert {name: t.shape for name, t in state.items()} == {
        f"{start}bert.encoder.layer.0.attention.self.query.lora_A.weight": (2, 16),
        f"{start}bert.encoder.layer.0.attention.self.query.lora_B.weight": (16, 2),
        f"{start}bert.encoder.layer.1.attention.self.query.lora_A.weight": (2, 16),
        f"{start}bert.encoder.layer.1.attention.self.query.lora_B.weight": (16, 2),
        f"{start}bert.encoder.layer.1.output.dense.lora_A.weight": (2, 32),
        f"{start}bert.encoder.layer.1.output.dense.lora_B.weight": (16, 2),
        f"{start}classifier.weight": (3, 16),
        f"{start}classifier.bias": (3,),
    }
    save_lora(model, tmp_path, "the/base")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    values = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (values["peft_type"], values["r"], values["modules_to_save"]) == ("LORA", 2, ["classifier"])
    expected = model(batch()).detach().numpy()
    other = classifier()
    other.classifier.reset_parameters()
    assert load_lora(other, tmp_path).target_modules == tuple(values["target_modules"])
    assert np.array_equal(other(batch()).detach().numpy(), expected)


def test_files_that_do_not_fit_are_refused(tmp_path):
    model = classifier()
    add_lora(model, LoRAConfig(r=2))
    save_lora(model, tmp_path)
    state = lora_state_dict(model)
    name = next(iter(state))
    with pytest.raises(ValueError, match=f"missing: {name}"):
        load_lora_state_dict(model, {k: v for k, v in state.items() if k != name})
    with pytest.raises(ValueError, match="unexpected: x"):
        load_lora_state_dict(model, {**state, "x": state[name]})
    with pytest.raises(ValueError, match=r"mis-shaped: .*: expected shape \(2, 16\), got \(16, 2\)"):
        load_lora_state_dict(model, {**state, name: engine.zeros(16, 2)})
    wider = classifier(hidden_size=32)
    before = bits(wider)
    with pytest.raises(ValueError, match="mis-shaped"):
        load_lora(wider, tmp_path)
    assert bits(wider) == before and not any(isinstance(m, LoRALinear) for m in wider.modules())
    assert all(p.requires_grad for p in wider.parameters())
    path = tmp_path / "adapter_config.json"
    good = json.loads(path.read_text())
    for wrong in (
        {"use_dora": True},
        {"peft_type": "IA3"},
        {"bias": "all"},
        {"r": 0},
        {"target_modules": "all-linear"},
    ):
        path.write_text(json.dumps({**good, **wrong}))
        with pytest.raises(
            ValueError, match=r"expected (the config of LoRA adapters|a number >= 1 as 'r'|a list as 'target_modules')"
        ):
            load_lora(classifier(), tmp_path)
    for text in ("[]", "{", "{}"):
        path.write_text(text)
        with pytest.raises(
            ValueError, match=r"expected the config of LoRA adapters|expected JSON|expected a JSON object"
        ):
            load_lora(classifier(), tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"adapter_config\.json"):
        load_lora(classifier(), tmp_path)


PUBLISHED = {
    "bert": ("query", "value", "output.dense"),
    "distilbert": ("q_lin", "v_lin", "ffn.lin1"),
    "roberta": ("query", "intermediate.dense"),
}


@pytest.mark.parametrize("family", list(PUBLISHED))
@pytest.mark.parametrize("kind", [BertForSequenceClassification, BertForTokenClassification])
@pytest.mark.filterwarnings("ignore")  # of other libraries
def test_peft_opens_the_files_and_its_own_are_opened(tmp_path, family, kind):
    torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    engine.manual_seed(0)
    offset = 1 if family == "roberta" else 0
    sizes = {"type_vocab_size": {"bert": 2, "distilbert": 0, "roberta": 1}[family]}
    base = kind(
        config(model_type=family, pad_token_id=offset, position_offset=2 * offset, classifier_dropout=0.0, **sizes)
    )
    base.eval()
    base.save_pretrained(tmp_path / "base")
    task = "Sequence" if kind is BertForSequenceClassification else "Token"
    their_kind = getattr(transformers, f"AutoModelFor{task}Classification")
    ids = [[5, 6, 7, 8], [9, 10, 11, 12]]

    add_lora(base, LoRAConfig(r=2, alpha=5, target_modules=PUBLISHED[family]))
    shake(base)
    base.classifier.bias.detach().copy_(engine.tensor([0.1, 0.2, 0.3]))
    save_lora(base, tmp_path / "adapter", str(tmp_path / "base"))
    theirs = peft.PeftModel.from_pretrained(their_kind.from_pretrained(tmp_path / "base"), tmp_path / "adapter").eval()
    expected = theirs(input_ids=torch.tensor(ids)).logits.detach().numpy()
    np.testing.assert_allclose(base(engine.tensor(ids)).detach().numpy(), expected, atol=2e-5)

    made = peft.LoraConfig(
        r=3,
        lora_alpha=4,
        target_modules=list(PUBLISHED[family]),
        task_type="SEQ_CLS" if task == "Sequence" else "TOKEN_CLS",
    )
    torch.manual_seed(0)
    theirs = peft.get_peft_model(their_kind.from_pretrained(tmp_path / "base"), made).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            if p.requires_grad:
                p.copy_(torch.randn(p.shape) * 0.3)
    theirs.save_pretrained(tmp_path / "theirs")
    mine = kind.from_pretrained(tmp_path / "base")
    load_lora(mine, tmp_path / "theirs")
    expected = theirs(input_ids=torch.tensor(ids)).logits.detach().numpy()
    np.testing.assert_allclose(mine(engine.tensor(ids)).detach().numpy(), expected, atol=2e-5)
    np.testing.assert_allclose(merge_lora(mine)(engine.tensor(ids)).detach().numpy(), expected, atol=2e-5)
