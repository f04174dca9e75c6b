"""Models as directories: config.json and model.safetensors (or its shards), as `transformers` lays them out."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, TypedDict, TypeVar

from engine.entries import inside
from engine.errors import BadType, BadValue, FileMissing, require
from engine.hub import resolve
from engine.models.config import TransformerConfig
from engine.models.families import FAMILIES, HEADS, Family
from engine.models.sizes import check_held
from engine.nn.module import Module
from engine.ops.naming import called_as
from engine.serialization import load_file, read_json, save_file, write_json
from engine.settings import shortened
from engine.tensor import Tensor
from engine.torchfiles import load

__all__ = ["LoadingInfo", "Pretrained", "read_config", "read_weights"]

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"  # in PyTorch's format
Model = TypeVar("Model", bound="Pretrained")

_log = logging.getLogger("engine.models")
# What published files hold besides the weights that are used here: buffers, and the heads of pretraining tasks.
_KNOWN = re.compile(
    r"(^|\.)embeddings\.(position_ids|token_type_ids)$|^cls\.seq_relationship\.|\.decoder\.(weight|bias)$|"
    r"^(vocab_projector|generator_lm_head)\.weight$|^discriminator_predictions\.|(^|\.)pooler\.(dense\.)?(weight|bias)$|"
    r"^(cls|sop_classifier|lm_head|predictions|vocab_transform|vocab_layer_norm|vocab_projector|generator_predictions)\."
)
_HEAD_NAMES = ("classifier.", "pre_classifier.", "qa_outputs.")


class LoadingInfo(NamedTuple):
    """What `from_pretrained` found, by the published names of weights.

    missing_keys: the files lack them. unexpected_keys: the model has no place for them. mismatched_keys: their shape differs (only with
    `ignore_mismatched_sizes`). Missing and mismatched weights keep initial values.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]
    mismatched_keys: list[str]


class Pretrained(Module):
    """The base of models that are built from a config, and that are saved to and loaded from a directory."""

    head: ClassVar[str] = ""  # a key of `families.HEADS`; "": engine's own models, which belong to no published family

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        if not isinstance(config, TransformerConfig):
            raise BadType(type(self).__name__, "config", "a TransformerConfig", type(config).__name__)
        self.config = self.config_for(config)

    @classmethod
    def config_for(cls, config: TransformerConfig) -> TransformerConfig:
        """The config as this class needs it: for a model with a head, with the pooler that the head has in its family."""
        if not cls.head:
            return config
        kind = config.model_type or "bert"
        family = FAMILIES[kind]
        pooler = {"pooler_act": "tanh", "pooler_dropout": False, **(family.pooler if cls.head == "sequence" else {})}
        return replace(config, model_type=kind, pooler=cls.head in family.pooled, **pooler)

    def num_parameters(self) -> int:
        """The number of elements of all parameters."""
        return sum(p.numel() for p in self.parameters())

    @property
    def family(self) -> Family:
        """The published family of a model with a head."""
        return FAMILIES[str(self.config.model_type)]

    @property
    def architecture(self) -> str:
        """The class that config.json names: the one in `transformers` for a model of a published family."""
        return self.family.title + HEADS[self.head] if self.head else type(self).__name__

    def published_name(self, name: str) -> str:
        """The name in files of the entry `name` of `state_dict`."""
        return self.family.published(name, self.head) if self.head else name

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Writes config.json and model.safetensors, each complete or not at all. Makes the directory if it does not exist.

        Models of a published family (`config.model_type`) are written with that family's names: `transformers` opens them, and they
        give the same outputs there.
        """
        os.makedirs(save_directory, exist_ok=True)
        self.save_weights(os.path.join(save_directory, WEIGHTS))
        values = {"architectures": [self.architecture], **self.config.to_dict()}
        write_json(os.path.join(save_directory, CONFIG), values)

    def save_weights(self, filename: str | os.PathLike[str]) -> None:
        """Writes only the weights, by their published names. The file is complete or not written at all."""
        state = {self.published_name(name): tensor for name, tensor in self.state_dict().items()}
        save_file(state, filename, {"format": "pt"})

    def load_weights(self, filename: str | os.PathLike[str]) -> None:
        """Reads what `save_weights` wrote. Raises FileNotFoundError if there is no file, ValueError if it does not fit the model."""
        names = {self.published_name(name): name for name in self.state_dict()}
        self.load_state_dict({names.get(name, name): tensor for name, tensor in load_file(filename).items()})

    def gradient_checkpointing_enable(self) -> None:
        """In the backward pass, computes each layer again instead of keeping its intermediate results. This takes less memory and more
        time, and gives the same bits."""
        self._checkpoint(True)

    def gradient_checkpointing_disable(self) -> None:
        """Keeps the intermediate results that the backward pass needs."""
        self._checkpoint(False)

    def _checkpoint(self, enabled: bool) -> None:
        for module in self.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = enabled

    @classmethod
    def from_pretrained(
        cls: type[Model],
        directory: str | os.PathLike[str],
        *,
        revision: str | None = None,
        output_loading_info: bool = False,
        ignore_mismatched_sizes: bool = False,
        **overrides: Any,
    ) -> Any:
        """The model in a directory that `save_pretrained` or `transformers` wrote, in evaluation mode.

        Weights are read from model.safetensors, or from the shards that model.safetensors.index.json lists; if there are neither, from
        pytorch_model.bin or its shards, of which nothing is executed (see `engine.load`). bfloat16 and float16 become float32. Weights of the head (a classifier, a pooler) that the files lack keep initial values, and a warning in the log
        (`engine.models`) names them. If weights of the encoder are missing, that is an error.

        Args:
            directory: a directory, or the name of a repository on the Hugging Face hub (needs `huggingface_hub`: extra `hub`).
            revision: the branch, tag or commit of that repository; None: its main branch.
            output_loading_info: return (model, `LoadingInfo`), and do not warn of initial values.
            ignore_mismatched_sizes: weights of the head whose shape differs keep initial values; False: they are an error.
            overrides: fields of `TransformerConfig` to change, such as num_labels, id2label, hidden_dropout_prob.

        Raises FileNotFoundError if a file is missing, ValueError if files are damaged, do not fit together or hold more than weights,
        and TypeError for an override that is not a field.
        """
        op = f"{cls.__name__}.from_pretrained"
        folder = resolve(directory, op, revision)
        config = read_config(folder, op, **overrides)
        own, published = "a model in engine's own format", f"a published model (model_type in {CONFIG})"
        expected, got = (published, own) if cls.head else (own, published)
        reader = (
            "TransformerClassifier reads engine's own" if cls.head else "BertForSequenceClassification reads published"
        )
        fits = bool(cls.head) == (config.model_type is not None)
        require(fits, op, "directory", expected, f"{got} in {folder}", f"{reader} models")
        config = cls.config_for(config)
        state = read_weights(folder, op)
        numbers = min(
            sum(t.numel() for t in state.values()), _bytes_of_weights(folder)
        )  # views may repeat what they show
        labels = 0 if "num_labels" in overrides else config.num_labels
        check_held(op, "directory", config, numbers, len(state), f"{folder}/{CONFIG}", labels)
        model = cls(config)
        info = model._take_weights(state, op, ignore_mismatched_sizes)
        model.eval()
        if output_loading_info:
            return model, info
        if info.missing_keys or info.mismatched_keys:
            _log.warning("%s: initial values for %s", op, ", ".join(info.missing_keys + info.mismatched_keys))
        return model

    def _take_weights(self, state: dict[str, Tensor], op: str, ignore_mismatched_sizes: bool) -> LoadingInfo:
        """Copies published weights into the model; see `from_pretrained`."""
        found: dict[str, Tensor] = {}
        missing, mismatched, lines = [], [], []
        for name, target in self.state_dict().items():
            published, optional = self.published_name(name), not self._is_encoder(name)
            tensor = next((state.pop(key) for key in self._candidates(name, published) if key in state), None)
            if tensor is None:
                missing.append(published)
                lines += [] if optional else [f"missing: {published}"]
            elif not tensor.is_floating_point():
                lines.append(f"not of a floating-point dtype: {published}: {tensor.dtype.name}")
            elif tensor.shape == target.shape:
                found[name] = tensor
            elif ignore_mismatched_sizes and optional:
                mismatched.append(published)
            else:
                lines.append(
                    f"mis-shaped: {published}: expected shape {tuple(target.shape)}, got {tuple(tensor.shape)}"
                )
        unexpected = sorted(state)
        if not self.head:  # engine's own files hold exactly the weights of the model
            lines += [f"unexpected: {name}" for name in unexpected]
        got = "weights that differ:" + "".join(f"\n  {line}" for line in lines)
        require(not lines, op, "directory", f"the weights of {type(self).__name__}", got)
        self.load_state_dict(found, strict=False)
        self._check_unused(state, op)
        # A bare encoder may be read from a model that has a head.
        known_heads = _HEAD_NAMES if self.head == "base" else ()
        strange = [name for name in unexpected if not _KNOWN.search(name) and not name.startswith(known_heads)]
        if strange:
            _log.warning("%s: not used: %s", op, ", ".join(strange))
        return LoadingInfo(missing, unexpected, mismatched)

    def _candidates(self, name: str, published: str) -> Iterator[str]:
        """The names under which files may hold an entry: the published name; the same with or without the encoder's prefix, which models
        with a head have; each with the old names of a normalisation's weight and bias; and the bias of the last projection, which
        some files hold under the decoder's name."""
        names = [published]
        if self.head:
            prefix = self.family.prefix + "."
            names.append(prefix + published if self.head == "base" else published.removeprefix(prefix))
        for each in names:
            yield each
            for new, old in ((".LayerNorm.weight", ".LayerNorm.gamma"), (".LayerNorm.bias", ".LayerNorm.beta")):
                if each.endswith(new):
                    yield each.removesuffix(new) + old
        if name == "cls.predictions.bias":
            yield published.removesuffix("bias") + "decoder.bias"

    def _check_unused(self, state: dict[str, Tensor], op: str) -> None:
        """Raises ValueError if weights that were not used would change what the model computes."""

    def _is_encoder(self, name: str) -> bool:
        """Whether files must hold an entry of `state_dict`: those of the encoder, and all entries of engine's own models."""
        return not self.head or ("pooler." not in name and (self.head == "base" or name.startswith("bert.")))


def read_config(folder: str, op: str, **overrides: Any) -> TransformerConfig:
    """The config.json in a folder, with the fields in `overrides` changed.

    Raises FileNotFoundError if there is none, ValueError if it is damaged or does not describe a model, and TypeError for an override
    that is not a field.
    """
    path = os.path.join(folder, CONFIG)
    values = read_json(path, op, "directory")
    try:
        config = TransformerConfig.from_dict(values)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadValue(op, "directory", "the config of a model", path, str(error)) from None
    if overrides.get("id2label") is not None:
        overrides.setdefault("num_labels", len(overrides["id2label"]))
    elif "num_labels" in overrides and overrides["num_labels"] != config.num_labels:
        overrides["id2label"] = None
    for name in sorted(set(overrides) - set(vars(config))):
        raise BadType(op, name, "a field of TransformerConfig", "an unknown name")
    return replace(config, **overrides)


def read_weights(folder: str, op: str) -> dict[str, Tensor]:
    """The weights in a folder by their published names: from model.safetensors or the shards that its index lists, otherwise from
    pytorch_model.bin or its shards. Nothing in a file is executed.

    Raises FileNotFoundError if there are none, and ValueError if files are damaged, differ from the index, lie outside of the folder, or
    hold anything but tensors by name.
    """
    for single, index in ((WEIGHTS, INDEX), (PICKLED, PICKLED_INDEX)):
        if os.path.isfile(os.path.join(folder, single)):
            return _unwrapped(_read_file(folder, single, op))
        if os.path.isfile(os.path.join(folder, index)):
            return _unwrapped(_read_shards(folder, index, op))
    raise FileMissing(op, "directory", f"a file {WEIGHTS}, {PICKLED} or an index of shards", f"none in {folder}")


class _Index(TypedDict):
    """What an index of shards must hold: the file of each weight."""

    weight_map: dict[str, str]


def _bytes_of_weights(folder: str) -> int:
    """The size of the files with weights in a folder, in bytes. A weight has two bytes or more."""
    endings = (f".{WEIGHTS.rpartition('.')[2]}", f".{PICKLED.rpartition('.')[2]}")
    names = [name for name in os.listdir(folder) if name.endswith(endings)]
    return sum(os.path.getsize(os.path.join(folder, name)) for name in names)


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix that all names have if the model was saved inside a wrapper, such as `DataParallel`."""
    for prefix in ("module.", "model."):
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _read_file(folder: str, name: str, op: str) -> dict[str, Tensor]:
    path = os.path.join(folder, name)
    if name.endswith(".safetensors"):
        return load_file(path)
    held = called_as(op, load, path)
    named = isinstance(held, Mapping) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in held.items())
    require(named, op, "directory", f"tensors by name in {path}", "something else")
    return {key: tensor.detach() for key, tensor in held.items()}


def _read_shards(folder: str, index: str, op: str) -> dict[str, Tensor]:
    path, kind = os.path.join(folder, index), index.removesuffix(".index.json").rpartition(".")[2]
    places = read_json(path, op, "directory", _Index)["weight_map"]
    listed: dict[str, list[str]] = {}
    for name, place in places.items():
        listed.setdefault(place, []).append(name)
    state: dict[str, Tensor] = {}
    for file in sorted(listed):
        right = inside(file) and file.endswith(f".{kind}")
        require(right, op, "directory", f"names of {kind} files in {path}", shortened(file))
        held = _read_file(folder, file, op)
        for name in sorted(listed[file]):
            require(name in held, op, "directory", f"{name} in {folder}/{file}, as its index says", "none")
            state[name] = held[name]
    return state
