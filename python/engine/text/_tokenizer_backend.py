"""What `tokenizer.py` needs of the `tokenizers` library: importing it, building and training its objects.

The library is imported at the first use, for it is an extra and `import engine` shall not pay for it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tokenizers

__all__ = [
    "bert",
    "library",
    "load",
    "read_vocab",
    "smallest_vocabulary",
    "train_bpe",
    "train_wordpiece",
    "with_leading_spaces",
]

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

_PARALLELISM = "TOKENIZERS_PARALLELISM"
_state = {"fork_hooks": False, "set_for_fork": False}


def library() -> Any:
    """The `tokenizers` module.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        import tokenizers
    except ImportError:
        raise ImportError(
            "[Tokenizer] tokenizers: expected the library to be installed, got none; run pip install engine[text]"
        ) from None
    if not _state["fork_hooks"]:
        _state["fork_hooks"] = True
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
        )
    return tokenizers


# The library encodes batches on threads of its own, which do not survive a fork: it warns on stderr in the child and
# goes on alone. Where the user has not decided (TOKENIZERS_PARALLELISM), the child is told to go on alone without the
# warning, and the parent keeps its threads.


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


def load(path: str) -> tokenizers.Tokenizer:
    """Open a `tokenizer.json`."""
    tokenizer_class = library().Tokenizer
    try:
        return tokenizer_class.from_file(path)
    except Exception as error:  # the library raises bare Exception
        raise ValueError(f"[Tokenizer.from_file] path: expected a tokenizer.json, got {path} ({error})") from None


def with_leading_spaces(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A tokenizer that takes every text as if a space stood before it: itself, or a copy that shares nothing.

    Words that are already apart have lost the space that byte-level BPE ('Ġword') and Metaspace ('▁word') see in running
    text, and would be spelled as the inside of a word, which the model never saw there.
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


def read_vocab(path: str) -> dict[str, int]:
    """Tokens of a `vocab.txt` with their ids."""
    with open(path, "rb") as stream:
        data = stream.read()
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"[Tokenizer.from_vocab] path: expected UTF-8 in line {line} of {path}, got byte 0x{data[error.start]:02x}"
        ) from None
    # Only line feeds end a line: a token may itself be one of Unicode's other line separators.
    tokens = [token.removesuffix("\r") for token in text.split("\n")]
    while tokens and not tokens[-1]:
        tokens.pop()
    vocab: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if vocab.setdefault(token, number) != number:
            raise ValueError(
                f"[Tokenizer.from_vocab] path: expected distinct tokens, got {token!r} in lines {vocab[token] + 1} and "
                f"{number + 1} of {path}"
            )
    missing = [token for token in SPECIAL_TOKENS[:4] if token not in vocab]
    if missing:
        raise ValueError(
            f"[Tokenizer.from_vocab] path: expected the tokens {', '.join(SPECIAL_TOKENS[:4])} in {path}, got none of "
            + ", ".join(missing)
        )
    return vocab


def bert(
    vocab: dict[str, int],
    *,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    split_chinese: bool = True,
) -> tokenizers.Tokenizer:
    """BERT's tokenizer over a WordPiece vocabulary that has the special tokens."""
    lib = library()
    backend = lib.Tokenizer(lib.models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer, backend.pre_tokenizer = _bert_splitting(lowercase, strip_accents, split_chinese)
    backend.decoder = lib.decoders.WordPiece(prefix="##", cleanup=True)
    _finish(backend, vocab)
    return backend


def smallest_vocabulary(kind: str) -> int:
    """The fewest tokens a vocabulary of this kind can have."""
    return len(SPECIAL_TOKENS) + (256 if kind == "bpe" else 1)


def train_wordpiece(texts: list[str], vocab_size: int, lowercase: bool, min_frequency: int) -> tokenizers.Tokenizer:
    """Learn a WordPiece vocabulary.

    Left alone, the library numbers the pieces that continue a word ('##e') in the order of a hash table, and breaks
    ties between merges by those numbers: another vocabulary in each process. So they are numbered here, sorted, and
    handed to the trainer as tokens that must be there; only the resulting vocabulary is kept.
    """
    lib = library()
    normalizer, pre_tokenizer = _bert_splitting(lowercase, None, True)

    def words(text: str) -> list[str]:
        return [word for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))]

    counts: Counter[str] = Counter()
    inside: set[str] = set()
    for text in texts:
        for word in words(text):
            counts.update(word)
            inside.update(word[1:])
    alphabet = _largest_alphabet(counts, inside, vocab_size - len(SPECIAL_TOKENS))

    def corpus() -> Iterator[str]:
        for text in texts:
            if len(alphabet) == len(counts):
                yield text
            else:  # a word with a character that was left out can never be spelled: nothing to learn from it
                yield " ".join(word for word in words(text) if alphabet.issuperset(word))

    continuing = [f"##{character}" for character in sorted(inside & alphabet)]
    trainer = lib.trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=SPECIAL_TOKENS + continuing,
        initial_alphabet=sorted(alphabet),
        continuing_subword_prefix="##",
        show_progress=False,
    )
    learner = lib.Tokenizer(lib.models.WordPiece(unk_token="[UNK]"))
    learner.normalizer, learner.pre_tokenizer = normalizer, pre_tokenizer
    learner.train_from_iterator(corpus(), trainer=trainer)
    return bert(learner.get_vocab(with_added_tokens=True), lowercase=lowercase)


def _largest_alphabet(counts: Counter[str], inside: set[str], room: int) -> set[str]:
    """The most frequent characters that fit; one that also continues words takes two tokens."""
    alphabet: set[str] = set()
    for character, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        room -= 2 if character in inside else 1
        if room < 0:
            break
        alphabet.add(character)
    return alphabet


def train_bpe(texts: list[str], vocab_size: int, lowercase: bool, min_frequency: int) -> tokenizers.Tokenizer:
    """Learn a byte-level BPE vocabulary."""
    lib = library()
    backend = lib.Tokenizer(lib.models.BPE())
    steps = [lib.normalizers.NFC()] + ([lib.normalizers.Lowercase()] if lowercase else [])
    backend.normalizer = lib.normalizers.Sequence(steps)
    backend.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = lib.decoders.ByteLevel()
    trainer = lib.trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(lib.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer=trainer)
    _finish(backend, backend.get_vocab(with_added_tokens=True))
    return backend


def _bert_splitting(lowercase: bool, strip_accents: bool | None, split_chinese: bool) -> tuple[Any, Any]:
    lib = library()
    normalizer = lib.normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=split_chinese, strip_accents=strip_accents, lowercase=lowercase
    )
    return normalizer, lib.pre_tokenizers.BertPreTokenizer()


def _finish(backend: tokenizers.Tokenizer, vocab: dict[str, int]) -> None:
    """Register the special tokens, and put [CLS] and [SEP] around texts (segment 1 for the second of a pair)."""
    lib = library()
    backend.add_special_tokens([token for token in SPECIAL_TOKENS if token in vocab])
    backend.post_processor = lib.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocab[token]) for token in ("[CLS]", "[SEP]")],
    )
