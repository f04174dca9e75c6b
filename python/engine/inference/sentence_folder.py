"""Folders of `sentence-transformers` (Reimers & Gurevych 2019, arXiv 1908.10084): read and written so that either side opens
what the other wrote.

A modules.json lists the parts of the encoder: Transformer, Pooling, and perhaps Normalize. Each part has its own config.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, TypeVar

from engine.entries import inside
from engine.errors import require
from engine.serialization import read_json, write_json
from engine.settings import Between, shortened

if TYPE_CHECKING:
    from engine.inference.embedder import SentenceEncoder

T = TypeVar("T")

__all__ = ["POOLING_MODES", "pooling_config", "pooling_of", "read_json_if_there", "read_modules", "write_modules"]

POOLING_MODES = ("cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
# Older pooling configs hold true or false for each mode; the vectors of several modes are put side by side in this order.
_OLD_NAMES = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip


class _Module(TypedDict, total=False):
    type: str
    path: str


class _Pooling(TypedDict, total=False):
    pooling_mode: str | list[str] | None
    include_prompt: bool


class _About(TypedDict, total=False):
    max_seq_length: Annotated[int, Between(1)] | None
    do_lower_case: bool | None


class _Prompts(TypedDict, total=False):
    default_prompt_name: str | None
    prompts: dict[str, str] | None


def read_modules(folder: Path, op: str) -> tuple[Path, dict[str, Any]]:
    """(the folder of the encoder's model, the arguments of a `SentenceEncoder`) that a folder with a modules.json describes.

    Raises:
        FileNotFoundError: if a config is missing.
        ValueError: if a file is damaged, or asks for a module or setting that `SentenceEncoder` does not have.
    """

    def check(right: object, expected: str, got: str) -> None:
        require(right, op, "directory", expected, got)

    listed = read_json(folder / "modules.json", op, "directory", list[_Module])
    kinds = [each.get("type", "").rsplit(".", 1)[-1] for each in listed]
    known = kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
    check(known, f"the modules Transformer, Pooling and perhaps Normalize in {folder}", ", ".join(kinds) or "none")
    paths = [each.get("path", "") for each in listed]
    below = all(not path or inside(path) for path in paths)
    check(below, f"modules in {folder} or in folders directly below it", repr(paths))
    place = folder / paths[0]
    pooling = read_json(folder / paths[1] / "config.json", op, "directory", _Pooling)
    about = read_json_if_there(place / "sentence_bert_config.json", op, _About)
    prompts = read_json_if_there(folder / "config_sentence_transformers.json", op, _Prompts)
    switches = {key: value for key, value in pooling.items() if key.startswith("pooling_mode_")}
    for key, value in switches.items():
        check(
            isinstance(value, bool),
            f"true or false as {key!r} in {folder / paths[1] / 'config.json'}",
            shortened(value),
        )
    on = [key for key, value in switches.items() if value]
    check(set(on) <= _OLD_NAMES.keys(), f"pooling by {', '.join(POOLING_MODES)}", ", ".join(on))
    found = {
        "pooling": pooling.get("pooling_mode") or [mode for key, mode in _OLD_NAMES.items() if key in on] or "mean",
        "normalize": len(kinds) == 3,
        "max_length": about.get("max_seq_length"),
        "lowercase": bool(about.get("do_lower_case", False)),
    }
    name = prompts.get("default_prompt_name")
    if name is not None:
        texts = prompts.get("prompts") or {}
        check(
            name in texts,
            f"the prompt {name!r} in {folder}",
            f"prompts named {', '.join(map(repr, texts)) or 'nothing'}",
        )
        found["prompt"] = texts[name]
        whole = not found["prompt"] or pooling.get("include_prompt", True)
        check(whole, f"pooling of all tokens in {folder}", "pooling that leaves out the tokens of the prompt")
    return place, found


def pooling_of(folder: Path, op: str) -> str | None:
    """How the encoder in a folder was trained to make one vector of a text, a name in `POOLING_MODES`; None if the folder does not say
    so, or names several. Other modules than Transformer and Pooling do not matter. Raises ValueError if a file is damaged."""
    if not (folder / "modules.json").is_file():
        return None
    listed = read_json(folder / "modules.json", op, "directory", list[_Module])
    paths = [each.get("path", "") for each in listed if each.get("type", "").endswith(".Pooling")]
    if len(paths) != 1 or not inside(paths[0]):
        return None
    pooling = read_json_if_there(folder / paths[0] / "config.json", op, _Pooling)
    modes = [mode for key, mode in _OLD_NAMES.items() if pooling.get(key) is True]
    mode = pooling.get("pooling_mode") or (modes[0] if len(modes) == 1 else None)
    return mode if isinstance(mode, str) and mode in POOLING_MODES else None


def read_json_if_there(path: Path, op: str, kind: type[T]) -> T:
    """The object in a JSON file, a TypedDict; {} if there is no such file. Raises ValueError if the file holds anything else."""
    return read_json(path, op, "directory", kind) if path.is_file() else kind()


def write_modules(folder: Path, encoder: SentenceEncoder) -> None:
    """Write modules.json and the configs of the modules into the folder of the encoder's model, each file completely or not at all."""
    modules = ["Transformer", "Pooling"] + ["Normalize"] * encoder.normalize
    listed = [
        {"idx": i, "name": str(i), "path": f"{i}_{name}" if i else "", "type": f"sentence_transformers.models.{name}"}
        for i, name in enumerate(modules)
    ]
    about = {"max_seq_length": encoder.max_length, "do_lower_case": encoder.lowercase}
    prompts = {"prompts": {"default": encoder.prompt}, "default_prompt_name": "default"} if encoder.prompt else {}
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write_json(folder / "modules.json", listed)
    write_json(folder / "1_Pooling" / "config.json", pooling_config(encoder.model.config.hidden_size, encoder.pooling))
    write_json(folder / "sentence_bert_config.json", about)
    write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine", **prompts})


def pooling_config(size: int, modes: tuple[str, ...]) -> dict[str, Any]:
    """The config of a module Pooling of vectors of that size."""
    config: dict[str, Any] = {"word_embedding_dimension": size}
    config |= {name: mode in modes for name, mode in _OLD_NAMES.items()}
    if modes != tuple(mode for mode in _OLD_NAMES.values() if mode in modes):  # in another order
        config["pooling_mode"] = list(modes)
    return config
