"""Files of tokenizers: `tokenizer.json`, BERT's `vocab.txt`, and the settings in the same folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from engine.errors import BadValue, FileMissing, require
from engine.serialization import read_json
from engine.text._tokenizer_backend import SPECIAL_TOKENS, bert, library
from engine.text.files import TextFile, numbered_lines

if TYPE_CHECKING:
    import tokenizers

__all__ = ["read_folder", "read_tokenizer", "read_vocab"]

_NO_LIMIT = 10**9  # a larger `model_max_length` in a file means that there is no limit


def read_tokenizer(path: str | os.PathLike[str], op: str = "Tokenizer.from_file") -> tokenizers.Tokenizer:
    """The tokenizer of a `tokenizer.json`. Raises FileNotFoundError, or ValueError if the file holds no tokenizer."""
    file = TextFile(op, path)
    tokenizer_class, text = library().Tokenizer, file.read(inner_marks=True)
    try:
        return tokenizer_class.from_str(text)
    except Exception as error:  # the library raises bare Exception
        raise BadValue(op, "path", "a tokenizer.json", file.name, error) from None


def read_vocab(path: str | os.PathLike[str], op: str = "Tokenizer.from_vocab") -> dict[str, int]:
    """The tokens of a `vocab.txt` with their ids.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a token occurs twice, or one of the special tokens but [MASK] is missing.
    """
    file = TextFile(op, path)
    tokens = [token for _, token in numbered_lines(file.read(inner_marks=True))]
    while tokens and not tokens[-1]:
        tokens.pop()
    vocab: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if vocab.setdefault(token, number) != number:
            got = f"{token!r} in lines {vocab[token] + 1} and {number + 1} of {file.name}"
            raise BadValue(op, "path", "distinct tokens", got)
    needed = SPECIAL_TOKENS[:4]
    missing = ", ".join(token for token in needed if token not in vocab)
    require(not missing, op, "path", f"the tokens {', '.join(needed)} in {file.name}", f"a file without {missing}")
    return vocab


def read_folder(directory: str | os.PathLike[str]) -> tuple[tokenizers.Tokenizer, dict[str, Any], int | None]:
    """The tokenizer of a folder, its settings, and the most tokens that its model accepts (None if the files do not say).

    The settings are those of `special_tokens_map.json` and `tokenizer_config.json`, if these files exist.

    Raises:
        FileNotFoundError: if there is no such folder, or neither `tokenizer.json` nor `vocab.txt` in it.
        ValueError: if a file is damaged.
    """
    op, folder = "Tokenizer.from_pretrained", os.fspath(directory)
    require(os.path.isdir(folder), op, "directory", "an existing folder", folder, error=FileMissing)
    there = {name: os.path.join(folder, name) for name in os.listdir(folder)}
    config: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if name in there:
            config |= read_json(there[name], op, "directory")
    if "tokenizer.json" in there:
        backend = read_tokenizer(there["tokenizer.json"], op)
    elif "vocab.txt" in there:
        backend = bert(
            read_vocab(there["vocab.txt"], op),
            lowercase=bool(config.get("do_lower_case", True)),
            strip_accents=config.get("strip_accents"),
            split_chinese=bool(config.get("tokenize_chinese_chars", True)),
        )
    else:
        raise FileMissing(op, "directory", "a folder with tokenizer.json or vocab.txt", folder)
    limit: Any = config.get("model_max_length")
    is_limit = type(limit) in (int, float) and 0 < limit < _NO_LIMIT
    return backend, config, int(limit) if is_limit else None
