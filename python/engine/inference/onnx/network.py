"""The nodes of an encoder and of what stands on it: for each module of `engine.models` what its forward computes in evaluation, on a
rectangle (batch, length) with padding. The sizes, norms, activations and parts are those that the modules have; no family is named.

A token's position, and the values at padding, are those of the models on a rectangle; see `TransformerEncoderModel`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import singledispatchmethod
from typing import Any

import numpy as np

from engine.errors import BadType
from engine.inference.embedder import SentenceEncoder
from engine.inference.onnx.graph import Graph
from engine.models import (
    BertForMaskedLM,
    BertForTokenClassification,
    TransformerClassifier,
    TransformerConfig,
    TransformerEncoderModel,
)
from engine.models.pretrained import Pretrained
from engine.nn import LayerNorm, Linear, Module

__all__ = ["ACTIVATIONS", "Network"]

_LOWEST = float(np.finfo(np.float32).min)  # a score that no token has


def _gelu(g: Graph, x: str) -> str:
    """x (1 + erf(x / sqrt 2)) / 2"""
    erf = g("Erf", g("Div", x, g.constant(math.sqrt(2))))
    return g("Mul", g("Mul", x, g("Add", erf, g.constant(1))), g.constant(0.5))


def _gelu_tanh(g: Graph, x: str) -> str:
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2"""
    cubic = g("Mul", g("Mul", x, x), g("Mul", x, g.constant(0.044715)))
    tanh = g("Tanh", g("Mul", g("Add", x, cubic), g.constant(math.sqrt(2 / math.pi))))
    return g("Mul", g("Mul", x, g("Add", tanh, g.constant(1))), g.constant(0.5))


ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "gelu": _gelu,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "relu": lambda g, x: g("Relu", x),
    "silu": lambda g, x: g("Mul", x, g("Sigmoid", x)),
    "tanh": lambda g, x: g("Tanh", x),
}
"""The activations by their names in a config."""


class Network:
    """Adds a model to a graph: inputs input_ids, attention_mask and, if the model has more than one token type, token_type_ids, int64
    (batch, length). `outputs` adds the rest. Weights have their published names; those of projections are transposed, and so named.
    """

    def __init__(self, g: Graph, model: Pretrained) -> None:
        self.g, self.config = g, model.config
        self._prefixes = {id(module): f"{path}." for path, module in model.named_modules() if path}
        self._state = model.state_dict()
        self._published = model.published_name
        self.ids = g.input("input_ids", np.int64, ("batch", "length"))
        mask = g.input("attention_mask", np.int64, ("batch", "length"))
        several = self.config.type_vocab_size > 1
        self.types = g.input("token_type_ids", np.int64, ("batch", "length")) if several else None
        real = g.cast(mask, np.bool_)
        self.mask = g.cast(real, np.float32)  # (batch, length): 1 at tokens, 0 at padding
        self.cells = g("Unsqueeze", self.mask, self._axes(2))  # (batch, length, 1)
        self.real = g("Unsqueeze", real, self._axes(2))
        bias = g("Where", real, g.constant(0), g.constant(_LOWEST))
        self.bias = g("Unsqueeze", bias, self._axes(1, 2))  # (batch, 1, 1, length), added to the scores of attention

    # ---- what a model gives

    @singledispatchmethod
    def outputs(self, model: Any) -> None:
        """Adds the outputs of the model. Raises TypeError for a class that has no rule here."""
        raise BadType("export_onnx", "model", "a model of engine.models or a SentenceEncoder", type(model).__name__)

    @outputs.register
    def _(self, model: TransformerClassifier) -> None:
        pooled = self._pooled(model.bert, self._encoded(model.bert))
        self.g.output("logits", self.linear(pooled, model.classifier), ("batch", model.config.num_labels))

    @outputs.register
    def _(self, model: BertForTokenClassification) -> None:
        self._each_token("logits", self.linear(self._encoded(model.bert), model.classifier), model.config.num_labels)

    @outputs.register
    def _(self, model: BertForMaskedLM) -> None:
        head, transform = model.cls.predictions, model.cls.predictions.transform
        y = self.linear(self._encoded(model.bert), transform.dense)
        y = self.norm(self.act(y, transform.act), transform.LayerNorm)
        words = self.g("Transpose", self._weight(model.bert.embeddings.word_embeddings, "weight"), perm=[1, 0])
        logits = self.g("Add", self.g("MatMul", y, words), self._weight(head, "bias"))
        self._each_token("logits", logits, model.config.vocab_size)

    @outputs.register
    def _(self, model: TransformerEncoderModel) -> None:
        hidden = self._encoded(model)
        self._each_token("last_hidden_state", hidden, model.config.hidden_size)
        if model.pooler is not None:
            self.g.output("pooler_output", self._pooled(model, hidden), ("batch", model.config.hidden_size))

    @outputs.register
    def _(self, encoder: SentenceEncoder) -> None:
        g, hidden = self.g, self._encoded(encoder.model)
        parts = [self.pool(hidden, mode) for mode in encoder.pooling]
        y = parts[0] if len(parts) == 1 else g("Concat", *parts, axis=1)
        if encoder.normalize:
            y = g("Div", y, g("Max", g("ReduceL2", y, axes=[1]), g.constant(1e-12)))
        g.output("sentence_embedding", y, ("batch", encoder.dimension))

    def _each_token(self, name: str, value: str, size: int) -> None:
        """An output (batch, length, size), 0 at padding."""
        self.g.output(name, self.g("Mul", value, self.cells), ("batch", "length", size))

    # ---- the encoder

    def _encoded(self, model: TransformerEncoderModel) -> str:
        """Hidden states (batch, length, hidden_size)."""
        x = self._embedded(model.embeddings)
        if model.embeddings_project is not None:
            x = self.linear(x, model.embeddings_project)
        for layer in model.encoder.layers():
            x = self._block(x, layer)
        return x if model.encoder.LayerNorm is None else self.norm(x, model.encoder.LayerNorm)

    def _embedded(self, tables: Any) -> str:
        g, positions = self.g, positions_in(self.g, self.ids, self.config)
        x = g("Gather", self._weight(tables.word_embeddings, "weight"), self.ids)
        x = g("Add", x, g("Gather", self._weight(tables.position_embeddings, "weight"), positions))
        if tables.token_type_embeddings is not None:
            first = g.constant(0, np.int64)
            types = self._weight(tables.token_type_embeddings, "weight")
            x = g("Add", x, g("Gather", types, first if self.types is None else self.types))
        return self.norm(x, tables.LayerNorm)

    def _block(self, x: str, layer: Any) -> str:
        """`run_block`: post-norm or pre-norm around an attention and a feed-forward part."""
        parts: tuple[tuple[Callable[[str], str], LayerNorm], ...] = (
            (lambda y: self._attention(y, layer.attention), layer.attention.output.LayerNorm),
            (lambda y: self._feed_forward(y, layer), layer.output.LayerNorm),
        )
        for compute, norm in parts:
            if layer.norm_first:
                x = self.g("Add", x, compute(self.norm(x, norm)))
            else:
                x = self.norm(self.g("Add", x, compute(x)), norm)
        return x

    def _attention(self, x: str, attention: Any) -> str:
        inner, g = getattr(attention, "self"), self.g  # noqa: B009
        d, heads = self.config.hidden_size, inner.heads
        apart, together = g.constant([0, 0, heads, d // heads], np.int64), g.constant([0, 0, d], np.int64)

        def head(name: str, order: list[int]) -> str:
            y = g("Reshape", self._projected(x, inner, f"{name}."), apart)
            return g("Transpose", y, perm=order)

        q, k, v = head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1]), head("value", [0, 2, 1, 3])
        scores = g("Div", g("MatMul", q, k), g.constant(math.sqrt(d // heads)))
        shares = g("Softmax", g("Add", scores, self.bias), axis=-1)
        y = g("Transpose", g("MatMul", shares, v), perm=[0, 2, 1, 3])
        return self.linear(g("Reshape", y, together), attention.output.dense)

    def _feed_forward(self, x: str, layer: Any) -> str:
        inner = layer.intermediate
        return self.linear(self.act(self.linear(x, inner.dense), inner.act), layer.output.dense)

    # ---- pooling

    def _pooled(self, model: TransformerEncoderModel, hidden: str) -> str:
        """`TransformerEncoderModel.pool`: (batch, hidden_size)."""
        y, pooler = self.pool(hidden, model.config.pooling), model.pooler
        return y if pooler is None else self.act(self.linear(y, pooler.dense), pooler.act)

    def pool(self, hidden: str, mode: str) -> str:
        """(batch, length, d) -> (batch, d), by the names of `TransformerConfig.pooling` and of `SentenceEncoder`."""
        return getattr(self, f"_pool_{mode}")(hidden)

    def _pool_first(self, hidden: str, last: int = 0) -> str:
        column = self.g("ArgMax", self.mask, axis=1, keepdims=1, select_last_index=last)  # (batch, 1)
        return self.g("GatherND", hidden, column, batch_dims=1)

    _pool_cls = _pool_first

    def _pool_lasttoken(self, hidden: str) -> str:
        return self._pool_first(hidden, last=1)

    def _pool_max(self, hidden: str) -> str:
        return self.g("ReduceMax", self.g("Where", self.real, hidden, self.g.constant(_LOWEST)), axes=[1], keepdims=0)

    def _pool_mean(self, hidden: str) -> str:
        return self._weighted(hidden, self.cells)

    def _pool_mean_sqrt_len_tokens(self, hidden: str) -> str:
        return self._weighted(hidden, self.cells, root=True)

    def _pool_weightedmean(self, hidden: str) -> str:
        rising = self.g("CumSum", self.cells, self.g.constant(1, np.int64))  # the weights of tokens are 1, 2, 3, ...
        return self._weighted(hidden, self.g("Mul", rising, self.cells))

    def _weighted(self, hidden: str, weights: str, root: bool = False) -> str:
        """The weighted sum divided by the sum of the weights (batch, length, 1), or by its root."""
        g, axes = self.g, self._axes(1)
        total = g("Max", g("ReduceSum", weights, axes, keepdims=0), g.constant(1))
        summed = g("ReduceSum", g("Mul", hidden, weights), axes, keepdims=0)
        return g("Div", summed, g("Sqrt", total) if root else total)

    # ---- layers

    def linear(self, x: str, module: Linear) -> str:
        """x W^T + b over the last axis."""
        return self._projected(x, module, "")

    def _projected(self, x: str, module: Module, part: str) -> str:
        """`linear` with the weights that the module publishes under `part`."""
        weight, bias = self._name(module, f"{part}weight"), self._name(module, f"{part}bias")
        name, array = self._taken(weight)
        y = self.g("MatMul", x, self.g.weight(f"{name}.T", array.T))
        return self.g("Add", y, self.g.weight(*self._taken(bias))) if bias in self._state else y

    def norm(self, x: str, module: LayerNorm) -> str:
        """The normalisation over the last axis."""
        weights = (self._weight(module, "weight"), self._weight(module, "bias"))
        return self.g("LayerNormalization", x, *weights, axis=-1, epsilon=module.eps)

    def act(self, x: str, name: str) -> str:
        """The activation of this name."""
        return ACTIVATIONS[name](self.g, x)

    def _weight(self, module: Module, name: str) -> str:
        return self.g.weight(*self._taken(self._name(module, name)))

    def _name(self, module: Module, name: str) -> str:
        return self._prefixes[id(module)] + name

    def _taken(self, name: str) -> tuple[str, np.ndarray]:
        """The published name and the numbers of a weight."""
        return self._published(name), self._state[name].detach().cpu().numpy()

    def _axes(self, *axes: int) -> str:
        return self.g.constant(axes, np.int64)


def positions_in(g: Graph, ids: str, c: TransformerConfig) -> str:
    """Rows of the position table for a rectangle, as `engine.models` has them: columns, (length,); or, if the table has rows before the
    first position (RoBERTa), counts of the ids that are not the padding token's, (batch, length)."""
    one, offset = g.constant(1, np.int64), c.position_offset
    if offset and c.pad_token_id is not None:
        words = g.cast(g("Not", g("Equal", ids, g.constant(c.pad_token_id, np.int64))), np.int64)
        return g("Add", g("Mul", g("CumSum", words, one), words), g.constant(offset - 1, np.int64))
    length = g("Gather", g("Shape", ids), one)
    columns = g("Range", g.constant(0, np.int64), length, one)
    return g("Add", columns, g.constant(offset, np.int64)) if offset else columns
