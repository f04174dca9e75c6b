"""The published families of encoders: their names for engine's config fields and for engine's weights.

Every family here is BERT's encoder (Devlin et al. 2019, arXiv 1810.04805) with other names and a few other settings: DistilBERT
(Sanh et al. 2019, 1910.01108), RoBERTa (Liu et al. 2019, 1907.11692), XLM-RoBERTa (Conneau et al. 2019, 1911.02116) and CamemBERT
(Martin et al. 2019, 1911.03894), ELECTRA (Clark et al. 2020, 2003.10555), ALBERT (Lan et al. 2019, 1909.11942). The names are those of `transformers`, so that each library
opens the other's checkpoints. A new family is a row in `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import require

__all__ = ["FAMILIES", "HEADS", "Family", "family_of"]

HEADS = {
    "base": "Model",
    "sequence": "ForSequenceClassification",
    "token": "ForTokenClassification",
    "masked": "ForMaskedLM",
}
"""Heads, and the ends of the names of their classes in `transformers`."""

Names = tuple[tuple[str, str], ...]

# The fields that every family's config.json has, by BERT's keys, which are engine's too. The defaults are those of `transformers`.
_COMMON: dict[str, Any] = {
    "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 0, "initializer_range": 0.02, "classifier_dropout": None,
}  # fmt: skip
_ACTIVATIONS = {"swish": "silu", "gelu_fast": "gelu_pytorch_tanh", "gelu_python": "gelu"}
_LABELS = ("id2label", "num_labels", "problem_type", "pooling")  # entries that every family has under the same names
# Settings that change what a model computes, and the only value that is supported.
_ONLY: dict[str, Any] = {
    "position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False, "inner_group_num": 1,
    "quantization_config": None,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """How the files of one family differ from engine's.

    title: how the names of its classes begin. prefix: where a model with a head keeps its encoder.
    keys: engine's field -> the key in config.json, if the two differ. defaults: of fields whose default is not BERT's. fixed: the values
    of fields that its config.json does not have. names: parts of the names of the encoder's weights, engine's -> published. heads: the
    same for each head. pooled: the heads with a pooler. pooler: the pooler's fields in a sequence classifier. token_dropout: the field
    that sets a token classifier's dropout. last_projection: the name in files of a masked language model's last projection.
    masked_act: the activation before it, if it is not the encoder's. offset: whether positions start after the padding token's id.
    """

    title: str
    prefix: str
    keys: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    names: Names = ()
    heads: Mapping[str, Names] = field(default_factory=dict)
    pooled: tuple[str, ...] = ("base", "sequence")
    pooler: Mapping[str, Any] = field(default_factory=dict)
    token_dropout: str = "classifier_dropout"
    last_projection: str = "cls.predictions.decoder.weight"
    masked_act: str | None = None
    offset: bool = False

    def read(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """(engine's fields, the other entries) of a config.json. Raises ValueError for settings that are not supported."""
        for key, only in _ONLY.items():
            got = values.get(key, only)
            require(got == only, "TransformerConfig", key, f"{only!r} (no other value is supported)", repr(got))
        keys, defaults = self._keys(), {**_COMMON, **self.defaults}
        fields: dict[str, Any] = {"model_type": values["model_type"], **self.fixed}
        fields |= {name: values.get(key, defaults[name]) for name, key in keys.items()}
        fields |= {name: values[name] for name in _LABELS if values.get(name) is not None}
        fields["hidden_act"] = _ACTIVATIONS.get(str(fields["hidden_act"]), fields["hidden_act"])
        if self.offset:
            pad = fields["pad_token_id"]
            expected = "a number, because the positions of this family start after it"
            require(type(pad) is int, "TransformerConfig", "pad_token_id", expected, repr(pad))
            fields["position_offset"] = pad + 1
        if "id2label" in fields:
            fields.pop("num_labels", None)  # as in `transformers`, the number of names counts
        taken = {"model_type", "label2id", *_LABELS, *keys.values()}
        return fields, {key: value for key, value in values.items() if key not in taken}

    def write(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of a config.json for engine's fields, without labels."""
        return {"model_type": fields["model_type"], **{key: fields[name] for name, key in self._keys().items()}}

    def _keys(self) -> dict[str, str]:
        """engine's fields that its config.json has, and their keys there."""
        return {name: self.keys.get(name, name) for name in {**_COMMON, **self.defaults} if name not in self.fixed}

    def published(self, name: str, head: str) -> str:
        """The published name of engine's weight `name` in a model with that head."""
        for own, theirs in self.heads.get(head, ()):
            if name.startswith(own):
                return theirs + name[len(own) :]
        if head != "base" and not name.startswith("bert."):
            return name
        name = name.removeprefix("bert.")
        for own, theirs in self.names:
            name = name.replace(own, theirs)
        return name if head == "base" else f"{self.prefix}.{name}"


def _masked(dense: str, norm: str, bias: str) -> Names:
    """The names of the weights of a masked language model's head, engine's -> published."""
    start = "cls.predictions."
    return ((f"{start}transform.dense.", dense), (f"{start}transform.LayerNorm.", norm), (f"{start}bias", bias))


_ROBERTA = Family(
    "Roberta",
    "roberta",
    defaults={"vocab_size": 50265, "type_vocab_size": 2, "pad_token_id": 1, "layer_norm_eps": 1e-12},
    heads={
        "sequence": (("bert.pooler.dense.", "classifier.dense."), ("classifier.", "classifier.out_proj.")),
        "masked": _masked("lm_head.dense.", "lm_head.layer_norm.", "lm_head.bias"),
    },
    pooler={"pooler_dropout": True},
    last_projection="lm_head.decoder.weight",
    masked_act="gelu",
    offset=True,
)

FAMILIES: dict[str, Family] = {
    "bert": Family("Bert", "bert"),
    "distilbert": Family(
        "DistilBert",
        "distilbert",
        keys={
            "hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim", "hidden_dropout_prob": "dropout", "hidden_act": "activation",
            "attention_probs_dropout_prob": "attention_dropout", "classifier_dropout": "seq_classif_dropout",
        },
        defaults={"num_hidden_layers": 6, "classifier_dropout": 0.2},
        fixed={"type_vocab_size": 0, "layer_norm_eps": 1e-12},
        names=(
            ("encoder.layer.", "transformer.layer."), ("attention.self.query.", "attention.q_lin."),
            ("attention.self.key.", "attention.k_lin."), ("attention.self.value.", "attention.v_lin."),
            ("attention.output.dense.", "attention.out_lin."), ("attention.output.LayerNorm.", "sa_layer_norm."),
            ("intermediate.dense.", "ffn.lin1."), (".output.dense.", ".ffn.lin2."),
            (".output.LayerNorm.", ".output_layer_norm."),
        ),
        heads={
            "sequence": (("bert.pooler.dense.", "pre_classifier."),),
            "masked": _masked("vocab_transform.", "vocab_layer_norm.", "vocab_projector.bias"),
        },
        pooled=("sequence",),
        pooler={"pooler_act": "relu"},
        token_dropout="hidden_dropout_prob",
        last_projection="vocab_projector.weight",
    ),
    "roberta": _ROBERTA,
    "xlm-roberta": replace(_ROBERTA, title="XLMRoberta", defaults={**_ROBERTA.defaults, "vocab_size": 30522}),
    "electra": Family(
        "Electra",
        "electra",
        defaults={
            "embedding_size": 128, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024,
        },
        heads={
            "sequence": (("bert.pooler.dense.", "classifier.dense."), ("classifier.", "classifier.out_proj.")),
            "masked": _masked(
                "generator_predictions.dense.", "generator_predictions.LayerNorm.", "generator_lm_head.bias"
            ),
        },
        pooled=("sequence",),
        pooler={"pooler_dropout": True, "pooler_act": "gelu"},
        last_projection="generator_lm_head.weight",
        masked_act="gelu",
    ),
    "albert": Family(
        "Albert",
        "albert",
        keys={"classifier_dropout": "classifier_dropout_prob"},
        defaults={
            "vocab_size": 30000, "embedding_size": 128, "hidden_size": 4096, "num_attention_heads": 64,
            "intermediate_size": 16384, "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0, "hidden_act": "gelu_new",
            "num_hidden_groups": 1, "classifier_dropout": 0.1,
        },
        names=(
            ("embeddings_project.", "encoder.embedding_hidden_mapping_in."), ("pooler.dense.", "pooler."),
            ("encoder.layer.", "encoder.albert_layer_groups."), (".attention.self.", ".albert_layers.0.attention."),
            (".attention.output.", ".albert_layers.0.attention."), (".intermediate.dense.", ".albert_layers.0.ffn."),
            (".output.dense.", ".albert_layers.0.ffn_output."),
            (".output.LayerNorm.", ".albert_layers.0.full_layer_layer_norm."),
        ),
        heads={"masked": _masked("predictions.dense.", "predictions.LayerNorm.", "predictions.bias")},
        last_projection="predictions.decoder.weight",
    ),
    "camembert": replace(_ROBERTA, title="Camembert", defaults={**_ROBERTA.defaults, "vocab_size": 30522}),
}  # fmt: skip


def family_of(architectures: Any) -> str | None:
    """The family of the class that a config.json names as its architecture, such as BertForMaskedLM; None: it has none here."""
    name = architectures[0] if isinstance(architectures, list) and architectures else None
    starts = {kind: (f"{family.title}Model", f"{family.title}For") for kind, family in FAMILIES.items()}
    return next((kind for kind, start in starts.items() if isinstance(name, str) and name.startswith(start)), None)
