"""Models as directories: config.json and model.safetensors, as `transformers` lays them out."""

from __future__ import annotations

import json
import os
from typing import TypeVar

from engine.models.config import TransformerConfig
from engine.nn.module import Module
from engine.serialization import load_file, save_file, write_text

__all__ = ["Pretrained"]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
Model = TypeVar("Model", bound="Pretrained")


class Pretrained(Module):
    """The base of models that are built from a config, saved to and loaded from a directory."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        if not isinstance(config, TransformerConfig):
            raise TypeError(
                f"[{type(self).__name__}] config: expected a TransformerConfig, got {type(config).__name__}"
            )
        self.config = config

    def num_parameters(self) -> int:
        """The number of trained numbers."""
        return sum(p.numel() for p in self.parameters())

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Writes config.json and model.safetensors, each complete or not at all; makes the directory if there is none."""
        os.makedirs(save_directory, exist_ok=True)
        save_file(self.state_dict(), os.path.join(save_directory, WEIGHTS), {"format": "pt"})
        values = {"architectures": [type(self).__name__], **self.config.to_dict()}
        write_text(os.path.join(save_directory, CONFIG), json.dumps(values, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def from_pretrained(cls: type[Model], directory: str | os.PathLike[str]) -> Model:
        """The model that `save_pretrained` wrote, in evaluation mode.

        Raises FileNotFoundError where a file is missing, ValueError where files are damaged or do not fit together.
        """
        op = f"[{cls.__name__}.from_pretrained]"
        path = os.path.join(directory, CONFIG)
        try:
            with open(path, encoding="utf-8") as stream:
                values = json.load(stream)
        except FileNotFoundError:
            raise FileNotFoundError(f"{op} directory: expected a file {CONFIG}, got none in {directory}") from None
        except ValueError as error:
            raise ValueError(f"{op} directory: expected JSON in {path}, got something else ({error})") from None
        if not isinstance(values, dict):
            raise ValueError(f"{op} directory: expected a JSON object in {path}, got {type(values).__name__}")
        try:
            config = TransformerConfig.from_dict(values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{op} directory: expected a model's config in {path}, got: {error}") from None
        state = load_file(os.path.join(directory, WEIGHTS))
        # Numbers in config.json are not trusted to allocate: the weights, which exist, bound them.
        held, described = sum(t.numel() for t in state.values()), _at_least(config)
        if described > held:
            raise ValueError(
                f"{op} directory: expected weights for the {described} parameters that {path} describes, got {held}"
            )
        model = cls(config)
        model.load_state_dict(state)
        return model.eval()


def _at_least(c: TransformerConfig) -> int:
    """Parameters that a model of this config has in any case."""
    d = c.hidden_size
    tables = (c.vocab_size + c.max_position_embeddings + c.type_vocab_size) * d
    return tables + c.num_hidden_layers * (4 * d * d + 2 * d * c.intermediate_size)
