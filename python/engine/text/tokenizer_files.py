"""Files of tokenizers: `tokenizer.json`, BERT's `vocab.txt`, RoBERTa's `vocab.json` and `merges.txt`.

`tokenizer_folder.py` reads whole folders, with the settings beside these files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.entries import parse_json
from engine.errors import ArgumentError, BadValue, require
from engine.serialization import read_json
from engine.text._tokenizer_backend import SPECIAL_TOKENS, library
from engine.text.files import TextFile, numbered_lines
from engine.text.tokenizer_checks import check_ids, check_tokenizer, check_vocab, without_panic

if TYPE_CHECKING:
    import tokenizers

__all__ = ["read_bpe", "read_tokenizer", "read_vocab"]


def read_tokenizer(path: str | os.PathLike[str], op: str = "Tokenizer.from_file") -> tokenizers.Tokenizer:
    """The tokenizer of a `tokenizer.json`. Raises FileNotFoundError, or ValueError if the file holds no tokenizer."""
    file = TextFile(op, path)
    tokenizer_class, text = library().Tokenizer, file.read(inner_marks=True)
    try:
        check_tokenizer(parse_json(text), file.name, op)
    except ArgumentError:
        raise
    except ValueError as error:
        raise BadValue(op, "path", "a tokenizer.json", file.name, error) from None
    with without_panic(op, "path", "a tokenizer.json", file.name):
        found = tokenizer_class.from_str(text)
        found.encode("")  # these use the templates around texts
        found.encode("", "")
        return found


def read_vocab(
    path: str | os.PathLike[str], op: str = "Tokenizer.from_vocab", needed: Iterable[str] = SPECIAL_TOKENS[:4]
) -> dict[str, int]:
    """The tokens of a `vocab.txt` with their ids.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a token occurs twice, or one of the `needed` is missing.
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
    return _with_all(vocab, needed, op, file.name)


def read_bpe(
    vocab_path: str | os.PathLike[str], merges_path: str | os.PathLike[str], op: str, needed: Iterable[str]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The tokens of a `vocab.json` with their ids, and the pairs of a `merges.txt` in the order in which they are merged.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a file is damaged, or one of the `needed` tokens is missing.
    """
    vocab, file = read_json(vocab_path, op, "path"), TextFile(op, merges_path)
    check_vocab(vocab, os.fspath(vocab_path), op)
    check_ids(vocab.values(), os.fspath(vocab_path), op)
    merges = []
    for line, text in numbered_lines(file.read()):
        if text and not text.startswith("#version"):
            first, _, second = text.partition(" ")
            if not first or not second or " " in second:
                raise file.wrong(line, "two tokens with a space between them", repr(text))
            for token in (first, second, first + second):
                if token not in vocab:
                    raise file.wrong(line, "tokens of vocab.json", repr(token))
            merges.append((first, second))
    return _with_all(vocab, needed, op, os.fspath(vocab_path)), merges


def _with_all(vocab: dict[str, int], needed: Iterable[str], op: str, file: str) -> dict[str, int]:
    """The vocabulary. Raises ValueError if it lacks one of the tokens."""
    tokens = list(dict.fromkeys(needed))
    missing = ", ".join(token for token in tokens if token not in vocab)
    require(not missing, op, "path", f"the tokens {', '.join(tokens)} in {file}", f"a file without {missing}")
    return vocab
