"""Learning a vocabulary: WordPiece and byte-level BPE. The same texts give the same vocabulary, bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.text._tokenizer_backend import SPECIAL_TOKENS, bert, bert_splitting, finish, library

if TYPE_CHECKING:
    import tokenizers

__all__ = ["smallest_vocabulary", "train_bpe", "train_wordpiece"]


def smallest_vocabulary(kind: str) -> int:
    """The number of tokens in the smallest vocabulary of this kind."""
    return len(SPECIAL_TOKENS) + (256 if kind == "bpe" else 1)


def train_wordpiece(texts: list[str], vocab_size: int, lowercase: bool, min_frequency: int) -> tokenizers.Tokenizer:
    """Learn a WordPiece vocabulary.

    By itself, the library numbers the pieces that continue a word ('##e') in the order of a hash table. It breaks ties between
    merges by these numbers, so each process would get another vocabulary. Here these pieces are sorted and given to the trainer
    as special tokens, which fixes their numbers. Of the trained tokenizer, only the vocabulary is used.
    """
    lib = library()
    normalizer, pre_tokenizer = bert_splitting(lowercase, None, True)

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
            else:  # nothing can be learned from a word with a character that is not in the alphabet
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
    return finish(bert(learner.get_vocab(with_added_tokens=True), lowercase=lowercase))


def _largest_alphabet(counts: Counter[str], inside: set[str], room: int) -> set[str]:
    """The most frequent characters that fit. A character that also continues words needs two tokens."""
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
    return finish(backend)
