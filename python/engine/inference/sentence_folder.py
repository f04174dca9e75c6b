"""Folders of `sentence-transformers` (Reimers & Gurevych 2019, arXiv 1908.10084): read and written so that either side opens
what the other wrote.

A modules.json lists the parts of the encoder: Transformer, Pooling, and perhaps Normalize. Each part has its own config.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadValue
from engine.serialization import read_json, write_json

if TYPE_CHECKING:
    from engine.inference.embedder import SentenceEncoder

__all__ = ["POOLING_MODES", "read_json_if_there", "read_modules", "write_modules"]

POOLING_MODES = ("cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
# Older pooling configs have a true or false for each mode; several vectors stand side by side in this order.
_OLD_NAMES = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip


def read_modules(folder: Path, op: str) -> tuple[Path, dict[str, Any]]:
    """(the folder of the encoder's model, the arguments of a `SentenceEncoder`) of a folder with a modules.json.

    Raises:
        FileNotFoundError: if a config is missing.
        ValueError: on a damaged file, another module, or a setting that a `SentenceEncoder` lacks.
    """
    listed = read_json(folder / "modules.json", op, "directory", list)
    if not all(isinstance(each, dict) for each in listed):
        raise BadValue(op, "directory", f"a list of objects in {folder / 'modules.json'}", repr(listed))
    kinds = [str(each.get("type", "")).rsplit(".", 1)[-1] for each in listed]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        expected = f"the modules Transformer, Pooling and perhaps Normalize in {folder}"
        raise BadValue(op, "directory", expected, ", ".join(kinds) or "none")
    paths = [str(each.get("path", "")) for each in listed]
    for path in paths:
        if path and (os.path.basename(path) != path or path in (".", "..")):
            raise BadValue(op, "directory", f"modules in folders below {folder}", repr(path))
    place = folder / paths[0]
    pooling = read_json(folder / paths[1] / "config.json", op, "directory")
    about = read_json_if_there(place / "sentence_bert_config.json", op)
    prompts = read_json_if_there(folder / "config_sentence_transformers.json", op)
    found = {
        "pooling": _pooling(pooling, op),
        "normalize": len(kinds) == 3,
        "max_length": about.get("max_seq_length"),
        "lowercase": bool(about.get("do_lower_case", False)),
    }
    name = prompts.get("default_prompt_name")
    if name is not None:
        if name not in prompts.get("prompts", {}):
            raise BadValue(op, "directory", f"the prompt {name!r} in {folder}", "no prompt of that name")
        found["prompt"] = str(prompts["prompts"][name])
        if found["prompt"] and not pooling.get("include_prompt", True):
            raise BadValue(op, "directory", "pooling of all tokens", "pooling without those of the prompt")
    return place, found


def _pooling(config: dict[str, Any], op: str) -> Any:
    """The modes of a pooling config, old or new."""
    for name, value in config.items():
        if value is True and name.startswith("pooling_mode_") and name not in _OLD_NAMES:
            raise BadValue(op, "directory", f"pooling by {', '.join(POOLING_MODES)}", name)
    return config.get("pooling_mode") or [mode for name, mode in _OLD_NAMES.items() if config.get(name)] or "mean"


def read_json_if_there(path: Path, op: str) -> dict[str, Any]:
    """The object in a JSON file, or {} without a file. Raises ValueError where the file holds anything else."""
    return read_json(path, op, "directory") if path.is_file() else {}


def write_modules(folder: Path, encoder: SentenceEncoder) -> None:
    """Write modules.json and the configs of the modules beside the encoder's model; each file is complete or not there."""
    modules = ["Transformer", "Pooling"] + ["Normalize"] * encoder.normalize
    listed = [
        {"idx": i, "name": str(i), "path": f"{i}_{name}" if i else "", "type": f"sentence_transformers.models.{name}"}
        for i, name in enumerate(modules)
    ]
    pooling: dict[str, Any] = {"word_embedding_dimension": encoder.model.config.hidden_size}
    pooling |= {name: mode in encoder.pooling for name, mode in _OLD_NAMES.items()}
    if encoder.pooling != tuple(mode for mode in _OLD_NAMES.values() if mode in encoder.pooling):  # another order
        pooling["pooling_mode"] = list(encoder.pooling)
    about = {"max_seq_length": encoder.max_length, "do_lower_case": encoder.lowercase}
    prompts = {"prompts": {"default": encoder.prompt}, "default_prompt_name": "default"} if encoder.prompt else {}
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write_json(folder / "modules.json", listed)
    write_json(folder / "1_Pooling" / "config.json", pooling)
    write_json(folder / "sentence_bert_config.json", about)
    write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine", **prompts})
