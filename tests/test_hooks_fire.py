"""Each module of each model runs its hooks."""

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
    model, hooked, fired = small(kind), set(), set()
    for name, module in model.named_modules():
        if not isinstance(module, nn.ModuleList | nn.ModuleDict):
            module.register_forward_hook(lambda m, args, output, name=name: fired.add(name))
            hooked.add(name)
    model(engine.arange(8).view(2, 4))
    assert hooked == fired


def test_a_forward_that_an_object_has() -> None:
    module, seen = nn.Module(), []
    module.forward = lambda x: x + 1
    module.register_forward_hook(lambda m, args, output: seen.append(output))
    assert module(1) == 2 and seen == [2]
