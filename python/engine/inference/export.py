"""Export of a trained model: a folder that `transformers` opens, with the weights under their published names, the tokenizer and a
model card."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engine import _core, ops
from engine.errors import FileMissing, NotFinite, require
from engine.inference.card import model_card
from engine.inference.export_folder import check_output, new_folder
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
from engine.nn import Module
from engine.serialization import save_file, write_json, write_text
from engine.tensor import Tensor
from engine.text import Tokenizer

__all__ = [
    "check_dtype", "export", "open_model", "published_classifier", "published_encoder", "text_length", "weights_as",
    "write_tokenizer",
]  # fmt: skip

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
    overwrite: bool = False,
) -> Path:
    """Write a model for `transformers`: config.json, model.safetensors, the files of the tokenizer, and a README.md about it.

    The classes `AutoModelFor*` and `AutoTokenizer` of `transformers` open the folder. They give the same logits for a text that went
    through `clean_text`, which they do not apply.

    Args:
        run_folder: a run folder, or one that `save_pretrained` wrote, with a tokenizer.
        output: a new or empty folder. If the export fails, it is left as it was.
        overwrite: whether `output` may hold an earlier export, which is replaced.
        card: whether to write README.md, from run.json and report.json if they exist. The licence is left open.
        dtype: the dtype of the weights: "float32", "float16" or "bfloat16".
        max_length: the number of tokens after which the tokenizer cuts; None: as in training, or as many as the model takes.

    Returns:
        The folder.

    Raises:
        ValueError: if no published family can hold the model, if float16 cannot hold the weights, or if an argument has another
            value than those above.
        FileNotFoundError: if files are missing.
        FileExistsError: if `output` is not empty, or with `overwrite`, if it holds anything but an earlier export.
        FloatingPointError: if a weight is NaN or infinite.
    """
    check_dtype(dtype)
    source = Path(run_folder)
    check_output("export", Path(output), overwrite)
    model, tokenizer = _published(open_model(source)), Tokenizer.from_pretrained(source)
    cut = text_length(model, tokenizer, max_length)
    state = {model.published_name(name): tensor for name, tensor in weights_as(model, dtype).items()}
    config = {"architectures": [model.architecture], **model.config.to_dict(), "dtype": dtype, "torch_dtype": dtype}
    config.pop("pooling", None)  # "first", as always in these families
    with new_folder("export", output, overwrite) as folder:
        save_file(state, folder / "model.safetensors", {"format": "pt"})
        write_json(folder / "config.json", config)
        write_tokenizer(folder, tokenizer, cut, model.config.type_vocab_size > 1)
        if card:
            write_text(folder / "README.md", model_card(source, model, dtype))
    return Path(output)


def check_dtype(dtype: str) -> None:
    """Raises ValueError unless weights can be exported in that dtype."""
    require(dtype in _DTYPES, "export", "dtype", f"one of {', '.join(_DTYPES)}", repr(dtype))


def text_length(model: Pretrained, tokenizer: Tokenizer, max_length: int | None) -> int:
    """The number of tokens after which texts are cut; None: as in training, or as many as the model takes. Raises ValueError if the
    model takes fewer."""
    limit = model.config.max_length
    cut = min(limit, tokenizer.model_max_length or limit) if max_length is None else max_length
    require(1 <= cut <= limit, "export", "max_length", f"1 to {limit} tokens", cut)
    return cut


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
        "--format sentence-transformers holds a classifier that reads the mean or the maximum of all tokens, --format onnx any model",
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


def open_model(run_folder: str | os.PathLike[str]) -> Pretrained:
    """The model in a folder, engine's own or one of a published family, with the head that config.json names."""
    folder = Path(run_folder)
    require(folder.is_dir(), "export", "run_folder", "an existing folder", folder, error=FileMissing)
    name = architecture_of(folder, "export", "run_folder")
    if read_config(os.fspath(folder), "export").model_type is None:
        head = "sequence" if name == "TransformerClassifier" else "base"
    else:
        head = next((head for head, ending in reversed(HEADS.items()) if name.endswith(ending)), "")
    expected = f"a model whose class has a name that ends in {', '.join(HEADS.values())}"
    require(head, "export", "run_folder", expected, f"{name or 'no class'} in {folder}")
    model: Pretrained = _OPEN[head].from_pretrained(folder)
    return model


def _published(model: Pretrained) -> Pretrained:
    """The model as one of a published family, with the same outputs."""
    if isinstance(model, TransformerClassifier):
        model = published_classifier(model)
        pooling = model.config.pooling
        _refuse("export", [f"its pooling is {pooling!r}, but that of its family is 'first'"] * (pooling != "first"))
    return published_encoder(model) if isinstance(model, TransformerEncoderModel) else model


def weights_as(model: Module, dtype: str, prefix: str = "") -> dict[str, Tensor]:
    """The weights of a module in that dtype, by their names after `prefix`. Raises FloatingPointError for a weight that is NaN or
    infinite, and ValueError if float16 makes a finite number infinite."""
    state = {}
    for name, tensor in model.state_dict().items():
        state[prefix + name] = cast = tensor.to(getattr(_core, dtype))
        finite, got = np.isfinite(tensor.numpy()).all(), f"NaN or infinity in {name}"
        require(finite, "export", "run_folder", "finite weights", got, error=NotFinite)
        lost = dtype == "float16" and not np.isfinite(cast.float().numpy()).all()
        require(not lost, "export", "dtype", f"one that can hold {name}", dtype, "the largest float16 number is 65504")
    return state
