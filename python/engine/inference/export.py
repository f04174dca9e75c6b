"""Export of a trained model: a folder that `transformers` opens, with the weights under their published names, the tokenizer and a
model card."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engine import _core, ops
from engine.errors import FileExists, FileMissing, NotFinite, require
from engine.inference.card import model_card
from engine.inference.predictor import architecture_of
from engine.models import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertForSequenceClassification,
    BertModel,
    TransformerClassifier,
    TransformerConfig,
    TransformerEncoderModel,
)
from engine.models.families import HEADS
from engine.models.pretrained import Pretrained, read_config
from engine.serialization import save_file, write_json, write_text
from engine.tensor import Tensor
from engine.text import Tokenizer

__all__ = ["export", "published_classifier", "published_encoder", "write_tokenizer"]

Model = TypeVar("Model", bound=Pretrained)

_DTYPES = ("float32", "float16", "bfloat16")
_OPEN: dict[str, Any] = {
    "base": AutoModel,
    "sequence": AutoModelForSequenceClassification,
    "token": AutoModelForTokenClassification,
    "masked": AutoModelForMaskedLM,
}


def export(
    run_folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    card: bool = True,
    dtype: str = "float32",
    max_length: int | None = None,
) -> Path:
    """Write a model for `transformers`: config.json, model.safetensors, the files of the tokenizer, and a README.md about it.

    The classes `AutoModelFor*` and `AutoTokenizer` of `transformers` open the folder. They give the same logits for a text that went
    through `clean_text`, which they do not apply.

    Args:
        run_folder: a run folder, or one that `save_pretrained` wrote, with a tokenizer.
        output: a new or empty folder. If the export fails, it is left as it was.
        card: whether to write README.md, from run.json and report.json if they exist. The licence is left open.
        dtype: the dtype of the weights: "float32", "float16" or "bfloat16".
        max_length: the number of tokens after which the tokenizer cuts; None: as in training, or as many as the model takes.

    Returns:
        The folder.

    Raises:
        ValueError: if no published family can hold the model, if float16 cannot hold the weights, or if an argument has another
            value than those above.
        FileNotFoundError: if files are missing.
        FileExistsError: if `output` is not empty.
        FloatingPointError: if a weight is NaN or infinite.
    """
    require(dtype in _DTYPES, "export", "dtype", f"one of {', '.join(_DTYPES)}", repr(dtype))
    source, target = Path(run_folder), Path(output)
    require(source.is_dir(), "export", "run_folder", "an existing folder", source, error=FileMissing)
    free = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    require(free, "export", "output", "a new or empty folder", target, error=FileExists)
    model, tokenizer = _open(source), Tokenizer.from_pretrained(source)
    limit = model.config.max_length
    cut = min(limit, tokenizer.model_max_length or limit) if max_length is None else max_length
    require(1 <= cut <= limit, "export", "max_length", f"1 to {limit} tokens", cut)
    state = _weights(model, dtype)
    config = {"architectures": [model.architecture], **model.config.to_dict(), "dtype": dtype, "torch_dtype": dtype}
    config.pop("pooling", None)  # "first", as always in these families
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        save_file(state, partial / "model.safetensors", {"format": "pt"})
        write_json(partial / "config.json", config)
        write_tokenizer(partial, tokenizer, cut, model.config.type_vocab_size > 1)
        if card:
            write_text(partial / "README.md", model_card(source, model, dtype))
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o777 & ~mask)  # mkdtemp keeps folders private
        os.rename(partial, target)  # replaces an empty folder
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


def write_tokenizer(folder: str | os.PathLike[str], tokenizer: Tokenizer, max_length: int, token_types: bool) -> None:
    """Write the files from which `transformers` makes the same ids: tokenizer.json, tokenizer_config.json,
    special_tokens_map.json, and vocab.txt for a WordPiece tokenizer.

    They name `PreTrainedTokenizerFast`, a class that reads any tokenizer.json. They also hold the settings of BERT's own tokenizer
    classes, for programs that use those.

    Args:
        folder: where the files go.
        tokenizer: the tokenizer.
        max_length: the number of tokens after which texts are cut.
        token_types: whether the model takes token_type_ids.
    """
    place = Path(folder)
    tokenizer.save(place)
    special = {f"{role}_token": token for role, token in tokenizer.special_tokens.items()}
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", *["token_type_ids"] * token_types, "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **special,
    }
    about = json.loads(tokenizer.backend.to_str())
    normalizer = about.get("normalizer") or {}
    if normalizer.get("type") == "BertNormalizer":
        config |= {
            "do_lower_case": normalizer.get("lowercase", True),
            "strip_accents": normalizer.get("strip_accents"),
            "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
        }
    write_json(place / "tokenizer_config.json", config)
    write_json(place / "special_tokens_map.json", special)
    vocab = tokenizer.backend.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=lambda token: vocab[token])
    numbered = [vocab[token] for token in tokens] == list(range(len(tokens)))
    has_line_ends = any("\n" in token or "\r" in token for token in tokens)
    if about["model"]["type"] == "WordPiece" and numbered and not has_line_ends:
        write_text(place / "vocab.txt", "".join(f"{token}\n" for token in tokens))


# --- engine's own models under published names -----------------------------------------------------------------------


def published_encoder(model: TransformerEncoderModel) -> BertModel:
    """The encoder as a model of a published family, with the same outputs. An encoder of a family is returned as it is.

    Engine's own encoder becomes BERT's. If it has no token types, it gets two whose weights are zeros. Raises ValueError, with the
    reasons, if BERT has no such encoder.
    """
    if isinstance(model, BertModel):
        return model
    found = BertModel(_bert_config("published_encoder", model.config, {}))
    if model.pooler is None:
        found.pooler = None
    return _with_weights(found, model)


def published_classifier(model: TransformerClassifier) -> BertForSequenceClassification:
    """The classifier as a model of a published family, with the same logits. A classifier of a family is returned as it is.

    Engine's own classifier becomes BERT's if it reads the first token through a pooler. Otherwise raises ValueError, with the
    reasons.
    """
    if isinstance(model, BertForSequenceClassification):
        return model
    c = model.config
    differences = {
        f"its pooling is {c.pooling!r}, but that of BERT's classifier is 'first'": c.pooling != "first",
        "it has no pooler, but BERT's classifier has one": not c.pooler,
        "its pooler has dropout or an activation other than tanh": c.pooler_act != "tanh" or c.pooler_dropout,
    }
    return _with_weights(BertForSequenceClassification(_bert_config("published_classifier", c, differences)), model)


def _bert_config(op: str, c: TransformerConfig, differences: dict[str, Any]) -> TransformerConfig:
    """The config of BERT's model with the same outputs. differences: further reasons why there may be none, and which hold."""
    odd = c.embedding_size not in (None, c.hidden_size) or c.num_hidden_groups is not None or c.position_offset
    differences = {
        "it normalises before each part (norm_first), but BERT after each part": c.norm_first,
        "its embeddings have another size or position offset than BERT's, or its layers share weights": odd,
        **differences,
    }
    _refuse(op, [difference for difference, there in differences.items() if there])
    return replace(c, model_type="bert", pooling="first", type_vocab_size=c.type_vocab_size or 2)


def _refuse(op: str, reasons: Sequence[str]) -> None:
    """Raises ValueError if there are reasons why no published family can hold the model."""
    hints = (
        "engine itself opens the folder with from_pretrained",
        "for `transformers`, fine-tune a published encoder, or train with --pooling pooler (pooling='first', pooler=True)",
        "SentenceEncoder.save_pretrained exports the encoder alone",
    )
    got = f"one that does not fit: {'; '.join(reasons)}"
    require(not reasons, op, "model", "one that a published family can hold", got, *hints)


def _with_weights(target: Model, source: Pretrained) -> Model:
    """The target with the source's weights. The embeddings of token types that the source lacks become zeros, which change nothing."""
    state = dict(source.state_dict())
    for name, tensor in target.state_dict().items():
        if name not in state and name.endswith("token_type_embeddings.weight"):
            state[name] = ops.zeros(*tensor.shape)
    target.load_state_dict(state)
    return target.eval()


def _open(folder: Path) -> Pretrained:
    """The model in a folder, of a published family, with the head that config.json names."""
    name = architecture_of(folder, "export", "run_folder")
    if read_config(os.fspath(folder), "export").model_type is None:
        if name == "TransformerClassifier":
            return published_classifier(TransformerClassifier.from_pretrained(folder))
        return published_encoder(AutoModel.from_pretrained(folder))
    head = next((head for head, ending in reversed(HEADS.items()) if name.endswith(ending)), "")
    expected = f"a model whose class has a name that ends in {', '.join(HEADS.values())}"
    require(head, "export", "run_folder", expected, f"{name or 'no class'} in {folder}")
    model: Pretrained = _OPEN[head].from_pretrained(folder)
    pooling = model.config.pooling if head == "sequence" else "first"
    _refuse("export", [f"its pooling is {pooling!r}, but that of its family is 'first'"] * (pooling != "first"))
    return model


def _weights(model: Pretrained, dtype: str) -> dict[str, Tensor]:
    """The weights by their published names. Raises FloatingPointError for a weight that is NaN or infinite, and ValueError if float16
    makes a finite number infinite."""
    state = {}
    for name, tensor in model.state_dict().items():
        state[model.published_name(name)] = cast = tensor.to(getattr(_core, dtype))
        finite, got = np.isfinite(tensor.numpy()).all(), f"NaN or infinity in {name}"
        require(finite, "export", "run_folder", "finite weights", got, error=NotFinite)
        lost = dtype == "float16" and not np.isfinite(cast.float().numpy()).all()
        require(not lost, "export", "dtype", f"one that can hold {name}", dtype, "the largest float16 number is 65504")
    return state
