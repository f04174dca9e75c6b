"""Models as directories: config.json and model.safetensors (or its shards), as `transformers` lays them out."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from engine.errors import BadType, BadValue, FileMissing
from engine.hub import resolve
from engine.models.config import TransformerConfig
from engine.models.families import FAMILIES, HEADS
from engine.nn.module import Module
from engine.serialization import load_file, save_file, write_text
from engine.tensor import Tensor

__all__ = ["LoadingInfo", "Pretrained", "read_config", "read_weights"]

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
Model = TypeVar("Model", bound="Pretrained")

_log = logging.getLogger("engine.models")
# What published files hold beside the weights: buffers, and the head of BERT's second pretraining task.
_KNOWN = re.compile(
    r"(^|\.)embeddings\.(position_ids|token_type_ids)$|^cls\.seq_relationship\.|\.decoder\.(weight|bias)$|"
    r"^(vocab_projector|generator_lm_head)\.weight$|^discriminator_predictions\.|(^|\.)pooler\.(dense\.)?(weight|bias)$|"
    r"^(cls|sop_classifier|lm_head|predictions|vocab_transform|vocab_layer_norm|vocab_projector|generator_predictions)\."
)
_HEAD_NAMES = ("classifier.", "pre_classifier.", "qa_outputs.")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "pytorch_model.pt")


class LoadingInfo(NamedTuple):
    """What `from_pretrained` found: published names of weights that the files lack, that the model has no place for, and
    those of another shape (with `ignore_mismatched_sizes`); missing and mis-shaped ones have initial values."""

    missing_keys: list[str]
    unexpected_keys: list[str]
    mismatched_keys: list[str]


class Pretrained(Module):
    """The base of models that are built from a config, saved to and loaded from a directory."""

    head: ClassVar[str] = ""  # of `families.HEADS`; "": engine's own models, which no family publishes

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        if not isinstance(config, TransformerConfig):
            raise BadType(type(self).__name__, "config", "a TransformerConfig", type(config).__name__)
        self.config = config

    def num_parameters(self) -> int:
        """The number of trained numbers."""
        return sum(p.numel() for p in self.parameters())

    @property
    def architecture(self) -> str:
        """The class that config.json names: that of `transformers` for a model of a published family."""
        if not self.head or self.config.model_type is None:
            return type(self).__name__
        return FAMILIES[self.config.model_type].title + HEADS[self.head]

    def published_name(self, name: str) -> str:
        """The name in files of the entry `name` of `state_dict`."""
        if not self.head or self.config.model_type is None:
            return name
        return FAMILIES[self.config.model_type].published(name, self.head)

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Writes config.json and model.safetensors, each complete or not at all; makes the directory if there is none.

        Models of a published family (`config.model_type`) get that family's names: `transformers` opens them, with the same
        outputs.
        """
        os.makedirs(save_directory, exist_ok=True)
        self.save_weights(os.path.join(save_directory, WEIGHTS))
        values = {"architectures": [self.architecture], **self.config.to_dict()}
        write_text(os.path.join(save_directory, CONFIG), json.dumps(values, indent=2, ensure_ascii=False) + "\n")

    def save_weights(self, filename: str | os.PathLike[str]) -> None:
        """Writes the weights alone, by their published names; whole or not at all."""
        state = {self.published_name(name): tensor for name, tensor in self.state_dict().items()}
        save_file(state, filename, {"format": "pt"})

    def load_weights(self, filename: str | os.PathLike[str]) -> None:
        """Reads what `save_weights` wrote. Raises FileNotFoundError, or ValueError where it does not fit the model."""
        names = {self.published_name(name): name for name in self.state_dict()}
        self.load_state_dict({names.get(name, name): tensor for name, tensor in load_file(filename).items()})

    def gradient_checkpointing_enable(self) -> None:
        """Compute each layer again in the backward pass instead of keeping what that needs: less memory, more time, same bits."""
        for module in self.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep what the backward pass needs."""
        for module in self.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = False

    @classmethod
    def config_for(cls, config: TransformerConfig) -> TransformerConfig:
        """The config as this class needs it (a pooler or none, ...)."""
        return config

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

        Weights are read from model.safetensors, or from its shards by model.safetensors.index.json; bfloat16 and float16 become
        float32. What a checkpoint lacks of the head (a classifier, a pooler) gets initial values, and is named in the log
        (`engine.models`, a warning); a lack in the encoder is an error.

        Args:
            directory: a directory, or a name on the Hugging Face hub (needs `huggingface_hub`: extra `hub`), of `revision`.
            output_loading_info: give (model, `LoadingInfo`); the log then leaves initial values to the caller.
            ignore_mismatched_sizes: give initial values to weights of the head whose shape differs, rather than refuse.
            overrides: fields of `TransformerConfig` to change, such as num_labels, id2label, hidden_dropout_prob.

        Raises FileNotFoundError where a file is missing, ValueError where files are damaged, do not fit together or are pickles,
        TypeError for an override that is no field.
        """
        op = f"{cls.__name__}.from_pretrained"
        folder = resolve(directory, op, revision)
        config = read_config(folder, op, **overrides)
        if cls.head and config.model_type is None:
            raise BadValue(
                op,
                "directory",
                f"a published model (model_type in {CONFIG})",
                folder,
                "TransformerClassifier reads engine's own",
            )
        if not cls.head and config.model_type is not None:
            raise BadValue(
                op,
                "directory",
                "a model of engine's own",
                f"a published one in {folder}",
                "BertForSequenceClassification, BertModel and their kin read those",
            )
        config = cls.config_for(config)
        state = read_weights(folder, op)
        # Numbers in config.json are not trusted to allocate: the weights, which exist, bound them.
        held, described = sum(t.numel() for t in state.values()), _at_least(config, "num_labels" not in overrides)
        if described > held:
            raise BadValue(
                op, "directory", f"weights for the {described} parameters that {folder}/{CONFIG} describes", held
            )
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
        own = self.state_dict()
        missing, mismatched, lines = [], [], []
        for name, target in own.items():
            published = self.published_name(name)
            key = next((k for k in self._candidates(name, published) if k in state), None)
            if key is None:
                missing.append(published)
                if self._is_encoder(name):
                    lines.append(f"missing: {published}")
                continue
            tensor = state.pop(key)
            if tensor.shape == target.shape:
                found[name] = tensor
            elif ignore_mismatched_sizes and not self._is_encoder(name):
                mismatched.append(published)
            else:
                lines.append(f"mis-shaped: {published}: expected shape {target.shape}, got {tensor.shape}")
        unexpected = sorted(state)
        if not self.head:  # engine's own files hold just what the model has
            lines += [f"unexpected: {name}" for name in unexpected]
        if lines:
            got = "others:" + "".join(f"\n  {line}" for line in lines)
            raise BadValue(op, "directory", f"the weights of {type(self).__name__}", got)
        self.load_state_dict(found, strict=False)
        self._check_unused(state, op)
        strange = [name for name in unexpected if not _KNOWN.search(name) and not self._is_a_head(name)]
        if strange:
            _log.warning("%s: not used: %s", op, ", ".join(strange))
        return LoadingInfo(missing, unexpected, mismatched)

    def _candidates(self, name: str, published: str) -> Iterator[str]:
        """Names under which files may hold an entry: the published one; with and without the encoder's prefix, which models with
        a head have; in the old spelling of normalisations; of a bias that is also the decoder's."""
        names = [published]
        if self.head and self.config.model_type is not None:
            prefix = FAMILIES[self.config.model_type].prefix + "."
            if self.head == "base":
                names.append(prefix + published)
            elif published.startswith(prefix):
                names.append(published[len(prefix) :])
        for each in names:
            yield each
            for new, old in ((".LayerNorm.weight", ".LayerNorm.gamma"), (".LayerNorm.bias", ".LayerNorm.beta")):
                if each.endswith(new):
                    yield each[: -len(new)] + old
        if name == "cls.predictions.bias":
            yield published[: -len("bias")] + "decoder.bias"

    def _check_unused(self, state: dict[str, Tensor], op: str) -> None:
        """Raises ValueError where what is left over of a file changes what the model should compute."""

    def _is_a_head(self, name: str) -> bool:
        """Whether a published name is of a head, where a bare encoder is read from a model that has one."""
        return self.head == "base" and name.startswith(_HEAD_NAMES)

    def _is_encoder(self, name: str) -> bool:
        """Whether an entry of `state_dict` is the encoder's, without which a checkpoint is none; engine's own: all are."""
        return not self.head or ("pooler." not in name and (self.head == "base" or name.startswith("bert.")))


def read_config(folder: str, op: str, **overrides: Any) -> TransformerConfig:
    """The config.json in a folder, with the fields `overrides` changed.

    Raises FileNotFoundError, ValueError where it is damaged or no model's, TypeError for an override that is no field.
    """
    values = _read_object(folder, CONFIG, op)
    try:
        config = TransformerConfig.from_dict(values)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadValue(op, "directory", f"the config of a model in {folder}/{CONFIG}", "another", str(error)) from None
    if not overrides:
        return config
    if overrides.get("id2label") is not None:
        overrides.setdefault("num_labels", len(overrides["id2label"]))
    elif "num_labels" in overrides and overrides["num_labels"] != config.num_labels:
        overrides["id2label"] = None
    fields = {**vars(config), **overrides}
    unknown = sorted(set(fields) - set(vars(config)))
    if unknown:
        raise BadType(op, unknown[0], "a field of TransformerConfig", "another name")
    return TransformerConfig(**fields)


def read_weights(folder: str, op: str) -> dict[str, Tensor]:
    """The weights in a folder by their published names: model.safetensors, or the shards that its index lists.

    Raises FileNotFoundError where there are none, ValueError where files are damaged, do not hold what the index says, lie outside
    of the folder, or are pickles (which can run code when they are opened).
    """
    if os.path.isfile(os.path.join(folder, WEIGHTS)):
        return load_file(os.path.join(folder, WEIGHTS))
    if os.path.isfile(os.path.join(folder, INDEX)):
        return _read_shards(folder, op)
    pickles = [name for name in _PICKLES if os.path.isfile(os.path.join(folder, name))]
    if pickles:
        raise BadValue(
            op,
            "directory",
            WEIGHTS,
            f'''{pickles[0]} in {folder}: a pickle, which can run code when it is opened. If you trust it, convert it once where transformers is installed: python -c "from transformers import AutoModel; AutoModel.from_pretrained('{folder}').save_pretrained('{folder}')"''',
        )
    raise FileMissing(op, "directory", f"a file {WEIGHTS} or {INDEX}", f"none in {folder}")


def _read_shards(folder: str, op: str) -> dict[str, Tensor]:
    places = _read_object(folder, INDEX, op).get("weight_map")
    if not isinstance(places, Mapping) or not all(isinstance(place, str) for place in places.values()):
        raise BadValue(op, "directory", f"a weight_map of names and files in {folder}/{INDEX}", "none")
    state: dict[str, Tensor] = {}
    for file in sorted(set(places.values())):
        if os.path.basename(file) != file or not file.endswith(".safetensors"):
            raise BadValue(op, "directory", f"names of safetensors files in {folder}/{INDEX}", repr(file))
        held = load_file(os.path.join(folder, file))
        for name in sorted(name for name, place in places.items() if place == file):
            if name not in held:
                raise BadValue(op, "directory", f"{name} in {folder}/{file}, as its index says", "none")
            state[name] = held[name]
    return state


def _read_object(folder: str, file: str, op: str) -> dict[str, Any]:
    path = os.path.join(folder, file)
    try:
        with open(path, encoding="utf-8") as stream:
            values = json.load(stream)
    except FileNotFoundError:
        raise FileMissing(op, "directory", f"a file {file}", f"none in {folder}") from None
    except (ValueError, RecursionError) as error:
        raise BadValue(op, "directory", f"JSON in {path}", "something else", error) from None
    if not isinstance(values, dict):
        raise BadValue(op, "directory", f"a JSON object in {path}", type(values).__name__)
    return values


def _at_least(c: TransformerConfig, head: bool) -> int:
    """Parameters that a model of this config has in any case; head: with its labels, as far as they are more than names."""
    d = c.hidden_size
    tables = (c.vocab_size + c.max_position_embeddings + c.type_vocab_size) * (c.embedding_size or d)
    layers = min(c.num_hidden_layers, c.num_hidden_groups or c.num_hidden_layers)
    labels = 0 if not head or c.id2label is not None or c.num_labels == 2 else c.num_labels * d
    return tables + layers * (4 * d * d + 2 * d * c.intermediate_size) + labels
