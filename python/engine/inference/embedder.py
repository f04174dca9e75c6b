"""SentenceEncoder: one vector for each text, from an encoder, a pooling of its tokens and perhaps a normalisation.

Nothing is padded: texts of similar lengths share a batch, and pooling works on packed tokens.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import ops
from engine.data import DataLoader, Subset
from engine.errors import BadValue
from engine.hub import resolve
from engine.inference.export import published_encoder, write_tokenizer
from engine.inference.sentence_folder import POOLING_MODES, read_json_if_there, read_modules, write_modules
from engine.models import AutoModel, TransformerClassifier, TransformerEncoderModel
from engine.models.forward import run_batches
from engine.nn import functional as F
from engine.serialization import read_json
from engine.tensor import Tensor
from engine.text import PackedBatch, TextDataset, Tokenizer, clean_text
from engine.text.strings import checked_strings

__all__ = ["SentenceEncoder", "similarity"]

_OP = "SentenceEncoder.from_pretrained"


class SentenceEncoder:
    """Gives each text a vector. Texts with similar meanings have similar vectors, if the model was trained for that.

        >>> encoder = SentenceEncoder.from_pretrained("all-MiniLM-L6-v2")
        >>> vectors = encoder.encode(["a cat", "a kitten", "a tax return"])  # (3, 384)
        >>> similarity(vectors, vectors)[0].round(1)

    Args:
        model: the encoder.
        tokenizer: makes ids of texts.
        pooling: how a text's tokens become one vector: "cls" (the first token), "mean", "max", "mean_sqrt_len_tokens" (the sum
            divided by the square root of the number of tokens), "weightedmean" (with the weights 1, 2, 3, ...), "lasttoken".
            Several vectors are put side by side.
        normalize: whether vectors are scaled to length 1.
        max_length: the number of tokens after which texts are cut; None: as many as the model takes.
        lowercase: fold case before tokenizing.
        clean: whether texts go through `clean_text` first, as they do when engine trains a model.
        prompt: a text that is put before each text.

    Raises:
        ValueError: on no pooling or an unknown one, on more tokens than the model takes, or on a tokenizer with more tokens than
            the model.
    """

    def __init__(
        self,
        model: TransformerEncoderModel,
        tokenizer: Tokenizer,
        pooling: str | Sequence[str] = "mean",
        *,
        normalize: bool = False,
        max_length: int | None = None,
        lowercase: bool = False,
        clean: bool = False,
        prompt: str = "",
    ) -> None:
        self.pooling = (pooling,) if isinstance(pooling, str) else tuple(pooling)
        for mode in self.pooling or (None,):
            if mode not in POOLING_MODES:
                raise BadValue("SentenceEncoder", "pooling", f"one or more of {', '.join(POOLING_MODES)}", repr(mode))
        config = model.config
        self.max_length = config.max_length if max_length is None else int(max_length)
        if not 1 <= self.max_length <= config.max_length:
            raise BadValue("SentenceEncoder", "max_length", f"1 to {config.max_length} tokens", repr(max_length))
        if tokenizer.vocab_size > config.vocab_size:
            raise BadValue(
                "SentenceEncoder", "tokenizer", f"at most the model's {config.vocab_size} tokens", tokenizer.vocab_size
            )
        self.model, self.tokenizer = model.eval(), tokenizer
        self.normalize, self.lowercase, self.clean, self.prompt = normalize, lowercase, clean, prompt

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return self.model.config.hidden_size * len(self.pooling)

    @classmethod
    def from_pretrained(
        cls,
        directory: str | os.PathLike[str],
        *,
        pooling: str | Sequence[str] | None = None,
        normalize: bool | None = None,
        max_length: int | None = None,
        revision: str | None = None,
        device: Any = None,
    ) -> SentenceEncoder:
        """Open a folder of `sentence-transformers`, of a published encoder, or of a run of engine (a classifier's encoder).

        With a modules.json the folder says how tokens are pooled; without one they are averaged and not normalised.

        Args:
            directory: a folder, or a name on the Hugging Face hub (extra `hub`).
            pooling, normalize, max_length: as in the constructor, instead of what the folder says.
            revision: the revision on the hub.
            device: where the model is put; None: the CPU.

        Raises:
            FileNotFoundError: if files are missing.
            ValueError: if files are damaged, or name a module other than Transformer, Pooling and Normalize.
        """
        folder = Path(resolve(directory, _OP, revision))
        place, found = read_modules(folder, _OP) if (folder / "modules.json").is_file() else (folder, {})
        model = _encoder(place)
        if max_length is None:
            tokenizer_length = read_json_if_there(place / "tokenizer_config.json", _OP).get("model_max_length")
            limits = (found.get("max_length"), tokenizer_length, model.config.max_length)
            stated = next(int(n) for n in limits if n is not None)
            max_length = min(stated, model.config.max_length)  # some files say 10^30 and mean that there is no limit
        chosen = {"pooling": pooling, "normalize": normalize, "max_length": max_length}
        found |= {name: value for name, value in chosen.items() if value is not None}
        if device is not None:
            model.to(device)
        clean = model.config.model_type is None or (folder / "run.json").is_file()
        return cls(model, Tokenizer.from_pretrained(place), clean=clean, **found)

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write a folder that `sentence-transformers` opens, with the same vectors; each file is complete or not there.

        Raises ValueError for a model that no published family can hold (`norm_first`).
        """
        model = published_encoder(self.model)
        folder = Path(directory)
        model.save_pretrained(folder)
        write_tokenizer(folder, self.tokenizer, self.max_length, model.config.type_vocab_size > 1)
        write_modules(folder, self)

    def encode(
        self,
        texts: Iterable[str],
        batch_size: int | None = None,
        normalize: bool | None = None,
        *,
        max_tokens: int = 8192,
    ) -> np.ndarray:
        """The vectors of texts, float32 (n, dimension), in the order of the texts.

        Args:
            texts: n strings.
            batch_size: the most texts in a batch; None: as many as `max_tokens` allows.
            normalize: None: as in the constructor.
            max_tokens: the most tokens in a batch. A longer text has its own batch.

        Raises:
            TypeError: if a text is not a string.
            ValueError: if a text has no tokens, or a limit is below 1.
        """
        op = "SentenceEncoder.encode"
        if max_tokens < 1:
            raise BadValue(op, "max_tokens", "at least 1", max_tokens)
        given = checked_strings(op, "texts", texts)
        given = [self.prompt + (clean_text(text) if self.clean else text) for text in given]
        if self.lowercase:
            given = [text.lower() for text in given]
        dataset = TextDataset.from_texts(given, self.tokenizer, None, self.max_length)
        vectors = np.zeros((len(dataset), self.dimension), np.float32)
        if not len(dataset):
            return vectors
        lengths = np.asarray(dataset.lengths)
        if not lengths.min():
            raise BadValue(op, "texts", "at least one token", f"none in row {np.argmin(lengths)}")
        order = np.argsort(-lengths, kind="stable")
        loader = DataLoader(Subset(dataset, order), batch_size, max_tokens=max(max_tokens, int(lengths.max())))
        start = 0
        for batch, pooled in run_batches(self.model, loader, lambda _, batch: self._pooled(batch)):
            vectors[order[start : start + batch.batch_size]] = pooled.cpu().numpy()
            start += batch.batch_size
        if self.normalize if normalize is None else normalize:
            return _unit(vectors)
        return vectors

    def _pooled(self, batch: PackedBatch) -> Tensor:
        """(batch, dimension)."""
        x = self.model.inputs(batch, None, None)
        last = x.layout.choose(x.layout.offsets[1:] - 1)
        if len(self.pooling) == 1 and self.pooling[0] in ("cls", "lasttoken"):  # of the last layer, what is read
            return self.model.encode(x, x.layout.first() if self.pooling[0] == "cls" else last)
        hidden, starts = self.model.encode(x), x.layout.cu_seqlens
        lengths = (starts[1:] - starts[:-1]).float().unsqueeze(1)
        parts = []
        for mode in self.pooling:
            if mode == "cls":
                part = F.pool_packed(hidden, starts, "first")
            elif mode in ("mean", "max"):
                part = F.pool_packed(hidden, starts, mode)
            elif mode == "mean_sqrt_len_tokens":
                part = F.pool_packed(hidden, starts, "mean") * lengths.sqrt()
            elif mode == "weightedmean":
                weights = (batch.position_ids + 1).float().unsqueeze(1)
                # The mean of weighted tokens is n times too small, and the weights 1 to n add up to n (n + 1) / 2.
                part = F.pool_packed(hidden * weights, starts, "mean") / ((lengths + 1) / 2)
            else:
                part = ops.take_rows(hidden, x.layout, last)
            parts.append(part)
        return parts[0] if len(parts) == 1 else ops.cat(parts, 1)


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosines (n, m) of the angles between the rows of a (n, d) and b (m, d); 0 for a row of zeros.

    Raises ValueError for other shapes.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise BadValue("similarity", "a, b", "shapes (n, d) and (m, d)", f"{a.shape} and {b.shape}")
    return np.asarray(_unit(a) @ _unit(b).T)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _encoder(folder: Path) -> TransformerEncoderModel:
    """The encoder of a folder, whatever head its model has."""
    values = read_json(folder / "config.json", _OP, "directory")
    if values.get("model_type") is None and values.get("architectures") == ["TransformerClassifier"]:
        return TransformerClassifier.from_pretrained(folder).bert
    model: TransformerEncoderModel
    model, _ = AutoModel.from_pretrained(folder, output_loading_info=True)  # a missing pooler is no error here
    return model
