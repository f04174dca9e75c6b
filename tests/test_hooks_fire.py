"""Each module of each model either runs its hooks, or refuses them."""

from __future__ import annotations

import pytest

import engine
from engine import models, nn

SIZES = {
    "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 16, "num_labels": 3,
}  # fmt: skip
KINDS = [
    models.BertModel,
    models.BertForSequenceClassification,
    models.BertForTokenClassification,
    models.BertForMaskedLM,
    models.TransformerClassifier,
]


def small(kind):
    return kind(models.TransformerConfig(**SIZES))


@pytest.mark.parametrize("kind", KINDS)
def test_all_modules_of_a_model(kind) -> None:
    model = small(kind)
    hooked, fired, refused = set(), set(), set()
    for name, module in model.named_modules():
        try:
            module.register_forward_hook(lambda m, args, output, name=name: fired.add(name))
        except RuntimeError as error:
            assert "without forward" in str(error)
            refused.add(name)
        else:
            hooked.add(name)
    model(engine.arange(8).view(2, 4))
    lists = {name for name, m in model.named_modules() if isinstance(m, nn.ModuleList | nn.ModuleDict)}
    # The encoder under a head is not called as a whole: the head calls its embeddings, its layers and its pooler.
    assert hooked - fired == lists | ({"bert"} if "bert" in hooked else set())
    assert {name.rpartition(".")[2] for name in refused} == {"attention", "output"}


@pytest.mark.parametrize(
    "name",
    [
        "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
        "register_full_backward_pre_hook",
    ],
)  # fmt: skip
def test_the_refusal_names_the_parts(name) -> None:
    output = small(models.BertModel).encoder.layer[0].attention.output
    with pytest.raises(RuntimeError, match=rf"\[{name}\] self: .*parts: dense, LayerNorm, dropout"):
        getattr(output, name)(print)
    nn.ModuleList([nn.Identity()]).register_forward_hook(print)  # as in PyTorch


def test_a_forward_that_an_object_has() -> None:
    module, seen = nn.Module(), []
    module.forward = lambda x: x + 1
    module.register_forward_hook(lambda m, args, output: seen.append(output))
    assert module(1) == 2 and seen == [2]
