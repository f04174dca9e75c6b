"""The `tokenizers` library: importing it, forking with it, and building its objects.

The library is imported at its first use: it is an extra, and `import engine` must not wait for it.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tokenizers
from engine.errors import not_installed

__all__ = ["SPECIAL_TOKENS", "bert", "bert_splitting", "finish", "library", "roberta", "with_leading_spaces"]

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

_PARALLELISM = "TOKENIZERS_PARALLELISM"
_state = {"set_for_fork": False}


def library() -> Any:
    """The `tokenizers` module.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        import tokenizers
    except ImportError:
        raise not_installed("Tokenizer", "tokenizers", "text") from None
    _add_fork_hooks()
    return tokenizers


# The library encodes batches on its own threads, which do not survive a fork: the child prints a warning and works without
# threads. Unless the user has set TOKENIZERS_PARALLELISM, these hooks set it to "false" for the child, which then prints no
# warning. The parent keeps its threads.


@cache
def _add_fork_hooks() -> None:
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _before_fork() -> None:
    if _PARALLELISM not in os.environ:
        os.environ[_PARALLELISM] = "false"
        _state["set_for_fork"] = True


def _after_fork_in_parent() -> None:
    if _state["set_for_fork"]:
        _state["set_for_fork"] = False
        os.environ.pop(_PARALLELISM, None)


def _after_fork_in_child() -> None:
    _state["set_for_fork"] = False  # the variable stays


def with_leading_spaces(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A tokenizer that encodes every text as if it followed a space: `backend` itself, or a copy that shares nothing with it.

    In running text, byte-level BPE ('Ġword') and Metaspace ('▁word') see a space before a word. Words in a list have no such
    space. They would get the tokens of the inside of a word, which the model has not seen at the beginning of one.
    """
    state = json.loads(backend.to_str())
    pre_tokenizer = state.get("pre_tokenizer") or {}
    changed = False
    for step in (pre_tokenizer, *pre_tokenizer.get("pretokenizers", ())):
        if step.get("type") == "ByteLevel" and not step["add_prefix_space"]:
            step["add_prefix_space"] = changed = True
        elif step.get("type") == "Metaspace" and step.get("prepend_scheme", "always") != "always":
            step["prepend_scheme"] = "always"
            changed = True
    return library().Tokenizer.from_str(json.dumps(state)) if changed else backend


def bert(
    vocab: dict[str, int],
    *,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    split_chinese: bool = True,
    unknown: str = "[UNK]",
) -> tokenizers.Tokenizer:
    """BERT's tokenizer with a WordPiece vocabulary, before `finish`."""
    lib = library()
    backend = lib.Tokenizer(lib.models.WordPiece(vocab, unk_token=unknown, max_input_chars_per_word=100))
    backend.normalizer, backend.pre_tokenizer = bert_splitting(lowercase, strip_accents, split_chinese)
    backend.decoder = lib.decoders.WordPiece(prefix="##", cleanup=True)
    return backend


def roberta(
    vocab: dict[str, int], merges: list[tuple[str, str]], *, prefix_space: bool = False
) -> tokenizers.Tokenizer:
    """RoBERTa's byte-level BPE, before special tokens are put around texts. Raises ValueError for merges that do not fit."""
    lib = library()
    model = lib.models.BPE(vocab, merges, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False)
    backend = lib.Tokenizer(model)
    backend.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    backend.decoder = lib.decoders.ByteLevel()
    return backend


def bert_splitting(lowercase: bool, strip_accents: bool | None, split_chinese: bool) -> tuple[Any, Any]:
    """BERT's (normalizer, pre-tokenizer)."""
    lib = library()
    normalizer = lib.normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=split_chinese, strip_accents=strip_accents, lowercase=lowercase
    )
    return normalizer, lib.pre_tokenizers.BertPreTokenizer()


def finish(backend: tokenizers.Tokenizer, cls: str = "[CLS]", sep: str = "[SEP]") -> tokenizers.Tokenizer:
    """Registers BERT's special tokens that the vocabulary has, and puts `cls` and `sep` around texts. The second text of a pair has
    token type 1. Returns the tokenizer."""
    vocab = backend.get_vocab(with_added_tokens=True)
    backend.add_special_tokens([token for token in SPECIAL_TOKENS if token in vocab])
    backend.post_processor = library().processors.TemplateProcessing(
        single=[cls, "$A", sep],
        pair=[cls, "$A", sep, "$B:1", f"{sep}:1"],
        special_tokens=[(token, vocab[token]) for token in dict.fromkeys((cls, sep))],
    )
    return backend
