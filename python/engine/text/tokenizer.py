"""Tokenizer: texts to token ids and back, over the `tokenizers` library (the extra `text`).

Trains or loads; never downloads. What it reads and writes is the library's `tokenizer.json`, BERT's `vocab.txt`
(Devlin et al., 2019), and a `tokenizer_config.json` beside them, so that other libraries open the same folder.
No padding and no state for truncation: encodings are plain lists, and `max_length` is an argument of each call, so
several threads may encode at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.data._arrays import integer
from engine.serialization import write_text
from engine.text import _tokenizer_backend as _backend

if TYPE_CHECKING:
    import tokenizers

__all__ = ["Tokenizer", "checked_texts"]

# Tokenized at once: the library's objects weigh kilobytes a text and some 64 bytes a token.
_CHUNK_TEXTS = 4096
_CHUNK_CHARACTERS = 2**21
_NO_LIMIT = 10**9  # what files say who know no largest length is larger still

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
        vocab_size: one more than the largest token id, so the number of rows an embedding needs.
        pad_token_id, unk_token_id, cls_token_id, sep_token_id, mask_token_id: ids of the special tokens, or None
            where there is no such token.
        model_max_length: the most tokens that the model it was made for takes, or None where the files do not say.
            Nothing is cut by it: pass it as `max_length`.

    Raises:
        ImportError: if the `tokenizers` library is missing; says `pip install engine[text]`.
    """

    def __init__(self, backend: tokenizers.Tokenizer, special_tokens: dict[str, str] | None = None) -> None:
        """Wrap a `tokenizers.Tokenizer`.

        Args:
            backend: the tokenizer. Padding and truncation that its file asked for are switched off.
            special_tokens: tokens by role ('pad', 'unk', 'cls', 'sep', 'mask'); roles left out are looked for under
                the names that BERT and RoBERTa give them.

        Raises:
            ValueError: on an unknown role, or a token that is not in the vocabulary.
        """
        backend.no_padding()
        backend.no_truncation()
        self.backend = backend
        self.model_max_length: int | None = None
        self._for_words: tokenizers.Tokenizer | None = None
        vocab = backend.get_vocab(with_added_tokens=True)
        if not vocab:
            raise ValueError("[Tokenizer] backend: expected a vocabulary with tokens, got an empty one")
        self.vocab_size = max(vocab.values()) + 1
        self._special: dict[str, str] = {}
        for role, names in _ROLES.items():
            found = next((name for name in names if name in vocab), None)
            if found is not None:
                self._special[role] = found
        for role, token in (special_tokens or {}).items():
            if role not in _ROLES:
                raise ValueError(f"[Tokenizer] special_tokens: expected roles {', '.join(_ROLES)}, got {role!r}")
            if token not in vocab:
                raise ValueError(f"[Tokenizer] special_tokens: expected a token of the vocabulary, got {token!r}")
            self._special[role] = token
        self._ids = {role: vocab[token] for role, token in self._special.items()}
        self.pad_token_id = self._ids.get("pad")
        self.unk_token_id = self._ids.get("unk")
        self.cls_token_id = self._ids.get("cls")
        self.sep_token_id = self._ids.get("sep")
        self.mask_token_id = self._ids.get("mask")

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
            texts: the texts to learn from: the training set's only.
            vocab_size: the most tokens to have, the five special tokens and the alphabet included. Where the alphabet
                alone is larger, its rarest characters are left out (they become [UNK]).
            kind: 'wordpiece' splits as BERT does (Chinese characters one by one); 'bpe' works on bytes (Sennrich et
                al., 2016; Radford et al., 2019), knows every character, and needs a vocabulary of 261 or more.
            lowercase: fold case; 'wordpiece' then also strips accents, as BERT does.
            min_frequency: how often a pair must stand in the texts to be merged.

        Raises:
            ValueError: on an unknown kind, a vocabulary too small, or no text with a character in it.
            TypeError: if a text is not a string.
        """
        op = "Tokenizer.train"
        if kind not in ("wordpiece", "bpe"):
            raise ValueError(f"[{op}] kind: expected 'wordpiece' or 'bpe', got {kind!r}")
        checked = checked_texts(op, "texts", texts)
        if not any(text and not text.isspace() for text in checked):
            raise ValueError(f"[{op}] texts: expected at least one text that is not blank, got {len(checked)} texts")
        least = _backend.smallest_vocabulary(kind)
        if vocab_size < least:
            raise ValueError(f"[{op}] vocab_size: expected at least {least} for {kind!r}, got {vocab_size}")
        train = _backend.train_wordpiece if kind == "wordpiece" else _backend.train_bpe
        return cls(train(checked, vocab_size, lowercase, min_frequency))

    @classmethod
    def from_vocab(
        cls, path: str | os.PathLike[str], lowercase: bool = True, strip_accents: bool | None = None
    ) -> Tokenizer:
        """BERT's WordPiece from a `vocab.txt` (one token a line; the line's number, from 0, is the id).

        Text is split at white space and punctuation, and around every Chinese character.

        Args:
            path: the file.
            lowercase: fold case, for 'uncased' vocabularies.
            strip_accents: None: as `lowercase` says, which is BERT's habit.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if a token stands twice, or [UNK], [CLS], [SEP] or [PAD] is missing.
        """
        vocab = _backend.read_vocab(_existing_file("Tokenizer.from_vocab", path))
        return cls(_backend.bert(vocab, lowercase=lowercase, strip_accents=strip_accents))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], special_tokens: dict[str, str] | None = None) -> Tokenizer:
        """Open a `tokenizer.json`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not a tokenizer.
        """
        name = _existing_file("Tokenizer.from_file", path)
        return cls(_backend.load(name), special_tokens)

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str]) -> Tokenizer:
        """Open a folder as `save` or other libraries write it: `tokenizer.json`, or else `vocab.txt`.

        `tokenizer_config.json` and `special_tokens_map.json` are read where they are there. Nothing is downloaded.

        Raises:
            FileNotFoundError: if there is no such folder, or neither file in it.
        """
        folder = os.fspath(directory)
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"[Tokenizer.from_pretrained] directory: expected an existing folder, got {folder}")
        config: dict[str, Any] = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            config.update(_read_json(os.path.join(folder, name)))
        special = {}
        for role in _ROLES:
            token = config.get(f"{role}_token")
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                special[role] = token
        tokenizer = cls._from_folder(folder, config, special)
        limit = config.get("model_max_length")
        if isinstance(limit, (int, float)) and not isinstance(limit, bool) and 0 < limit < _NO_LIMIT:
            tokenizer.model_max_length = int(limit)
        return tokenizer

    @classmethod
    def _from_folder(cls, folder: str, config: dict[str, Any], special: dict[str, str]) -> Tokenizer:
        path = os.path.join(folder, "tokenizer.json")
        if os.path.isfile(path):
            return cls(_backend.load(path), special)
        path = os.path.join(folder, "vocab.txt")
        if os.path.isfile(path):
            backend = _backend.bert(
                _backend.read_vocab(path),
                lowercase=bool(config.get("do_lower_case", True)),
                strip_accents=config.get("strip_accents"),
                split_chinese=bool(config.get("tokenize_chinese_chars", True)),
            )
            return cls(backend, special)
        raise FileNotFoundError(
            f"[Tokenizer.from_pretrained] directory: expected tokenizer.json or vocab.txt in it, got {folder}"
        )

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json` into a folder, made where it is missing.

        Each file is complete or not there: it is written beside its place and then moved.
        """
        folder = os.fspath(directory)
        os.makedirs(folder, exist_ok=True)
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
        config.update({f"{role}_token": token for role, token in self._special.items()})
        if self.model_max_length is not None:
            config["model_max_length"] = self.model_max_length
        write_text(os.path.join(folder, "tokenizer.json"), self.backend.to_str(pretty=True))
        write_text(os.path.join(folder, "tokenizer_config.json"), json.dumps(config, ensure_ascii=False, indent=2))

    # --- using it ----------------------------------------------------------------------------------------------------

    def encode(self, text: str, pair: str | None = None, max_length: int | None = None) -> list[int]:
        """Token ids of a text, or of a pair of texts, with special tokens.

        Args:
            text: the text; an empty one gives the special tokens alone.
            pair: a second text, for tasks on two.
            max_length: the most ids to give, special tokens included; cut at the end, the longer of a pair first.

        Raises:
            TypeError: if a text is not a string.
            ValueError: if `max_length` leaves no room for a token, or a text is not valid Unicode.
        """
        return self._encode("Tokenizer.encode", [text], None if pair is None else [pair], max_length)[0].ids

    def encode_batch(self, texts: Iterable[str], max_length: int | None = None) -> list[list[int]]:
        """Token ids of each text; arguments and errors as in `encode`. Errors name the row."""
        return [encoding.ids for encoding in self._encode("Tokenizer.encode_batch", texts, None, max_length)]

    def encode_pairs(
        self, texts: Iterable[str], pairs: Iterable[str], max_length: int | None = None
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Pairs of texts: (token ids, token type ids), a list a pair; types are 0 in the first text, 1 in the second.

        Raises:
            ValueError: if there are not as many pairs as texts; otherwise as `encode`.
        """
        encodings = self._encode("Tokenizer.encode_pairs", texts, pairs, max_length)
        return [encoding.ids for encoding in encodings], [encoding.type_ids for encoding in encodings]

    def encode_flat(
        self,
        texts: Iterable[str],
        pairs: Iterable[str] | None = None,
        max_length: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Token ids of many texts, or pairs of texts, back to back: what a corpus takes little memory as.

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
        op = "Tokenizer.encode_flat"
        first, second = _checked_pairs(op, texts, pairs)
        room = self.check_room(op, max_length, pair=second is not None)
        none = np.zeros(0, dtype=np.int32)
        ids, types, lengths = [none], [none], [none]
        for rows in _chunks(first, second):
            encodings = self._encodings(first[rows], None if second is None else second[rows], room, ids_only=True)
            ids.append(_joined(encodings, "ids"))
            lengths.append(np.fromiter(map(len, encodings), dtype=np.int32, count=len(encodings)))
            if second is not None:
                types.append(_joined(encodings, "type_ids"))
            if progress is not None:
                progress(rows.stop, len(first))
        joined = np.concatenate(lengths).astype(np.int64)
        return np.concatenate(ids), joined, None if second is None else np.concatenate(types)

    def encode_words(
        self, sentences: Iterable[Sequence[str]], max_length: int | None = None
    ) -> tuple[list[list[int]], list[list[int | None]]]:
        """Token ids of sentences that are split into words, and the word that each token comes from.

        Byte-level BPE and Unigram take each word as they would after a space, the first of a sentence too.

        Args:
            sentences: lists of words. A word may give no token (an empty one, say).
            max_length: the most ids to give, special tokens included; cut at the end.

        Returns:
            (ids, word ids), a list a sentence each; the word id of a special token is None.

        Raises:
            TypeError: if a sentence is not a list of strings.
            ValueError: as `encode`.
        """
        op = "Tokenizer.encode_words"
        if isinstance(sentences, (str, bytes)):
            raise TypeError(f"[{op}] sentences: expected lists of strings, got one {type(sentences).__name__}")
        checked = [checked_texts(op, f"sentences[{row}]", sentence) for row, sentence in enumerate(sentences)]
        room = self.check_room(op, max_length)
        if self._for_words is None:
            self._for_words = _backend.with_leading_spaces(self.backend)
        backend = self._for_words
        encodings = backend.encode_batch(checked, is_pretokenized=True)
        for row, encoding in enumerate(encodings):
            if max_length is not None and room is not None and len(encoding) > max_length:
                head = backend.encode(checked[row], is_pretokenized=True, add_special_tokens=False)
                encodings[row] = self._shortened(head, None, room)
        return [encoding.ids for encoding in encodings], [encoding.word_ids for encoding in encodings]

    def check_room(self, op: str, max_length: int | None, pair: bool = False) -> int | None:
        """How many tokens besides the special ones fit into `max_length`; None: any number.

        Raises:
            ValueError: if there is no room for a token of each text; names the caller `op`.
            TypeError: if `max_length` is no integer.
        """
        if max_length is None:
            return None
        special = self.backend.num_special_tokens_to_add(pair)
        least = 2 if pair else 1
        room = integer(op, "max_length", max_length) - special
        if room < least:
            raise ValueError(f"[{op}] max_length: expected at least {special + least}, got {max_length}")
        return room

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """The text of token ids, as far as the tokenizer kept it (case and spacing may be lost).

        Raises:
            IndexError: if an id is not in [0, vocab_size).
            TypeError: if one is no integer.
        """
        numbers = [integer("Tokenizer.decode", "ids", number) for number in ids]
        for number in numbers:
            if not 0 <= number < self.vocab_size:
                raise IndexError(f"[Tokenizer.decode] ids: expected values in [0, {self.vocab_size}), got {number}")
        return self.backend.decode(numbers, skip_special_tokens=skip_special_tokens)

    def tokens(self, ids: Iterable[int]) -> list[str | None]:
        """The token of each id (None where the vocabulary has a gap)."""
        return [self.backend.id_to_token(integer("Tokenizer.tokens", "ids", number)) for number in ids]

    @property
    def special_tokens(self) -> dict[str, str]:
        """Special tokens by role: 'pad', 'unk', 'cls', 'sep', 'mask', as far as they are there."""
        return dict(self._special)

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"Tokenizer({type(self.backend.model).__name__}, vocab_size={self.vocab_size})"

    # --- underneath --------------------------------------------------------------------------------------------------

    def _encode(
        self, op: str, texts: Iterable[str], pairs: Iterable[str] | None, max_length: int | None
    ) -> list[tokenizers.Encoding]:
        first, second = _checked_pairs(op, texts, pairs)
        return self._encodings(first, second, self.check_room(op, max_length, pair=second is not None))

    def _encodings(
        self, first: list[str], second: list[str] | None, room: int | None, ids_only: bool = False
    ) -> list[tokenizers.Encoding]:
        """Encodings of checked texts, with at most `room` tokens besides the special ones."""
        encode: Any = self.backend.encode_batch
        if ids_only:  # leaves out where in the text each token stands
            encode = getattr(self.backend, "encode_batch_fast", encode)
        encodings = encode(first if second is None else list(zip(first, second, strict=True)))
        if room is None:
            return encodings
        limit = room + self.backend.num_special_tokens_to_add(second is not None)
        long = [row for row, encoding in enumerate(encodings) if len(encoding) > limit]
        if not long:
            return encodings
        heads = encode([first[row] for row in long], add_special_tokens=False)
        tails = heads if second is None else encode([second[row] for row in long], add_special_tokens=False)
        for row, head, tail in zip(long, heads, tails, strict=True):
            encodings[row] = self._shortened(head, None if second is None else tail, room)
        return encodings

    def _shortened(self, head: tokenizers.Encoding, tail: tokenizers.Encoding | None, room: int) -> tokenizers.Encoding:
        """Cut to at most `room` tokens, and put special ones around."""
        if tail is None:
            head.truncate(room)
            return self.backend.post_process(head)
        # The longer is cut first: the shorter keeps what it has, up to half of the room; of two alike the second is
        # the longer.
        if len(head) > len(tail):
            first_room = room - min(len(tail), room // 2)
        else:
            first_room = min(len(head), room // 2)
        head.truncate(first_room)
        tail.truncate(room - first_room)
        return self.backend.post_process(head, tail)


def _checked_pairs(op: str, texts: Iterable[str], pairs: Iterable[str] | None) -> tuple[list[str], list[str] | None]:
    first = checked_texts(op, "texts", texts)
    if pairs is None:
        return first, None
    second = checked_texts(op, "pairs", pairs)
    if len(second) != len(first):
        raise ValueError(f"[{op}] pairs: expected {len(first)} texts, one a text, got {len(second)}")
    return first, second


def _chunks(first: list[str], second: list[str] | None) -> Iterator[slice]:
    """Runs of rows of a limited number of texts and characters, at least one text each."""
    start = characters = 0
    for row, text in enumerate(first):
        length = len(text) + (0 if second is None else len(second[row]))
        if row - start == _CHUNK_TEXTS or (row > start and characters + length > _CHUNK_CHARACTERS):
            yield slice(start, row)
            start, characters = row, 0
        characters += length
    if first:
        yield slice(start, len(first))


def _joined(encodings: list[tokenizers.Encoding], field: str) -> np.ndarray:
    numbers = chain.from_iterable(getattr(encoding, field) for encoding in encodings)
    return np.fromiter(numbers, dtype=np.int32, count=sum(map(len, encodings)))


def checked_texts(op: str, argument: str, texts: Iterable[str]) -> list[str]:
    """The texts as a list. Raises TypeError for what is no string, ValueError for what is not valid Unicode."""
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"[{op}] {argument}: expected a list of strings, got one {type(texts).__name__}")
    checked = list(texts)
    for row, text in enumerate(checked):
        if not isinstance(text, str):
            raise TypeError(f"[{op}] {argument}: expected strings, got {type(text).__name__} in row {row}")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ValueError(
                    f"[{op}] {argument}: expected valid Unicode, got half of a surrogate pair in row {row} "
                    "(engine.text.clean_text replaces it)"
                ) from None
    return checked


def _existing_file(op: str, path: str | os.PathLike[str]) -> str:
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise FileNotFoundError(f"[{op}] path: expected an existing file, got {name}")
    return name


def _read_json(path: str) -> dict[str, Any]:
    if not os.path.isfile(path):
        return {}
    with open(path, encoding="utf-8") as stream:
        try:
            content = json.load(stream)
        except ValueError as error:
            raise ValueError(f"[Tokenizer.from_pretrained] {path}: expected JSON, got {error}") from None
    return content if isinstance(content, dict) else {}
