"""Tokenizer: texts to token ids and back, with the `tokenizers` library (the extra `text`).

A tokenizer is trained or loaded, never downloaded. The files are the library's `tokenizer.json`, BERT's `vocab.txt`
(Devlin et al., 2019), and a `tokenizer_config.json` in the same folder, so that other libraries can open it. Nothing is
padded, and `max_length` is an argument of each call, so several threads may encode at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.data._arrays import integer, integers_below
from engine.data.groups import groups
from engine.errors import require
from engine.serialization import write_json, write_text
from engine.text._tokenizer_backend import bert, finish, with_leading_spaces
from engine.text.strings import checked_texts
from engine.text.tokenizer_checks import without_panic
from engine.text.tokenizer_files import read_tokenizer, read_vocab
from engine.text.tokenizer_folder import read_folder
from engine.text.tokenizer_training import smallest_vocabulary, train_bpe, train_wordpiece

if TYPE_CHECKING:
    import tokenizers

__all__ = ["Tokenizer"]

# How much is tokenized at once: the library's objects take kilobytes for each text and about 64 bytes for each token.
_CHUNK_TEXTS = 4096
_CHUNK_CHARACTERS = 2**21

_ROLES: dict[str, tuple[str, ...]] = {
    "pad": ("[PAD]", "<pad>", "<|padding|>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}


class Tokenizer:
    """Turns text into token ids, with the special tokens of its family around them ([CLS] ... [SEP] for BERT's).

    Make one with `train`, `from_vocab`, `from_file` or `from_pretrained`.

    Attributes:
        backend: the `tokenizers.Tokenizer` underneath.
        vocab_size: one more than the largest token id: the number of rows that an embedding needs.
        pad_token_id, unk_token_id, cls_token_id, sep_token_id, mask_token_id: the ids of the special tokens; None if there
            is no such token.
        model_max_length: the most tokens that the tokenizer's model accepts, or None if the files do not say. To cut texts to
            it, pass it as `max_length`.

    Raises:
        ImportError: if the `tokenizers` library is missing.
    """

    def __init__(self, backend: tokenizers.Tokenizer, special_tokens: dict[str, str] | None = None) -> None:
        """Wrap a `tokenizers.Tokenizer`.

        Args:
            backend: the tokenizer. Its padding and truncation are switched off.
            special_tokens: tokens by role ('pad', 'unk', 'cls', 'sep', 'mask'). For the other roles, the vocabulary is
                searched for the tokens of BERT and RoBERTa.

        Raises:
            ValueError: if the vocabulary is empty, a role is unknown, or a token is not in the vocabulary.
        """
        backend.no_padding()
        backend.no_truncation()
        self.backend = backend
        self.model_max_length: int | None = None
        self._for_words: tokenizers.Tokenizer | None = None
        vocab = backend.get_vocab(with_added_tokens=True)
        require(vocab, "Tokenizer", "backend", "a vocabulary with tokens", "an empty one")
        self.vocab_size = max(vocab.values()) + 1
        require(self.vocab_size <= 2**31, "Tokenizer", "backend", "ids below 2^31", self.vocab_size - 1)
        present = {role: [name for name in names if name in vocab] for role, names in _ROLES.items()}
        self._special = {role: names[0] for role, names in present.items() if names}
        for role, token in (special_tokens or {}).items():
            require(role in _ROLES, "Tokenizer", "special_tokens", f"the roles {', '.join(_ROLES)}", repr(role))
            require(token in vocab, "Tokenizer", "special_tokens", "a token of the vocabulary", repr(token))
            self._special[role] = token
        self._ids = {role: vocab[token] for role, token in self._special.items()}
        ids = (self._ids.get(role) for role in _ROLES)
        self.pad_token_id, self.unk_token_id, self.cls_token_id, self.sep_token_id, self.mask_token_id = ids

    # --- making one --------------------------------------------------------------------------------------------------

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int = 8000,
        kind: Literal["wordpiece", "bpe"] = "wordpiece",
        *,
        lowercase: bool = True,
        min_frequency: int = 2,
    ) -> Tokenizer:
        """Learn a vocabulary from texts. The same texts give the same vocabulary, bit for bit.

        Args:
            texts: the texts to learn from. Use only those of the training set.
            vocab_size: the most tokens, the five special tokens and the alphabet included. If the alphabet alone is
                larger, its rarest characters are left out (they become [UNK]).
            kind: 'wordpiece' splits as BERT does (Chinese characters one by one); 'bpe' works on bytes (Sennrich et
                al., 2016; Radford et al., 2019), knows every character, and needs a vocabulary of 261 or more.
            lowercase: fold case; 'wordpiece' then also strips accents, as BERT does.
            min_frequency: how often a pair must occur in the texts to be merged.

        Raises:
            ValueError: if the kind is unknown, the vocabulary is too small, or all texts are blank.
            TypeError: if a text is not a string.
        """
        op = "Tokenizer.train"
        require(kind in ("wordpiece", "bpe"), op, "kind", "'wordpiece' or 'bpe'", repr(kind))
        checked = checked_texts(op, "texts", texts)
        not_blank = any(text and not text.isspace() for text in checked)
        require(not_blank, op, "texts", "at least one text that is not blank", f"{len(checked)} blank texts")
        least = smallest_vocabulary(kind)
        require(vocab_size >= least, op, "vocab_size", f"at least {least} for {kind!r}", vocab_size)
        train = train_wordpiece if kind == "wordpiece" else train_bpe
        return cls(train(checked, vocab_size, lowercase, min_frequency))

    @classmethod
    def from_vocab(
        cls, path: str | os.PathLike[str], lowercase: bool = True, strip_accents: bool | None = None
    ) -> Tokenizer:
        """BERT's WordPiece from a `vocab.txt` (one token in each line; the line's number, from 0, is the id).

        Text is split at white space and punctuation, and around every Chinese character.

        Args:
            path: the file.
            lowercase: fold case, for 'uncased' vocabularies.
            strip_accents: None: the same as `lowercase`, as in BERT.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if a token occurs twice, or if [UNK], [CLS], [SEP] or [PAD] is missing.
        """
        return cls(finish(bert(read_vocab(path), lowercase=lowercase, strip_accents=strip_accents)))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], special_tokens: dict[str, str] | None = None) -> Tokenizer:
        """Open a `tokenizer.json`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file holds no tokenizer.
        """
        return cls(read_tokenizer(path), special_tokens)

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str]) -> Tokenizer:
        """Open a folder that `save` or another library wrote: its `tokenizer.json`, its `vocab.txt`, or its `vocab.json` and
        `merges.txt`.

        The settings and added tokens beside them count as they do in `transformers`: those of `tokenizer_config.json`,
        `special_tokens_map.json` and `added_tokens.json`. Nothing is downloaded.

        Raises:
            FileNotFoundError: if there is no such folder, or no tokenizer in it.
            ValueError: if a file is damaged.
        """
        backend, special_tokens, limit = read_folder(directory)
        tokenizer = cls(backend, special_tokens)
        tokenizer.model_max_length = limit
        return tokenizer

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json` into a folder, which is made if it does not exist.

        A failure leaves no half-written file: each file is written under another name and then moved.
        """
        folder = os.fspath(directory)
        os.makedirs(folder, exist_ok=True)
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
        config.update({f"{role}_token": token for role, token in self._special.items()})
        if self.model_max_length is not None:
            config["model_max_length"] = self.model_max_length
        write_text(os.path.join(folder, "tokenizer.json"), self.backend.to_str(pretty=True))
        write_json(os.path.join(folder, "tokenizer_config.json"), config)

    # --- using it ----------------------------------------------------------------------------------------------------

    def encode(self, text: str, pair: str | None = None, max_length: int | None = None) -> list[int]:
        """The token ids of a text, or of a pair of texts, with special tokens.

        Args:
            text: the text. An empty text gives only the special tokens.
            pair: a second text, for tasks on pairs of texts.
            max_length: the most ids, special tokens included. A text is cut at its end; of a pair the longer text is cut
                first.

        Raises:
            TypeError: if a text is not a string.
            ValueError: if `max_length` leaves no room for a token, or a text is not valid Unicode.
        """
        checked = self.check_texts("Tokenizer.encode", [text], None if pair is None else [pair], max_length)
        return self._encodings(*checked)[0].ids

    def encode_batch(self, texts: Iterable[str], max_length: int | None = None) -> list[list[int]]:
        """The token ids of each text; arguments and errors as in `encode`. Errors name the row."""
        checked = self.check_texts("Tokenizer.encode_batch", texts, None, max_length)
        return [encoding.ids for encoding in self._encodings(*checked)]

    def encode_pairs(
        self, texts: Iterable[str], pairs: Iterable[str], max_length: int | None = None
    ) -> tuple[list[list[int]], list[list[int]]]:
        """(token ids, token type ids) of pairs of texts, a list for each pair; types are 0 in the first text, 1 in the second.

        Raises:
            ValueError: if there are not as many pairs as texts; otherwise as `encode`.
        """
        encodings = self._encodings(*self.check_texts("Tokenizer.encode_pairs", texts, pairs, max_length))
        return [encoding.ids for encoding in encodings], [encoding.type_ids for encoding in encodings]

    def encode_flat(
        self,
        texts: Iterable[str],
        pairs: Iterable[str] | None = None,
        max_length: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The token ids of many texts, or pairs of texts, back to back in arrays, which need little memory.

        Args:
            texts: n strings.
            pairs: n second texts, or None.
            max_length: as in `encode`.
            progress: called as `progress(done, n)` after each chunk of texts.

        Returns:
            (ids int32 (total_tokens,), lengths int64 (n,), token types int32 (total_tokens,) or None without pairs).

        Raises:
            TypeError, ValueError: as `encode_pairs`, before anything is tokenized.
        """
        first, second, room = self.check_texts("Tokenizer.encode_flat", texts, pairs, max_length)
        none = np.zeros(0, dtype=np.int32)
        ids, types, lengths = [none], [none], [none]
        for rows in _chunks(first, second):
            encodings = self._encodings(first[rows], None if second is None else second[rows], room)
            ids.append(_joined(encodings, "ids"))
            lengths.append(np.fromiter(map(len, encodings), dtype=np.int32, count=len(encodings)))
            if second is not None:
                types.append(_joined(encodings, "type_ids"))
            if progress is not None:
                progress(rows.stop, len(first))
        joined = np.concatenate(lengths).astype(np.int64)
        return np.concatenate(ids), joined, None if second is None else np.concatenate(types)

    def encode_bare(self, texts: list[str]) -> Iterator[list[int]]:
        """The token ids of each text without special tokens, some thousands of texts at a time."""
        for rows in _chunks(texts, None):
            for encoding in self._encode(texts[rows], add_special_tokens=False):
                yield encoding.ids

    def encode_words(
        self, sentences: Iterable[Sequence[str]], max_length: int | None = None
    ) -> tuple[list[list[int]], list[list[int | None]]]:
        """The token ids of sentences that are split into words, and the word that each token comes from.

        Byte-level BPE and Unigram encode each word as if it followed a space, the first word of a sentence too.

        Args:
            sentences: lists of words. A word may have no token (an empty one, for example).
            max_length: the most ids, special tokens included; sentences are cut at the end.

        Returns:
            (ids, word ids), with a list for each sentence in both; the word id of a special token is None.

        Raises:
            TypeError: if a sentence is not a list of strings.
            ValueError: as `encode`.
        """
        op = "Tokenizer.encode_words"
        checked = [checked_texts(op, f"sentences[{row}]", sentence) for row, sentence in enumerate(sentences)]
        encodings = self._encodings(checked, None, self.check_room(op, max_length), words=True)
        return [encoding.ids for encoding in encodings], [encoding.word_ids for encoding in encodings]

    def check_room(self, op: str, max_length: int | None, pair: bool = False) -> int | None:
        """How many tokens fit into `max_length` besides the special ones; None: any number. Errors name `op`.

        Raises:
            ValueError: if there is no room for one token of each text.
            TypeError: if `max_length` is not an integer.
        """
        if max_length is None:
            return None
        special = self.backend.num_special_tokens_to_add(pair)
        least = 2 if pair else 1
        room = integer(op, "max_length", max_length) - special
        require(room >= least, op, "max_length", f"at least {special + least}", max_length)
        return room

    def check_texts(
        self, op: str, texts: Iterable[str], pairs: Iterable[str] | None, max_length: int | None
    ) -> tuple[list[str], list[str] | None, int | None]:
        """(texts, second texts, how many tokens fit into `max_length` besides the special ones). Errors name `op`.

        Raises:
            TypeError, ValueError: as `encode_pairs`.
        """
        first = checked_texts(op, "texts", texts)
        second = None if pairs is None else checked_texts(op, "pairs", pairs)
        if second is not None:
            require(len(second) == len(first), op, "pairs", f"{len(first)}, one for each text", len(second))
        return first, second, self.check_room(op, max_length, pair=second is not None)

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """The text of token ids. The tokenizer may have changed case and spacing.

        Raises:
            IndexError: if an id is not in [0, vocab_size).
            TypeError: if an id is not an integer.
        """
        numbers = integers_below("Tokenizer.decode", "ids", ids, self.vocab_size)
        return self.backend.decode(numbers, skip_special_tokens=skip_special_tokens)

    def tokens(self, ids: Iterable[int]) -> list[str | None]:
        """The token of each id; None for an id that the vocabulary skips. Raises TypeError for an id that is not an integer."""
        return [self.backend.id_to_token(integer("Tokenizer.tokens", "ids", number)) for number in ids]

    @property
    def special_tokens(self) -> dict[str, str]:
        """The special tokens by role: 'pad', 'unk', 'cls', 'sep', 'mask'. A role without a token is left out."""
        return dict(self._special)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """The ids of the special tokens, ascending."""
        return tuple(sorted(set(self._ids.values())))

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"Tokenizer({type(self.backend.model).__name__}, vocab_size={self.vocab_size})"

    # --- underneath --------------------------------------------------------------------------------------------------

    def _encode(self, inputs: list[Any], words: bool = False, **options: Any) -> list[tokenizers.Encoding]:
        """Encodings of texts, pairs of texts, or lists of words. Only those of words know the word of each token."""
        with without_panic("Tokenizer.encode", "texts", "texts that the tokenizer can encode", "others"):
            if words:
                if self._for_words is None:
                    self._for_words = with_leading_spaces(self.backend)
                return self._for_words.encode_batch(inputs, is_pretokenized=True, **options)
            backend: Any = self.backend
            return getattr(backend, "encode_batch_fast", backend.encode_batch)(inputs, **options)

    def _encodings(
        self, first: list[Any], second: list[str] | None, room: int | None, words: bool = False
    ) -> list[tokenizers.Encoding]:
        """Encodings of checked texts or lists of words, with at most `room` tokens besides the special ones."""
        encodings = self._encode(first if second is None else list(zip(first, second, strict=True)), words)
        if room is None:
            return encodings
        limit = room + self.backend.num_special_tokens_to_add(second is not None)
        long = [row for row, encoding in enumerate(encodings) if len(encoding) > limit]
        if long:
            heads = self._encode([first[row] for row in long], words, add_special_tokens=False)
            tails: list[Any] = [None] * len(long)
            if second is not None:
                tails = self._encode([second[row] for row in long], words, add_special_tokens=False)
            for row, head, tail in zip(long, heads, tails, strict=True):
                encodings[row] = self._shortened(head, tail, room)
        return encodings

    def _shortened(self, head: tokenizers.Encoding, tail: tokenizers.Encoding | None, room: int) -> tokenizers.Encoding:
        """Cut to at most `room` tokens, with special tokens around them."""
        if tail is None:
            head.truncate(room)
            return self.backend.post_process(head)
        # The longer text is cut first: the shorter keeps its tokens, up to half of the room. If both are equally long, the
        # second counts as the longer.
        first_is_longer = len(head) > len(tail)
        first_room = room - min(len(tail), room // 2) if first_is_longer else min(len(head), room // 2)
        head.truncate(first_room)
        tail.truncate(room - first_room)
        return self.backend.post_process(head, tail)


def _chunks(first: list[str], second: list[str] | None) -> Iterator[slice]:
    """Slices of rows with a limited number of texts and characters, at least one text each."""

    def characters(row: int) -> int:
        return len(first[row]) + (0 if second is None else len(second[row]))

    for rows in groups(range(len(first)), characters, _CHUNK_CHARACTERS, _CHUNK_TEXTS):
        yield slice(rows[0], rows[-1] + 1)


def _joined(encodings: list[tokenizers.Encoding], field: str) -> np.ndarray:
    numbers = chain.from_iterable(getattr(encoding, field) for encoding in encodings)
    return np.fromiter(numbers, dtype=np.int32, count=sum(map(len, encodings)))
