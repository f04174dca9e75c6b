"""SentenceEncoder: one vector a text, from an encoder, a pooling of its tokens and perhaps a normalisation.

The layout of its folders is that of `sentence-transformers` (Reimers & Gurevych 2019, arXiv 1908.10084), which opens them; and the
other way round. Nothing is padded: texts of like length share a batch, and pooling works on packed tokens.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from engine import ops
from engine.data import DataLoader, Subset
from engine.hub import resolve
from engine.inference.export import published_encoder, write_tokenizer
from engine.models import AutoModel, TransformerClassifier, TransformerEncoderModel
from engine.models.forward import run_batches
from engine.nn import functional as F
from engine.serialization import replace_file, write_text
from engine.tensor import Tensor
from engine.text import PackedBatch, TextDataset, Tokenizer, clean_text, read_table

__all__ = ["POOLING_MODES", "SentenceEncoder", "embed_file", "similarity"]

POOLING_MODES = ("cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
# How pooling configs name the modes: older ones have a true or false for each, and put them side by side in this order.
_OLD_NAMES = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip
_OP = "SentenceEncoder.from_pretrained"


class SentenceEncoder:
    """Gives each text a vector; texts of like meaning have like vectors where the model was trained for it.

        >>> encoder = SentenceEncoder.from_pretrained("all-MiniLM-L6-v2")
        >>> vectors = encoder.encode(["a cat", "a kitten", "a tax return"])  # (3, 384)
        >>> similarity(vectors, vectors)[0].round(1)

    Args:
        model: the encoder.
        tokenizer: makes ids of texts.
        pooling: what becomes of a text's tokens: "cls" (the first), "mean", "max", "mean_sqrt_len_tokens" (sum over the root of
            the number), "weightedmean" (by 1, 2, 3, ...), "lasttoken"; several are put side by side.
        normalize: whether vectors have length 1.
        max_length: tokens after which texts are cut; None: as many as the model takes.
        lowercase: fold case before tokenizing.
        clean: whether texts go through `clean_text` first, as in trainings of ours.
        prompt: what stands before each text.

    Raises:
        ValueError: for an unknown or no pooling, more tokens than the model takes, or a tokenizer with more ids than it has rows.
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
                raise ValueError(
                    f"[SentenceEncoder] pooling: expected one or more of {', '.join(POOLING_MODES)}, got {mode!r}"
                )
        config = model.config
        self.max_length = config.max_length if max_length is None else int(max_length)
        if not 1 <= self.max_length <= config.max_length:
            raise ValueError(
                f"[SentenceEncoder] max_length: expected 1 to {config.max_length} tokens, got {max_length!r}"
            )
        if tokenizer.vocab_size > config.vocab_size:
            raise ValueError(
                f"[SentenceEncoder] tokenizer: expected at most the model's {config.vocab_size} tokens, got "
                f"{tokenizer.vocab_size}"
            )
        self.model, self.tokenizer = model.eval(), tokenizer
        self.normalize, self.lowercase, self.clean, self.prompt = normalize, lowercase, clean, prompt

    @property
    def dimension(self) -> int:
        """Numbers of a vector."""
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
        """Open a folder of `sentence-transformers`, of a published encoder, or of a run of ours (a classifier's encoder).

        With a modules.json the folder says how it pools; without one it is the mean, not normalised. Arguments that are given
        hold in any case.

        Args:
            directory: a folder, or a name on the Hugging Face hub (extra `hub`), of `revision`.
            device: where the model is to be; None: the CPU.

        Raises FileNotFoundError where files are missing, ValueError where they are damaged or ask for a module that is none of
        Transformer, Pooling and Normalize.
        """
        folder = Path(resolve(directory, _OP, revision))
        place, found = _read_modules(folder) if (folder / "modules.json").is_file() else (folder, {})
        if pooling is not None:
            found["pooling"] = pooling
        if normalize is not None:
            found["normalize"] = normalize
        model = _encoder(place)
        if max_length is None:
            limits = (found.pop("max_length", None), _json(place / "tokenizer_config.json", {}).get("model_max_length"))
            stated = next((int(n) for n in limits if n is not None), model.config.max_length)
            max_length = min(stated, model.config.max_length)  # some say 10^30 where they mean no limit
        found["max_length"] = max_length
        if device is not None:
            model.to(device)
        clean = model.config.model_type is None or (folder / "run.json").is_file()
        return cls(model, Tokenizer.from_pretrained(place), clean=clean, **found)

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write a folder that `sentence-transformers` opens, with the same vectors; each file is complete or not there.

        Raises ValueError for a model that no published family can open (`norm_first`).
        """
        model = published_encoder(self.model)
        folder = Path(directory)
        model.save_pretrained(folder)
        write_tokenizer(folder, self.tokenizer, self.max_length, model.config.type_vocab_size > 1)
        modules = ["Transformer", "Pooling"] + ["Normalize"] * self.normalize
        listed = [
            {
                "idx": i,
                "name": str(i),
                "path": "" if not i else f"{i}_{name}",
                "type": f"sentence_transformers.models.{name}",
            }
            for i, name in enumerate(modules)
        ]
        pooling: dict[str, Any] = {"word_embedding_dimension": self.model.config.hidden_size}
        pooling.update({name: mode in self.pooling for name, mode in _OLD_NAMES.items()})
        if self.pooling != tuple(mode for mode in _OLD_NAMES.values() if mode in self.pooling):  # another order
            pooling["pooling_mode"] = list(self.pooling)
        prompts = {"prompts": {"default": self.prompt}, "default_prompt_name": "default"} if self.prompt else {}
        (folder / "1_Pooling").mkdir(exist_ok=True)
        for name, content in (
            ("modules.json", listed),
            ("1_Pooling/config.json", pooling),
            ("sentence_bert_config.json", {"max_seq_length": self.max_length, "do_lower_case": self.lowercase}),
            ("config_sentence_transformers.json", {"similarity_fn_name": "cosine", **prompts}),
        ):
            write_text(folder / name, json.dumps(content, ensure_ascii=False, indent=2) + "\n")

    def encode(
        self,
        texts: Iterable[str],
        batch_size: int | None = None,
        normalize: bool | None = None,
        *,
        max_tokens: int = 8192,
    ) -> np.ndarray:
        """Vectors (n, dimension), float32, in the order of the texts.

        Args:
            texts: the texts; one alone in a list.
            batch_size: the most texts in a batch; None: as many as `max_tokens` allow.
            normalize: None: as the encoder says.
            max_tokens: the most tokens in a batch (a longer text has one of its own).

        Raises:
            TypeError: if a text is no string; ValueError: if one has no tokens, or a limit is below 1.
        """
        if isinstance(texts, str | bytes):
            raise TypeError(
                f"[SentenceEncoder.encode] texts: expected a list of strings, got one {type(texts).__name__}"
            )
        if max_tokens < 1:
            raise ValueError(f"[SentenceEncoder.encode] max_tokens: expected at least 1, got {max_tokens}")
        dataset = self._dataset(list(texts))
        vectors = np.zeros((len(dataset), self.dimension), np.float32)
        if not len(dataset):
            return vectors
        lengths = np.asarray(dataset.lengths)
        if not lengths.min():
            raise ValueError(
                f"[SentenceEncoder.encode] texts: expected at least one token, got none in row {int(np.argmin(lengths))}"
            )
        order = np.argsort(-lengths, kind="stable")
        loader = DataLoader(Subset(dataset, order), batch_size, max_tokens=max(max_tokens, int(lengths.max())))
        start = 0
        for batch, pooled in run_batches(self.model, loader, lambda _, batch: self._pooled(batch)):
            vectors[order[start : start + batch.batch_size]] = pooled.cpu().numpy()
            start += batch.batch_size
        if self.normalize if normalize is None else normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def _dataset(self, texts: list[str]) -> TextDataset:
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(
                    f"[SentenceEncoder.encode] texts: expected strings, got {type(text).__name__} in row {row}"
                )
        texts = [self.prompt + (clean_text(text) if self.clean else text) for text in texts]
        if self.lowercase:
            texts = [text.lower() for text in texts]
        return TextDataset.from_texts(texts, self.tokenizer, None, self.max_length)

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
    """Cosines (n, m) of the angles between the rows of a (n, d) and b (m, d); 0 for a row of zeros. Raises ValueError for other
    shapes."""
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"[similarity] a, b: expected shapes (n, d) and (m, d), got {a.shape} and {b.shape}")
    lengths = [np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (a, b)]
    return np.asarray((a / lengths[0]) @ (b / lengths[1]).T)


def embed_file(
    encoder: SentenceEncoder,
    source: str | os.PathLike[str] | IO[bytes] | IO[str],
    output: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    format: Any = None,
    encoding: str | None = None,
    batch_size: int | None = None,
    normalize: bool | None = None,
    chunk: int = 4096,
    on_chunk: Callable[[int], None] | None = None,
) -> tuple[int, int]:
    """The vectors of a file's texts, written to another file, whole or not at all.

    A .npy file holds an array (n, d) float32, a .jsonl file a line a text: {"text": ..., "embedding": [...]}. Row i belongs to row i
    of the source, an empty line included. Vectors are written as they are made: they need not fit memory.

    Args:
        source: a CSV, TSV, JSON Lines or text file, or a stream; text_column, format, encoding: see `read_table`.
        batch_size, normalize: see `SentenceEncoder.encode`.
        chunk: texts encoded at a time.
        on_chunk: called with the number of texts done.

    Returns (n, d). Raises ValueError for another ending of `output`, and what `read_table` and `encode` raise.
    """
    name = os.fspath(output)
    kind = os.path.splitext(name)[1].lower()
    if kind not in (".npy", ".jsonl"):
        raise ValueError(f"[embed_file] output: expected a file name that ends in .npy or .jsonl, got {name}")
    if chunk < 1:
        raise ValueError(f"[embed_file] chunk: expected at least 1, got {chunk}")
    table = read_table(source, text_column, format=format, read_labels=False, encoding=encoding, skip_empty_lines=False)
    shape = (len(table.texts), encoder.dimension)

    def parts() -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, shape[0], chunk):
            yield start, encoder.encode(table.texts[start : start + chunk], batch_size, normalize)
            if on_chunk is not None:
                on_chunk(min(start + chunk, shape[0]))

    def write(path: str) -> None:
        if kind == ".npy":
            with open(path, "wb") as stream:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                for _, vectors in parts():
                    stream.write(vectors.astype("<f4", copy=False).tobytes())
            return
        with open(path, "w", encoding="utf-8", newline="\n") as lines:
            for start, vectors in parts():
                for text, vector in zip(table.texts[start:], vectors):
                    numbers = ", ".join(map(str, vector))  # the shortest that is read back as the same float32
                    lines.write(f'{{"text": {json.dumps(text, ensure_ascii=False)}, "embedding": [{numbers}]}}\n')

    replace_file(name, write, "embed_file")
    return shape


# --- folders ---------------------------------------------------------------------------------------------------------


def _encoder(folder: Path) -> TransformerEncoderModel:
    """The encoder of a folder, whatever head its model has."""
    values = _json(folder / "config.json")
    if values.get("model_type") is None and values.get("architectures") == ["TransformerClassifier"]:
        return TransformerClassifier.from_pretrained(folder).bert
    model: TransformerEncoderModel
    model, _ = AutoModel.from_pretrained(folder, output_loading_info=True)  # a pooler is not read here
    return model


def _read_modules(folder: Path) -> tuple[Path, dict[str, Any]]:
    """(where the encoder lies, the arguments of a SentenceEncoder) of a folder with a modules.json."""
    listed = _json(folder / "modules.json")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise ValueError(
            f"[{_OP}] directory: expected a list of modules in {folder / 'modules.json'}, got another thing"
        )
    kinds = [str(each.get("type", "")).rsplit(".", 1)[-1] for each in listed]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ValueError(
            f"[{_OP}] directory: expected the modules Transformer, Pooling and perhaps Normalize in {folder}, got "
            + (", ".join(kinds) or "none")
        )
    places = []
    for each in listed:
        path = str(each.get("path", ""))
        if path and (os.path.basename(path) != path or path in (".", "..")):
            raise ValueError(f"[{_OP}] directory: expected modules in folders below {folder}, got {path!r}")
        places.append(folder / path)
    place = places[0]
    pooling = _json(places[1] / "config.json")
    found: dict[str, Any] = {"normalize": len(kinds) == 3, "pooling": _pooling(pooling)}
    about = _json(place / "sentence_bert_config.json", {})
    found["max_length"] = about.get("max_seq_length")
    found["lowercase"] = bool(about.get("do_lower_case", False))
    prompts = _json(folder / "config_sentence_transformers.json", {})
    name = prompts.get("default_prompt_name")
    if name is not None:
        if name not in prompts.get("prompts", {}):
            raise ValueError(f"[{_OP}] directory: expected the prompt {name!r} in {folder}, got none of this name")
        found["prompt"] = str(prompts["prompts"][name])
        if found["prompt"] and not pooling.get("include_prompt", True):
            raise ValueError(f"[{_OP}] directory: expected pooling of all tokens, got one without those of the prompt")
    return place, found


def _pooling(config: dict[str, Any]) -> Any:
    """The modes of a pooling config, in either of its spellings."""
    mode = config.get("pooling_mode")
    if mode is None:
        mode = [_OLD_NAMES[name] for name in _OLD_NAMES if config.get(name)] or "mean"
    strange = [name for name, value in config.items() if value is True and name.startswith("pooling_mode_")]
    strange = [name for name in strange if name not in _OLD_NAMES]
    if strange:
        raise ValueError(f"[{_OP}] directory: expected pooling by {', '.join(POOLING_MODES)}, got {strange[0]}")
    return mode


def _json(path: Path, default: Any = None) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if default is not None:
            return default
        raise FileNotFoundError(f"[{_OP}] directory: expected a file {path.name}, got none in {path.parent}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"[{_OP}] directory: expected JSON in {path}, got something else ({error})") from None
