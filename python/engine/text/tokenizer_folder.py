"""Folders of tokenizers, read as `transformers` reads them: which of their files decides, and which tokens they add.

- `tokenizer.json` holds the whole tokenizer. A folder without it has a `vocab.txt` (BERT's WordPiece), or a `vocab.json` and a
  `merges.txt` (RoBERTa's byte-level BPE).
- If `tokenizer_config.json` names a family's own class, such as BertTokenizer, its settings and the defaults of that class count, and
  not what `tokenizer.json` says: `do_lower_case`, `strip_accents`, `tokenize_chinese_chars`, `add_prefix_space`, and ALBERT's
  `keep_accents`; and the tokens around a text and for the unknown (`cls_token`, `sep_token`, `unk_token`). The class
  PreTrainedTokenizerFast takes `tokenizer.json` as it is. If the folder names no class, the family in `config.json` decides; without
  one, the settings that are there count.
- Added tokens are those of `added_tokens_decoder` in `tokenizer_config.json`, or else of `added_tokens.json`. Older folders have a
  `special_tokens_map.json`; it wins over `tokenizer_config.json`, unless the latter has an `added_tokens_decoder`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import BadValue, FileMissing, require
from engine.serialization import read_json
from engine.text._tokenizer_backend import bert, finish, library, roberta
from engine.text.tokenizer_checks import AddedIds, ModelNames, TokenizerSettings, added_number
from engine.text.tokenizer_files import read_bpe, read_tokenizer, read_vocab

if TYPE_CHECKING:
    import tokenizers

__all__ = ["read_folder"]

_OP = "Tokenizer.from_pretrained"
_NO_LIMIT = 10**9  # a larger `model_max_length` in a file means that there is no limit
_GENERAL = ("PreTrainedTokenizer", "TokenizersBackend")  # classes without settings of their own
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_EXTRA, _ADDITIONAL = "extra_special_tokens", "additional_special_tokens"
_BERT = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
_ROBERTA = {
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>", "cls_token": "<s>",
    "mask_token": "<mask>",
}  # fmt: skip
_TEMPLATE = ["SpecialToken", "Sequence", "SpecialToken"]  # of one text
_SENTENCEPIECE = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model")

# The settings of families by the kind of the part of tokenizer.json that they change: key, name there, the classes' default.
_SETTINGS: dict[str, tuple[tuple[str, str, Any], ...]] = {
    "BertNormalizer": (
        ("do_lower_case", "lowercase", True), ("strip_accents", "strip_accents", None),
        ("tokenize_chinese_chars", "handle_chinese_chars", True),
    ),
    "ByteLevel": (("add_prefix_space", "add_prefix_space", False),),
    "RobertaProcessing": (("add_prefix_space", "add_prefix_space", False), ("trim_offsets", "trim_offsets", True)),
}  # fmt: skip


def read_folder(directory: str | os.PathLike[str]) -> tuple[tokenizers.Tokenizer, dict[str, str], int | None]:
    """The tokenizer of a folder, its special tokens by role ("cls"), and the most tokens that its model accepts (None if the files do
    not say).

    Raises:
        FileNotFoundError: if there is no such folder, or no tokenizer in it that engine reads.
        ValueError: if a file is damaged.
    """
    folder = os.fspath(directory)
    require(os.path.isdir(folder), _OP, "directory", "an existing folder", folder, error=FileMissing)
    there = {name: os.path.join(folder, name) for name in os.listdir(folder)}

    def values(name: str, kind: Any = TokenizerSettings) -> dict[str, Any]:
        return read_json(there[name], _OP, "directory", kind) if name in there else {}

    config = values("tokenizer_config.json")
    if not config.get(_EXTRA):  # its older name
        config[_EXTRA] = config.pop(_ADDITIONAL, None)
    if not isinstance(config.get("added_tokens_decoder"), Mapping):
        config |= values("special_tokens_map.json")
    if "tokenizer.json" in there:
        backend, model = read_tokenizer(there["tokenizer.json"], _OP), values("config.json", ModelNames)
        backend = _by_class(backend, config, model)
        _add_tokens(backend, config, values("added_tokens.json", AddedIds))
        if _family(config, model) is not None:
            backend = _with_ends(backend, config)
    elif "vocab.txt" in there:
        config = {**_BERT, **config}
        needed = [
            _content(config[name]) or _BERT[name] for name in ("pad_token", "unk_token", "cls_token", "sep_token")
        ]
        backend = bert(
            read_vocab(there["vocab.txt"], _OP, needed),
            lowercase=bool(config.get("do_lower_case", True)),
            strip_accents=config.get("strip_accents"),
            split_chinese=bool(config.get("tokenize_chinese_chars", True)),
            unknown=needed[1],
        )
        _add_tokens(backend, config, values("added_tokens.json", AddedIds))
        finish(backend, cls=needed[2], sep=needed[3])
    elif {"vocab.json", "merges.txt"} <= there.keys():
        config = {**_ROBERTA, **config}
        needed = [_content(config[name]) or _ROBERTA[name] for name in ("pad_token", "cls_token", "sep_token")]
        vocab, merges = read_bpe(there["vocab.json"], there["merges.txt"], _OP, needed)
        prefix = bool(config.get("add_prefix_space", False))
        backend = roberta(vocab, merges, prefix_space=prefix)
        _add_tokens(backend, config, values("added_tokens.json", AddedIds))
        ends = [(token, vocab[token]) for token in (needed[2], needed[1])]
        trim = bool(config.get("trim_offsets", True))
        backend.post_processor = library().processors.RobertaProcessing(*ends, trim, prefix)
    else:
        expected = "a folder with tokenizer.json or vocab.txt, or with vocab.json and merges.txt"
        models = [name for name in _SENTENCEPIECE if name in there]
        hint = f"{', '.join(models)} is of SentencePiece: transformers' save_pretrained writes its tokenizer.json"
        raise FileMissing(_OP, "directory", expected, folder, *[hint] * bool(models))
    named = {name.removesuffix("_token"): _content(config.get(name)) for name in _NAMED[2:]}
    limit: Any = config.get("model_max_length")
    is_limit = type(limit) in (int, float) and 0 < limit < _NO_LIMIT
    return backend, {role: token for role, token in named.items() if token}, int(limit) if is_limit else None


def _by_class(
    backend: tokenizers.Tokenizer, config: Mapping[str, Any], model: Mapping[str, Any]
) -> tokenizers.Tokenizer:
    """The tokenizer of a tokenizer.json with the settings of the class that the folder names."""
    name = config.get("tokenizer_class") or model.get("tokenizer_class")
    if str(name).removesuffix("Fast") in _GENERAL:
        return backend
    family = _family(config, model)
    state = json.loads(backend.to_str())
    changed = False
    for part in (state.get("normalizer"), state.get("pre_tokenizer"), state.get("post_processor")):
        for key, inside, default in _SETTINGS.get(str((part or {}).get("type")), ()):
            given = config.get(key) is not None or (key in config and default is None)  # null is no switch
            value = config[key] if given else default if family is not None else part[inside]
            if part[inside] != value:
                part[inside] = value
                changed = True
    kind, normalizer = str(family).lower(), state.get("normalizer") or {}
    if kind.startswith("albert") and normalizer.get("type") == "Sequence":
        before, normalizer["normalizers"] = normalizer["normalizers"], _albert(normalizer["normalizers"], config)
        changed |= before != normalizer["normalizers"]
    return library().Tokenizer.from_str(json.dumps(state)) if changed else backend


def _family(config: Mapping[str, Any], model: Mapping[str, Any]) -> str | None:
    """The class of a family that a folder names, or the family's name; None: a general class, or nothing."""
    name = config.get("tokenizer_class") or model.get("tokenizer_class")
    if str(name).removesuffix("Fast") in _GENERAL:
        return None
    found = name or model.get("model_type")
    return None if found is None else str(found)


def _with_ends(backend: tokenizers.Tokenizer, config: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """The tokenizer with the first, the last and the unknown token that the settings name, as the classes of families have it. Other
    forms of a post-processor than theirs stay."""
    state = json.loads(backend.to_str())
    before = json.dumps(state)
    named = {role: _content(config.get(f"{role}_token")) for role in ("cls", "sep", "unk")}
    ends = {role: (token, backend.token_to_id(token)) for role, token in named.items() if token is not None}
    ends = {role: end for role, end in ends.items() if end[1] is not None}
    model, after = state["model"], state.get("post_processor") or {}
    if model["type"] == "WordPiece" and "unk" in ends and ends["unk"][0] in model["vocab"]:
        model["unk_token"] = ends["unk"][0]
    if model["type"] == "BPE" and after.get("type") == "RobertaProcessing":
        model["unk_token"] = None  # bytes that the vocabulary does not have are dropped
    if after.get("type") in ("RobertaProcessing", "BertProcessing"):
        after |= {role: list(ends[role]) for role in ("cls", "sep") if role in ends}
    elif after.get("type") == "TemplateProcessing" and [*map(_kind_of, after["single"])] == _TEMPLATE:
        old = [after["single"][at]["SpecialToken"]["id"] for at in (0, 2)]
        new = {token: ends[role][0] for role, token in zip(("cls", "sep"), old) if role in ends}
        for piece in (*after["single"], *after["pair"]):
            if "SpecialToken" in piece:
                token = piece["SpecialToken"]
                token["id"] = new.get(token["id"], token["id"])
        numbers = dict(ends.values())
        after["special_tokens"] = {
            token: {"id": token, "ids": [numbers[token]], "tokens": [token]} if token in numbers else each
            for token, each in ((new.get(token, token), each) for token, each in after["special_tokens"].items())
        }
    return backend if json.dumps(state) == before else library().Tokenizer.from_str(json.dumps(state))


def _kind_of(piece: Mapping[str, Any]) -> str:
    return next(iter(piece))


def _albert(steps: list[dict[str, Any]], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of ALBERT's normalizer: replacements of quotes, then accents and case by the settings, then the others."""
    accents = [] if config.get("keep_accents", False) else ["NFKD", "StripAccents"]
    case = ["Lowercase"] if config.get("do_lower_case", True) else []
    others = [step for step in steps if step["type"] not in ("Replace", "NFKD", "StripAccents", "Lowercase")]
    return [
        *(step for step in steps if step["type"] == "Replace"),
        *({"type": each} for each in accents + case),
        *others,
    ]


def _add_tokens(backend: tokenizers.Tokenizer, config: Mapping[str, Any], older: Mapping[str, Any]) -> None:
    """Adds the tokens that the folder's settings name, each with one id: its own if the vocabulary has it, otherwise the next.

    older: the object in added_tokens.json, with the ids of tokens."""
    found = dict(_special(config))
    # As in `transformers`: a token that only special_tokens_map.json lists as additional is no special one in added_tokens.json.
    special = dict(_special({name: value for name, value in config.items() if name != _ADDITIONAL}))
    decoder = config.get("added_tokens_decoder")
    try:
        if isinstance(decoder, Mapping):
            added = {added_number(number): _token(token, special=False) for number, token in decoder.items()}
        else:
            known = backend.get_added_tokens_decoder()
            added = {int(number): _token(text, special=text in special) for text, number in older.items()}
            added = {number: token for number, token in added.items() if number not in known}
    except (TypeError, ValueError) as error:
        expected = "numbers and contents of added tokens"
        raise BadValue(
            _OP, "directory", expected, "a damaged added_tokens_decoder or added_tokens.json", error
        ) from None
    backend.add_tokens([added[number] for number in sorted(added)])
    registered = {token.content for token in backend.get_added_tokens_decoder().values()}
    backend.add_tokens([token for content, token in found.items() if content not in registered])


def _special(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The special tokens that settings name, with their contents: those with a role, those of the model, and further ones."""
    others = [name for name in config if name.endswith("_token") and name not in _NAMED]
    values = [config.get(name) for name in (*_NAMED, *others)]
    for name in (_EXTRA, _ADDITIONAL):
        listed = config.get(name) or ()
        values += listed.values() if isinstance(listed, Mapping) else listed
    for value in values:
        if content := _content(value):
            yield content, _token(value, special=True)


def _content(value: Any) -> str | None:
    """The text of a token in a file: a string, or an object with its content."""
    found = value.get("content") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) else None


def _token(value: Any, special: bool) -> Any:
    """A token of the library. Raises TypeError if the value is none. special: whether it is one, unless the value says so."""
    content = _content(value)
    if content is None:
        raise TypeError(f"expected a token, got {value!r}")
    if not isinstance(value, Mapping):
        return library().AddedToken(content, normalized=not special, special=special)
    flags = {name: bool(value[name]) for name in ("single_word", "lstrip", "rstrip", "normalized") if name in value}
    return library().AddedToken(content, special=special or bool(value.get("special")), **flags)
