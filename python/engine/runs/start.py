"""What a training starts from: a published model, or sizes; and which parts of it are trained."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from glob import escape as glob_escape
from glob import glob
from typing import Any

from engine.errors import Argument, ArgumentError, BadType, BadValue, FileMissing, require
from engine.hub import check_parts, resolve
from engine.models import TransformerConfig
from engine.models.families import FAMILIES
from engine.models.pretrained import Pretrained, read_config
from engine.nn.lora import LoRAConfig, add_lora
from engine.runs.folder import recorded, sha256_of
from engine.runs.heads import brings_head, published_model
from engine.settings import Settings
from engine.text import Tokenizer
from engine.train.parameters import freeze

__all__ = ["StartConfig"]

# Fields of TransformerConfig that the weights of a published model decide.
_OF_WEIGHTS = {
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings",
    "type_vocab_size", "embedding_size", "num_hidden_groups", "position_offset", "model_type", "pad_token_id",
    "norm_first",
}  # fmt: skip
_OF_TOKENIZER = {"vocab_size", "pad_token_id"}
_OF_LORA = {"r": "lora_rank", "alpha": "lora_alpha", "dropout": "lora_dropout", "target_modules": "lora_targets"}
_OF_POOLER = ("pooler_act", "pooler_dropout")


def check_types(op: str, given: Iterable[tuple[str, Any, type]]) -> None:
    """Raises TypeError for an argument of another type. given: name, value and type of each."""
    for name, value, kind in given:
        require(isinstance(value, kind), op, name, f"a {kind.__name__}", type(value).__name__, error=BadType)


@contextmanager
def _of_init() -> Iterator[None]:
    """Errors about the folder of a published model name `init`, by which the caller gave it."""
    try:
        yield
    except ArgumentError as error:
        error.relabel(error.op, {"directory": "init"})
        raise


def _published(init: str) -> TransformerConfig:
    with _of_init():
        folder = resolve(init, "train")
        if not os.path.exists(os.path.join(folder, "config.json")):
            inner = sorted(glob(os.path.join(glob_escape(folder), "*", "config.json")))
            whole = [
                os.path.dirname(path) for path in inner if glob(f"{glob_escape(os.path.dirname(path))}/*.safetensors")
            ]
            hints = [f"the model is in {place}" for place in whole]
            require(
                not whole,
                "train",
                "directory",
                "a folder with config.json and weights",
                folder,
                *hints,
                error=FileMissing,
            )
        check_parts(folder, "train", "directory")
        return read_config(folder, "train")


def suggested_lr(init: str) -> float:
    """A learning rate that suits the fine-tuning of a whole published encoder. It depends on the size of the hidden states: 5e-5 for
    768, as the authors of BERT-base chose it, 2e-4 for 384, and always between 1e-5 and 1e-3."""
    size = _published(init).hidden_size
    return float(f"{min(max(2e-4 * (384 / size) ** 2, 1e-5), 1e-3):.2g}")


def longest_text(init: str) -> int:
    """The most tokens that a published encoder takes."""
    return _published(init).max_length


# "published" belongs to the config.json of a published model.
_FIELDS = {field.name for field in fields(TransformerConfig)} - {"published"}


@dataclass(frozen=True)
class StartConfig(Settings):
    """What a model starts from, and which parts of it are trained.

    Attributes:
        init: a directory of a published encoder, or its name on the Hugging Face hub; None: a new model of these `sizes`.
        sizes: fields of `TransformerConfig`. With `init`, only those that change no weight, such as hidden_dropout_prob.
        freeze_embeddings, freeze_layers: do not train the embeddings, and so many of the lowest layers.
        lora_rank: if above 0, train adapters of that rank (LoRA) and the head, instead of the weights. The adapters are merged at
            the end.
        lora_alpha, lora_dropout: scale and dropout of the adapters.
        lora_targets: the layers that get an adapter, by the ends of their names.
        fit_head: before the first step, fit a new head to what the published encoder gives (see `engine.train.HeadStart`); with few
            texts, fit it again after the last step. Only for tasks on whole texts.
        gradient_checkpointing: compute each layer again in the backward pass instead of keeping what it needs. This takes less
            memory and one more forward pass, and gives the same bits.
    """

    init: str | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)
    freeze_embeddings: bool = False
    freeze_layers: int = 0
    lora_rank: int = 0
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ("query", "value")
    fit_head: bool = True
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("sizes", isinstance(self.sizes, Mapping), "a dict", BadType)
        object.__setattr__(self, "sizes", dict(self.sizes))
        for name in self.sizes:
            require(name in _FIELDS, "StartConfig", "sizes", "names of fields of TransformerConfig", repr(name))
        for name in ("freeze_layers", "lora_rank"):
            self.require(name, getattr(self, name) >= 0, "at least 0")
        if self.lora_rank:
            self.refuse((Argument("lora_rank"), " freezes every layer"), "freeze_layers", "freeze_embeddings")
        else:
            self.refuse((Argument("lora_rank"), " is 0"), "lora_alpha", "lora_dropout", "lora_targets")
        if self.init is None:
            self.refuse((Argument("init"), " is missing"), "fit_head")

    def folder(self) -> str | None:
        """The directory of the published model, which is downloaded if `init` is a name on the hub; None: there is no `init`."""
        if self.init is None:
            return None
        with _of_init():
            folder = resolve(self.init, "train")
            check_parts(folder, "train", "directory")
        return folder

    def config(self, task: Any, tokenizer: Tokenizer, max_length: int, pairs: bool = False) -> TransformerConfig:
        """The config of the model; pairs: whether a sample has two texts, which have token types.

        Raises ValueError for sizes that do not fit together, that the task does not use, or that a published model does not have."""
        self._refuse_sizes(dict.fromkeys(task.unused, f"the task {task.name!r} does not use it"))
        folder = self.folder()
        if folder is None:
            values: dict[str, Any] = {
                "type_vocab_size": 2 if pairs else 0, "max_position_embeddings": max_length, **task.scratch, **self.sizes,
                **task.fields, "vocab_size": tokenizer.vocab_size, "pad_token_id": tokenizer.pad_token_id,
            }  # fmt: skip
            config = TransformerConfig(**values)
        else:
            published = _published(folder)
            for name in sorted(_OF_WEIGHTS & self.sizes.keys()):
                size, of_weights = self.sizes[name], getattr(published, name)
                require(
                    size == of_weights, "StartConfig", "sizes", f"{name} {of_weights!r}, as in {self.init}", repr(size)
                )
            config = read_config(folder, "train", **{**self.sizes, **task.fields})
            if config.pooling != published.pooling:
                fits = not brings_head(folder)
                got, why = repr(config.pooling), f"the head in {self.init} was trained with it"
                require(fits, "StartConfig", "pooling", repr(published.pooling), got, why)
            if (
                config.pooling != "first" and config.model_type is not None
            ):  # other libraries would read the first token, so they must not open it
                config = replace(config, model_type=None, pooler=False, published={})
        length, words = config.max_length, config.vocab_size
        require(max_length <= length, "train", "max_length", f"at most the model's {length} tokens", max_length)
        known = tokenizer.vocab_size
        require(known <= words, "train", "tokenizer", f"at most the model's {words} tokens", known)
        built = config if config.model_type is None else task.auto.published.config_for(config)
        for name, value in self.sizes.items():
            by = (
                "the tokenizer" if name in _OF_TOKENIZER else "the task" if name in task.fields else "the kind of model"
            )
            found = getattr(built, name)
            require(value == found, "StartConfig", name, f"{found!r}, because {by} decides it", repr(value))
        if not built.pooler:
            self._refuse_sizes(dict.fromkeys(_OF_POOLER, "the model has no pooler"))
        if (
            task.auto.published.head == "token"
            and FAMILIES[str(built.model_type)].token_dropout != "classifier_dropout"
        ):
            self._refuse_sizes({"classifier_dropout": f"{built.model_type} does not use it for tokens"})
        return built

    def _refuse_sizes(self, unread: Mapping[str, str]) -> None:
        """Raises ValueError if one of the sizes is not read. unread: the reason, by the name of the size."""
        for name in sorted(unread.keys() & self.sizes.keys()):
            raise BadValue("StartConfig", name, "no value", repr(self.sizes[name]), unread[name])

    def build(self, config: TransformerConfig, task: Any, weights: bool = True) -> tuple[Pretrained, list[str]]:
        """The model, whose untrained parts are frozen, and the names of the parameters that `init` does not have (a new head, a
        pooler). weights: whether to read those of `init`; a resumed run gets its weights from a checkpoint."""
        folder = self.folder() if weights else None
        new: list[str] = []
        model: Pretrained
        if folder is None:
            model = task.auto.from_config(config)
        else:
            sizes = {name: size for name, size in self.sizes.items() if name != "pooling"}
            with _of_init():
                model, new = published_model(folder, task, sizes)
            last = [model.published_name(f"classifier.{name}") for name in ("weight", "bias")] if task.new_head else []
            if (
                config.model_type is None and model.config.model_type is not None
            ):  # engine's own model, with the encoder of the published one and a new head
                encoder, model = model.state_dict(), task.auto.from_config(config)
                own = [name for name in model.state_dict() if not name.startswith("classifier.")]
                model.load_state_dict({name: encoder[name] for name in own}, strict=False)
                new = last = ["classifier.weight", "classifier.bias"]
            if not set(new) - set(last if self.fits(task, new) else ()):
                hint = f"all weights come from {self.init}, or from the fit of the head"
                self._refuse_sizes({"initializer_range": hint})
        layers = config.num_hidden_layers
        self.require("freeze_layers", self.freeze_layers <= layers, f"at most the model's {layers}")
        if self.lora_rank:
            # The pooler is part of the head, because many checkpoints do not have it.
            head = ("classifier", "pooler") if model.config.pooler else ("classifier",)
            try:
                add_lora(model, LoRAConfig(self.lora_rank, self.lora_alpha, self.lora_dropout, self.lora_targets, head))
            except ArgumentError as error:
                error.relabel("StartConfig", _OF_LORA)
                raise
        elif self.freeze_layers or self.freeze_embeddings:
            freeze(model, embeddings=self.freeze_embeddings, layers=self.freeze_layers)
        if self.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        return model, new

    def fits(self, task: Any, new: Iterable[str]) -> bool:
        """Whether a head is fitted before the first step. new: the names of the parameters that `init` does not have."""
        whole = "pooling" not in task.unused
        head = {"classifier.weight", "classifier.out_proj.weight"} & set(new)
        return self.init is not None and self.fit_head and whole and bool(head)

    def record(self) -> dict[str, Any]:
        """What run.json says of the start: the settings, and the hashes and the absolute path of the weights."""
        folder = self.folder()
        return {**self.to_dict(), "sha256": self.hashes(), "absolute": folder and os.path.abspath(folder)}

    @classmethod
    def begun(cls, record: Mapping[str, Any], fresh: bool) -> StartConfig:
        """The start of the run of a run.json. fresh: whether the run has no checkpoint, so that its first weights are needed.

        Raises ValueError if these weights have changed."""
        start = recorded(record, "start", cls, "sha256", "absolute", "initial_values")
        weights, place = record["start"]["sha256"], record["start"]["absolute"]
        if start.init and place and not os.path.isdir(start.init):
            start = replace(start, init=place)  # `init` was relative to another folder
        if fresh and start.hashes() != weights:
            raise BadValue("resume", "init", f"{start.init} as it was when the run began", "other weights")
        return start

    def hashes(self) -> dict[str, str]:
        """The SHA-256 of each file of weights in `init`."""
        folder = self.folder()
        if folder is None:
            return {}
        return {
            name: sha256_of(os.path.join(folder, name))
            for name in sorted(os.listdir(folder))
            if name.endswith(".safetensors")
        }
