"""What a training starts from: a published model, or sizes; which parts of it are trained, and how."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.hub import resolve
from engine.models import TransformerClassifier, TransformerConfig
from engine.models.bert import BertForTokenClassification
from engine.models.pretrained import Pretrained, read_config
from engine.nn.lora import LoRAConfig, add_lora
from engine.runs.runfolder import sha256_of
from engine.tasks import Tagging, Task
from engine.text import Tokenizer
from engine.train.parameters import freeze

__all__ = ["StartConfig", "longest_text", "suggested_lr"]


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
                raise ValueError(f"[StartConfig] {name}: expected at least 0, got {getattr(self, name)}")
        if self.lora_rank and (self.freeze_layers or self.freeze_embeddings):
            name = "freeze_layers" if self.freeze_layers else "freeze_embeddings"
            raise ValueError(
                f"[StartConfig] {name}: expected none beside adapters, which freeze all, got {getattr(self, name)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """All settings, fit for JSON."""
        return {**asdict(self), "lora_targets": list(self.lora_targets)}

    def folder(self) -> str | None:
        """The directory of the published model, fetched where it is a name on the hub."""
        return None if self.init is None else resolve(self.init, "train")

    def config(self, task: Task, tokenizer: Tokenizer, max_length: int, pairs: bool = False) -> TransformerConfig:
        """The config of the model; pairs: texts have token types.

        Raises ValueError for sizes that make none, or that a published model does not have."""
        folder = self.folder()
        if folder is not None:
            config = read_config(folder, "train", **{**self.sizes, **task.fields})
            if max_length > config.max_length:
                raise ValueError(
                    f"[train] max_length: expected at most the {config.max_length} tokens of {self.init}, got {max_length}"
                )
            if tokenizer.vocab_size > config.vocab_size:
                raise ValueError(
                    f"[train] tokenizer: expected at most the {config.vocab_size} tokens of {self.init}, "
                    f"got {tokenizer.vocab_size}"
                )
            if config.model_type is not None:
                config = task.auto.published.config_for(config)
            return config
        sizes = dict(self.sizes)
        if isinstance(task, Tagging):  # a published one, which does not pool and has token types
            sizes = {"model_type": "bert", "type_vocab_size": 2, **{k: v for k, v in sizes.items() if k != "pooling"}}
        return TransformerConfig(
            vocab_size=tokenizer.vocab_size, max_position_embeddings=max_length, pad_token_id=tokenizer.pad_token_id,
            **{"type_vocab_size": 2 if pairs else 0, **sizes, **task.fields},
        )  # fmt: skip

    def build(self, config: TransformerConfig, task: Task, weights: bool = True) -> tuple[Pretrained, list[str]]:
        """The model, with the parts that are not trained frozen, and the names of what `init` does not have (a new head, a pooler);
        weights: read those of `init` (a checkpoint's follow else)."""
        folder = self.folder() if weights else None
        new: list[str] = []
        if folder is not None:
            model: Pretrained
            model, info = task.auto.from_pretrained(  # a new head is what was asked for
                folder, ignore_mismatched_sizes=True, output_loading_info=True, **{**self.sizes, **task.fields}
            )
            new = info.missing_keys + info.mismatched_keys
        elif isinstance(task, Tagging):
            model = BertForTokenClassification(config)
        elif config.model_type is None:
            model = TransformerClassifier(config)
        else:
            model = task.auto.published(config)
        if self.freeze_layers > config.num_hidden_layers:
            raise ValueError(
                f"[train] freeze_layers: expected at most the model's {config.num_hidden_layers}, got {self.freeze_layers}"
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
