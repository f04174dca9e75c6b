"""engine's side of the comparison: `TransformerClassifier` with the weights that `bench.step.weights` made."""

from __future__ import annotations

import numpy as np

import engine
from engine.models import TransformerClassifier, TransformerConfig

OUTER = {
    "words": "bert.embeddings.word_embeddings",
    "positions": "bert.embeddings.position_embeddings",
    "norm": "bert.embeddings.LayerNorm",
    "classifier": "classifier",
}
INNER = {
    "qkv": "attention.self.qkv",
    "out": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm2": "output.LayerNorm",
}


def own_name(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "layers":
        return f"bert.encoder.layer.{parts[1]}.{INNER[parts[2]]}.{parts[3]}"
    return f"{OUTER[parts[0]]}.{parts[1]}"


def build(
    vocab: int,
    layers: int,
    dim: int,
    heads: int,
    ff: int,
    labels: int,
    dropout: float,
    pooling: str,
    weights: dict[str, np.ndarray],
) -> TransformerClassifier:
    config = TransformerConfig(
        vocab_size=vocab,
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=ff,
        num_labels=labels,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pooling=pooling,
        type_vocab_size=0,
        pad_token_id=None,
    )
    model = TransformerClassifier(config)
    own = dict(model.named_parameters())
    named = {own_name(name): array for name, array in weights.items()}
    assert own.keys() == named.keys(), own.keys() ^ named.keys()
    with engine.no_grad():
        for name, parameter in own.items():
            parameter.copy_(engine.from_numpy(named[name]))
    return model
