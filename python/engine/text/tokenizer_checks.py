"""What files of tokenizers must hold before the `tokenizers` library gets them: it believes most numbers, and a template that names an
unknown token makes it panic in the middle of a text.

Not checked: how long a regular expression in a tokenizer.json takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypedDict

from engine.entries import as_kind
from engine.errors import BadValue, amount, require
from engine.settings import Between, shortened

__all__ = [
    "AddedIds",
    "ModelNames",
    "TokenizerSettings",
    "added_number",
    "check_ids",
    "check_tokenizer",
    "without_panic",
]

_GAPS = 2**16  # ids without a token, each of which would cost a row of an embedding table
_ID = Annotated[int, Between(0, 2**31 - 1)]
_TYPE = Annotated[int, Between(0, 2**15 - 1)]

AddedIds = dict[str, _ID]


class _Added(TypedDict, total=False):
    content: str
    single_word: bool
    lstrip: bool
    rstrip: bool
    normalized: bool
    special: bool


_Token = str | _Added | None


class TokenizerSettings(TypedDict, total=False):
    """tokenizer_config.json and special_tokens_map.json, as far as they are read."""

    tokenizer_class: str | None
    do_lower_case: bool | None
    strip_accents: bool | None
    tokenize_chinese_chars: bool | None
    add_prefix_space: bool | None
    trim_offsets: bool | None
    keep_accents: bool | None
    model_max_length: float | None
    added_tokens_decoder: dict[str, _Added] | None
    extra_special_tokens: list[_Token] | dict[str, _Token] | None
    additional_special_tokens: list[_Token] | None
    bos_token: _Token
    eos_token: _Token
    unk_token: _Token
    sep_token: _Token
    pad_token: _Token
    cls_token: _Token
    mask_token: _Token


class ModelNames(TypedDict, total=False):
    """What config.json says of the tokenizer."""

    model_type: str | None
    tokenizer_class: str | None


class _Entry(TypedDict):
    id: _ID
    content: str


class _Piece(TypedDict, total=False):
    id: str
    type_id: _TYPE


class _Expansion(TypedDict):
    ids: list[_ID]
    tokens: list[str]


class _Processor(TypedDict, total=False):
    type: str
    processors: list[dict[str, Any]] | None
    single: list[dict[str, _Piece]]
    pair: list[dict[str, _Piece]]
    special_tokens: dict[str, _Expansion]
    sep: list[Any]
    cls: list[Any]


class _Model(TypedDict, total=False):
    vocab: dict[str, Any] | list[Any]  # checked at once, because there are many


class _File(TypedDict, total=False):
    """A tokenizer.json, as far as it is checked here; the library checks the rest."""

    added_tokens: list[_Entry] | None
    model: _Model
    post_processor: _Processor | None


def check_tokenizer(value: Any, name: str, op: str) -> None:
    """Raises ValueError if the value in a tokenizer.json has ids that no vocabulary needs, or a template that names other tokens than
    it describes."""
    found: _File = as_kind(value, _File, name, op, "path")
    vocab = found.get("model", {}).get("vocab", {})
    ids = {entry["id"] for entry in found.get("added_tokens") or ()}
    if isinstance(vocab, dict):
        check_vocab(vocab, name, op)
        ids.update(vocab.values())
    else:
        ids.update(range(len(vocab)))
    check_ids(ids, name, op)
    for processor in _processors(found.get("post_processor"), name, op):
        _check_template(processor, ids, name, op)


def check_vocab(vocab: dict[str, Any], name: str, op: str) -> None:
    """Raises ValueError unless each token has an id of its own."""
    if not all(type(number) is int and 0 <= number < 2**31 for number in vocab.values()):
        as_kind(vocab, dict[str, _ID], name, op, "path")  # names the token
    count = len(set(vocab.values()))
    require(
        count == len(vocab),
        op,
        "path",
        "an id of its own for each token",
        f"{len(vocab)} tokens with {count} ids in {name}",
    )


def check_ids(ids: Iterable[int], name: str, op: str) -> None:
    """Raises ValueError if the largest id is far beyond the number of tokens, by which memory for a model would be measured."""
    known = set(ids)
    largest, most = max(known, default=0), len(known) + _GAPS
    require(largest < most, op, "path", f"ids below {most} for the {len(known)} tokens in {name}", largest)


def _processors(value: Any, name: str, op: str) -> Iterator[_Processor]:
    """The post-processor, and those in it if it is a sequence."""
    if value is None:
        return
    yield value
    for inner in value.get("processors") or ():
        yield from _processors(as_kind(inner, _Processor, f"a processor of {name}", op, "path"), name, op)


def _check_template(processor: _Processor, ids: set[int], name: str, op: str) -> None:
    described = processor.get("special_tokens") or {}
    for place in ("single", "pair"):
        for piece in processor.get(place) or ():  # type: ignore[attr-defined]
            token = piece.get("SpecialToken", {}).get("id")
            known = token is None or token in described
            require(known, op, "path", f"a template of known tokens in {name}", shortened(token))
    given = [(token, number) for token, each in described.items() for number in each["ids"]]
    for pair in (processor.get("sep"), processor.get("cls")):
        given += [(str(pair[0]), pair[1])] if pair and len(pair) == 2 else []
    for token, number in given:
        known = type(number) is int and number in ids
        require(known, op, "path", f"an id of the vocabulary for {shortened(token)} in {name}", shortened(number))
    for token, each in described.items():
        expected, got = f"as many ids as tokens for {shortened(token)} in {name}", f"{amount(len(each['ids']), 'id')}"
        require(len(each["ids"]) == len(each["tokens"]), op, "path", expected, got)


def added_number(text: str) -> int:
    """An id that is a key of `added_tokens_decoder`. Raises ValueError for another spelling of a number, which could be there twice."""
    if not (text.isascii() and text.isdecimal() and str(int(text[:11])) == text):
        raise ValueError(f"{shortened(text)} is no id")
    return int(text)


@contextmanager
def without_panic(op: str, argument: str, expected: str, got: str) -> Iterator[None]:
    """Turns the bare exceptions of the `tokenizers` library, and the panics of its Rust, which no `except Exception` catches, into
    ValueErrors."""
    try:
        yield
    except Exception as error:
        raise BadValue(op, argument, expected, got, error) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise BadValue(op, argument, expected, got, str(error)) from None
