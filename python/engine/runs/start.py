"""What a training starts from: a published model, or sizes; which parts of it are trained, and how."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from engine.errors import BadValue
from engine.hub import resolve
from engine.models import TransformerConfig
from engine.models.pretrained import Pretrained, read_config
from engine.nn.lora import LoRAConfig, add_lora
from engine.runs.folder import sha256_of
from engine.text import Tokenizer
from engine.train.parameters import freeze

__all__ = ["StartConfig", "longest_text", "suggested_lr"]

# Fields of TransformerConfig that the weights of a published model decide.
_OF_WEIGHTS = {
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings",
    "type_vocab_size", "embedding_size", "num_hidden_groups", "position_offset", "model_type",
}  # fmt: skip


def suggested_lr(init: str) -> float:
    """A rate that suits fine-tuning all of a published encoder, by the size of its hidden states: 5e-5 for BERT-base's 768, as its
    authors have it, and 2e-4 for 384; between 1e-5 and 1e-3 for all."""
    size = read_config(resolve(init, "train"), "train").hidden_size
    return float(f"{min(max(2e-4 * (384 / size) ** 2, 1e-5), 1e-3):.2g}")


def longest_text(init: str) -> int:
    """Tokens that a published encoder takes, at most."""
    return read_config(resolve(init, "train"), "train").max_length


@dataclass(frozen=True)
class StartConfig:
    """What a model starts from, and which parts of it learn.

    Attributes:
        init: a directory (or a name on the Hugging Face hub) of a published encoder; None: a model of engine's own from
            `sizes`, with initial values.
        sizes: fields of `TransformerConfig`; beside `init` only those that change no weight, such as hidden_dropout_prob.
        freeze_embeddings, freeze_layers: parts that are not trained: the tables, and that many of the lowest layers.
        lora_rank: > 0: train adapters of that rank (LoRA), and the head, instead of the weights; they are merged at the end.
        lora_alpha, lora_dropout: of the adapters.
        lora_targets: the layers that get one, by the ends of their names.
        gradient_checkpointing: compute each layer again in the backward pass instead of keeping what it needs: less memory, one
            more forward pass, the same bits.
    """

    init: str | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)
    freeze_embeddings: bool = False
    freeze_layers: int = 0
    lora_rank: int = 0
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ("query", "value")
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", dict(self.sizes))
        object.__setattr__(self, "lora_targets", tuple(self.lora_targets))  # JSON knows no tuples
        if self.init is not None:
            object.__setattr__(self, "init", os.fspath(self.init))
        for name in ("freeze_layers", "lora_rank"):
            if getattr(self, name) < 0:
                raise BadValue("StartConfig", name, "at least 0", getattr(self, name))
        if self.lora_rank and (self.freeze_layers or self.freeze_embeddings):
            name = "freeze_layers" if self.freeze_layers else "freeze_embeddings"
            raise BadValue(
                "StartConfig", name, "no value beside lora_rank, because LoRA freezes every layer", getattr(self, name)
            )

        for each in fields(self):
            if not self.lora_rank and each.name.startswith("lora_") and getattr(self, each.name) != each.default:
                raise BadValue("StartConfig", each.name, "no value without lora_rank", repr(getattr(self, each.name)))

    def folder(self) -> str | None:
        """The directory of the published model, fetched where it is a name on the hub."""
        return None if self.init is None else resolve(self.init, "train")

    def config(self, task: Any, tokenizer: Tokenizer, max_length: int, pairs: bool = False) -> TransformerConfig:
        """The config of the model; pairs: texts have token types.

        Raises ValueError for sizes that make no model, that the task does not use, or that a published model does not have."""
        for name in sorted(task.unused & self.sizes.keys()):
            expected = f"no value for the task {task.name!r}, which does not use it"
            raise BadValue("StartConfig", name, expected, repr(self.sizes[name]))
        folder = self.folder()
        if folder is None:
            values: dict[str, Any] = {
                "type_vocab_size": 2 if pairs else 0, "max_position_embeddings": max_length, **task.scratch, **self.sizes,
                **task.fields, "vocab_size": tokenizer.vocab_size, "pad_token_id": tokenizer.pad_token_id,
            }  # fmt: skip
            config = TransformerConfig(**values)
        else:
            published = read_config(folder, "train")
            for name in sorted(_OF_WEIGHTS & self.sizes.keys()):
                if self.sizes[name] != getattr(published, name):
                    expected = f"no other {name} than the {getattr(published, name)} of {self.init}"
                    raise BadValue("StartConfig", "sizes", expected, repr(self.sizes[name]))
            config = read_config(folder, "train", **{**self.sizes, **task.fields})
        if max_length > config.max_length:
            raise BadValue("train", "max_length", f"at most the model's {config.max_length} tokens", max_length)
        if tokenizer.vocab_size > config.vocab_size:
            raise BadValue(
                "train", "tokenizer", f"at most the model's {config.vocab_size} tokens", tokenizer.vocab_size
            )
        return config if config.model_type is None else task.auto.published.config_for(config)

    def build(self, config: TransformerConfig, task: Any, weights: bool = True) -> tuple[Pretrained, list[str]]:
        """The model, with the parts that are not trained frozen, and the names of what `init` does not have (a new head, a pooler);
        weights: read those of `init`. Without them a checkpoint's follow."""
        folder = self.folder() if weights else None
        new: list[str] = []
        model: Pretrained
        if folder is None:
            model = task.auto.from_config(config)
        else:
            model, info = task.auto.from_pretrained(
                folder, ignore_mismatched_sizes=task.new_head, output_loading_info=True, **{**self.sizes, **task.fields}
            )
            new = info.missing_keys + info.mismatched_keys
        if self.freeze_layers > config.num_hidden_layers:
            raise BadValue(
                "train", "freeze_layers", f"at most the model's {config.num_hidden_layers}", self.freeze_layers
            )
        if self.lora_rank:
            # The pooler is part of the head: in some families it is new, in the others some checkpoints lack it.
            head = ("classifier", "pooler") if model.config.pooler else ("classifier",)
            add_lora(model, LoRAConfig(self.lora_rank, self.lora_alpha, self.lora_dropout, self.lora_targets, head))
        elif self.freeze_layers or self.freeze_embeddings:
            freeze(model, embeddings=self.freeze_embeddings, layers=self.freeze_layers)
        if self.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        return model, new

    def record(self) -> dict[str, Any]:
        """What run.json says of the start: the settings, the hashes of the weights, and where they lie."""
        place = None if self.init is None else os.path.abspath(self.folder() or self.init)
        return {**asdict(self), "lora_targets": list(self.lora_targets), "sha256": self.hashes(), "absolute": place}

    @classmethod
    def begun(cls, record: Mapping[str, Any], fresh: bool) -> StartConfig:
        """The start of a run that `record` describes; fresh: its weights are needed, as they were.

        Raises ValueError if they have changed."""
        values = dict(record)
        weights, place = values.pop("sha256"), values.pop("absolute")
        values.pop("initial_values", None)
        start = cls(**values)
        if start.init and place and not os.path.isdir(start.init):
            start = replace(start, init=place)  # the run is resumed from another folder
        if fresh and start.hashes() != weights:
            raise BadValue("resume", "init", f"{start.init} as it was when the run began", "other weights")
        return start

    def hashes(self) -> dict[str, str]:
        """SHA-256 of the weights that `init` holds, by file."""
        folder = self.folder()
        if folder is None:
            return {}
        return {
            name: sha256_of(os.path.join(folder, name))
            for name in sorted(os.listdir(folder))
            if name.endswith(".safetensors")
        }
