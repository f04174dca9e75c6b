"""SentenceEncoder: one vector for each text. An encoder gives a vector for each token; pooling makes one of them.

Nothing is padded: texts of similar lengths share a batch, and pooling works on packed tokens.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

import numpy as np

from engine import ops
from engine.data import DataLoader, Subset
from engine.errors import NotFinite, require
from engine.hub import resolve
from engine.inference.export import published_encoder, write_tokenizer
from engine.inference.predictor import architecture_of, check_vocabulary
from engine.inference.sentence_folder import POOLING_MODES, read_json_if_there, read_modules, write_modules
from engine.models import AutoModel, TransformerClassifier, TransformerEncoderModel
from engine.models.forward import run_batches
from engine.nn import functional as F
from engine.settings import Between
from engine.tensor import Tensor
from engine.text import PackedBatch, TextDataset, Tokenizer, clean_text
from engine.text.lists import strings_of

__all__ = ["SentenceEncoder", "similarity"]

_OP = "SentenceEncoder.from_pretrained"


class _Limit(TypedDict, total=False):
    model_max_length: Annotated[float, Between(1)] | None


class SentenceEncoder:
    """Gives each text a vector. Texts with similar meanings have similar vectors, if the model was trained for that.

        >>> encoder = SentenceEncoder.from_pretrained("all-MiniLM-L6-v2")
        >>> vectors = encoder.encode(["a cat", "a kitten", "a tax return"])  # (3, 384)
        >>> similarity(vectors, vectors)[0].round(1)

    Args:
        model: the encoder.
        tokenizer: makes ids of texts.
        pooling: how the vectors of a text's tokens become one: "cls" (the first token's), "mean", "max", "mean_sqrt_len_tokens"
            (their sum divided by the square root of the number of tokens), "weightedmean" (the mean with the weights
            1, 2, 3, ...), "lasttoken". With several of these, their results are put side by side.
        normalize: whether vectors are scaled to length 1.
        max_length: the number of tokens after which texts are cut; None: as many as the model takes.
        lowercase: whether texts are turned into lower case before they are tokenized.
        clean: whether texts go through `clean_text` first, as they do when engine trains a model.
        prompt: a text that is put before each text.

    Raises:
        ValueError: if `pooling` is empty or unknown, if `max_length` is more than the model takes, or if the tokenizer has more
            tokens than the model.
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
        known = self.pooling and set(self.pooling) <= set(POOLING_MODES)
        expected = f"one or more of {', '.join(POOLING_MODES)}"
        require(known, "SentenceEncoder", "pooling", expected, ", ".join(map(repr, self.pooling)) or "none")
        limit = model.config.max_length
        fits = max_length is None or (isinstance(max_length, int) and 1 <= max_length <= limit)
        require(fits, "SentenceEncoder", "max_length", f"1 to {limit} tokens", repr(max_length))
        self.max_length = limit if max_length is None else max_length
        check_vocabulary("SentenceEncoder", model.config, tokenizer)
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

        A folder with a modules.json says how tokens are pooled; without one, their vectors are averaged and not normalised.

        Args:
            directory: a folder, or a name on the Hugging Face hub (extra `hub`).
            pooling, normalize, max_length: as in the constructor; None: what the folder says.
            revision: the revision on the hub.
            device: where the model runs; None: the CPU.

        Raises:
            FileNotFoundError: if files are missing.
            ValueError: if files are damaged, or name a module other than Transformer, Pooling and Normalize.
        """
        folder = Path(resolve(directory, _OP, revision))
        place, found = read_modules(folder, _OP) if (folder / "modules.json").is_file() else (folder, {})
        model = _encoder(place)
        if max_length is None:
            about = read_json_if_there(place / "tokenizer_config.json", _OP, _Limit)
            limits = (found.get("max_length"), about.get("model_max_length"), model.config.max_length)
            stated = next(int(n) for n in limits if n is not None)
            max_length = min(stated, model.config.max_length)  # some files say 10^30 where there is no limit
        chosen = {"pooling": pooling, "normalize": normalize, "max_length": max_length}
        found |= {name: value for name, value in chosen.items() if value is not None}
        if device is not None:
            model.to(device)
        clean = model.config.model_type is None or (folder / "run.json").is_file()
        return cls(model, Tokenizer.from_pretrained(place), clean=clean, **found)

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write a folder from which `sentence-transformers` computes the same vectors. Each file is written completely or not at all.

        Raises ValueError if no published family can hold the model (one with `norm_first`).
        """
        model = published_encoder(self.model)
        folder = Path(directory)
        model.save_pretrained(folder)
        write_tokenizer(folder, self.tokenizer, self.max_length, model.config.type_vocab_size > 1)
        write_modules(folder, self)

    def encode(
        self,
        texts: Any,
        batch_size: int | None = None,
        normalize: bool | None = None,
        *,
        max_tokens: int = 8192,
    ) -> np.ndarray:
        """The vectors of texts, float32 (n, dimension), in the order of the texts.

        Args:
            texts: n strings: a list, an array, or a column of pandas, polars or `datasets`.
            batch_size: the most texts in a batch; None: as many as `max_tokens` allows.
            normalize: whether vectors are scaled to length 1; None: as in the constructor.
            max_tokens: the most tokens in a batch. A longer text has its own batch.

        Raises:
            TypeError: if `texts` is one string, a table or a set, or a text is not a string.
            ValueError: if a text has no tokens, or a limit is below 1.
        """
        op = "SentenceEncoder.encode"
        require(max_tokens >= 1, op, "max_tokens", "at least 1", max_tokens)
        given = strings_of(op, "texts", texts)
        given = [self.prompt + (clean_text(text) if self.clean else text) for text in given]
        given = [text.lower() for text in given] if self.lowercase else given
        dataset = TextDataset.from_texts(given, self.tokenizer, None, self.max_length)
        vectors = np.zeros((len(dataset), self.dimension), np.float32)
        if not len(dataset):
            return vectors
        lengths = np.asarray(dataset.lengths)
        require(lengths.min(), op, "texts", "at least one token in each text", f"none in row {np.argmin(lengths)}")
        order = np.argsort(-lengths, kind="stable")
        loader = DataLoader(Subset(dataset, order), batch_size, max_tokens=max(max_tokens, int(lengths.max())))
        start = 0
        for batch, pooled in run_batches(self.model, loader, lambda _, batch: self._pooled(batch)):
            vectors[order[start : start + batch.batch_size]] = pooled.cpu().numpy()
            start += batch.batch_size
        if not np.isfinite(vectors).all():
            hint = "a weight is NaN or infinite, or too large for its dtype"
            raise NotFinite(op, "model", "finite vectors", "NaN or infinity", hint)
        return _unit(vectors) if (self.normalize if normalize is None else normalize) else vectors

    def _pooled(self, batch: PackedBatch) -> Tensor:
        """The vectors of a batch, (batch, dimension)."""
        x = self.model.inputs(batch, None, None)
        rows = {"cls": x.layout.first(), "lasttoken": x.layout.choose(x.layout.offsets[1:] - 1)}
        if len(self.pooling) == 1 and self.pooling[0] in rows:  # the last layer computes only the tokens that are read
            return self.model.read(x, rows[self.pooling[0]])
        hidden, starts = self.model.read(x), x.layout.cu_seqlens
        lengths = (starts[1:] - starts[:-1]).float().unsqueeze(1)

        def part(mode: str) -> Tensor:
            if mode in rows:
                return ops.take_rows(hidden, x.layout, rows[mode])
            if mode == "mean_sqrt_len_tokens":
                return F.pool_packed(hidden, starts, "mean") * lengths.sqrt()
            if mode == "weightedmean":
                weights = (batch.position_ids + 1).float().unsqueeze(1)
                # `pool_packed` divides by n, but the weights 1 to n add up to n (n + 1) / 2.
                return F.pool_packed(hidden * weights, starts, "mean") / ((lengths + 1) / 2)
            return F.pool_packed(hidden, starts, mode)

        return ops.cat([part(mode) for mode in self.pooling], 1)


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosines (n, m) of the angles between the rows of a (n, d) and b (m, d); 0 for a row of zeros.

    Raises ValueError for other shapes.
    """
    a, b = np.asarray(a), np.asarray(b)
    fits = a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1]
    require(fits, "similarity", "a, b", "shapes (n, d) and (m, d)", f"{tuple(a.shape)} and {tuple(b.shape)}")
    return np.asarray(_unit(a) @ _unit(b).T)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """The rows scaled to length 1; a row of zeros stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _encoder(folder: Path) -> TransformerEncoderModel:
    """The encoder of the model in a folder, whichever head that model has."""
    if architecture_of(folder, _OP, "directory") == "TransformerClassifier":
        return TransformerClassifier.from_pretrained(folder).bert
    model: TransformerEncoderModel
    model, _ = AutoModel.from_pretrained(
        folder, output_loading_info=True
    )  # takes the info: a missing pooler is fine here
    return model
