"""Export of a finished run: a folder that `transformers` opens, with the weights under their published names, the tokenizer and
a model card."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import _core, ops
from engine.errors import BadValue, FileExists, FileMissing
from engine.inference.card import model_card
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
from engine.models.pretrained import Pretrained
from engine.serialization import read_json, save_file, write_json, write_text
from engine.text import Tokenizer

__all__ = ["export", "published_classifier", "published_encoder", "write_tokenizer"]

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

    `AutoModelFor...` and `AutoTokenizer` open the folder and give the same logits for a cleaned text. (They do not clean texts;
    see `clean_text`.)

    Args:
        run_folder: a run folder, or a folder of `save_pretrained` with a tokenizer.
        output: a new or empty folder. It is complete afterwards, or as it was before.
        card: whether to write README.md, from run.json and report.json where these exist. The licence is left open.
        dtype: the dtype of the weights: "float32", "float16" or "bfloat16".
        max_length: the number of tokens after which the tokenizer cuts; None: as in training, or as many as the model takes.

    Returns:
        The folder.

    Raises:
        ValueError: if no published family can hold the model, if float16 cannot hold the weights, or if an argument is none
            of the above.
        FileNotFoundError: if files are missing.
        FileExistsError: if `output` is not empty.
    """
    if dtype not in _DTYPES:
        raise BadValue("export", "dtype", f"one of {', '.join(_DTYPES)}", repr(dtype))
    source, target = Path(run_folder), Path(output)
    if not source.is_dir():
        raise FileMissing("export", "run_folder", "an existing folder", source)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExists("export", "output", "a new or empty folder", target)
    model = _open(source)
    tokenizer = Tokenizer.from_pretrained(source)
    limit = model.config.max_length
    if max_length is not None and not 1 <= max_length <= limit:
        raise BadValue("export", "max_length", f"1 to {limit} tokens", max_length)
    cut = max_length or min(limit, tokenizer.model_max_length or limit)
    state = _weights(model, dtype)
    config = {"architectures": [model.architecture], **model.config.to_dict(), "dtype": dtype, "torch_dtype": dtype}
    config.pop("pooling", None)  # it is the first token, as these families always have it
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
    special_tokens_map.json, and vocab.txt where the tokens are WordPiece.

    The class named in them takes any tokenizer.json as it is. The settings of BERT's own classes stand there as well, for programs
    that use those classes.

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
        config["do_lower_case"] = normalizer.get("lowercase", True)
        config["strip_accents"] = normalizer.get("strip_accents")
        config["tokenize_chinese_chars"] = normalizer.get("handle_chinese_chars", True)
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
    """The encoder as one of a published family, with the same outputs. An encoder of a family is returned as it is.

    Engine's own encoder becomes BERT's. If it has no token types, it gets two whose weights are zeros. Raises ValueError if BERT
    has no such encoder.
    """
    if isinstance(model, BertModel):
        return model
    found = BertModel(_bert_config("published_encoder", model.config, {}))
    if model.pooler is None:
        found.pooler = None
    _take(found, model)
    return found


def published_classifier(model: TransformerClassifier) -> BertForSequenceClassification:
    """The classifier as one of a published family, with the same logits. A classifier of a family is returned as it is.

    Engine's own classifier becomes BERT's if it reads the first token through a pooler. Otherwise ValueError gives the reasons.
    """
    if isinstance(model, BertForSequenceClassification):
        return model
    c = model.config
    differences = {
        f"it pools by {c.pooling!r}, and BERT's classifier by the 'first' token": c.pooling != "first",
        "it has no pooler, and BERT's classifier has one": not c.pooler,
        "its pooler has another activation, or dropout": c.pooler_act != "tanh" or c.pooler_dropout,
    }
    found = BertForSequenceClassification(_bert_config("published_classifier", c, differences))
    _take(found, model)
    return found


def _bert_config(op: str, c: TransformerConfig, differences: dict[str, Any]) -> TransformerConfig:
    """The config of BERT's model with the same outputs. differences: what it has and BERT has not, and whether it does."""
    differences = {
        "it normalises before each part (norm_first), and BERT after each part": c.norm_first,
        "it has embeddings or shared layers that BERT does not have": c.embedding_size not in (None, c.hidden_size)
        or c.num_hidden_groups is not None
        or c.position_offset,
        **differences,
    }
    reasons = [difference for difference, there in differences.items() if there]
    if reasons:
        raise _refusal(op, reasons)
    return replace(c, model_type="bert", pooling="first", type_vocab_size=c.type_vocab_size or 2)


def _refusal(op: str, reasons: Sequence[str]) -> ValueError:
    hint = (
        "engine itself opens the folder with from_pretrained; for `transformers`, train with --pooling pooler, which is "
        "pooling='first', pooler=True, or fine-tune a published encoder; SentenceEncoder.save_pretrained writes only the encoder"
    )
    got = f"one that does not fit: {'; '.join(reasons)}"
    return BadValue(op, "model", "one that a published family can hold", got, hint)


def _take(target: Pretrained, source: Pretrained) -> None:
    """Copy weights. Token types that the source does not have become zeros, which change nothing."""
    state = dict(source.state_dict())
    for name, tensor in target.state_dict().items():
        if name not in state and name.endswith("token_type_embeddings.weight"):
            state[name] = ops.zeros(*tensor.shape)
    target.load_state_dict(state)
    target.eval()


def _open(folder: Path) -> Pretrained:
    """The model of a folder with the head that its config.json names, in a published family."""
    values = read_json(folder / "config.json", "export", "run_folder")
    name = str((values.get("architectures") or ["?"])[0])
    if values.get("model_type") is None:
        if name == "TransformerClassifier":
            return published_classifier(TransformerClassifier.from_pretrained(folder))
        return published_encoder(AutoModel.from_pretrained(folder))
    head = next((head for head, ending in reversed(HEADS.items()) if name.endswith(ending)), None)
    if head is None:
        endings = ", ".join(HEADS.values())
        raise BadValue("export", "run_folder", f"a model whose class ends in {endings}", f"{name} in {folder}")
    model: Pretrained = _OPEN[head].from_pretrained(folder)
    if getattr(model.config, "pooling", "first") != "first" and head == "sequence":
        raise _refusal("export", [f"it pools by {model.config.pooling!r}, and its family by the 'first' token"])
    return model


def _weights(model: Pretrained, dtype: str) -> dict[str, Any]:
    state = {}
    for name, tensor in model.state_dict().items():
        cast = tensor.to(getattr(_core, dtype))
        if dtype == "float16" and not np.isfinite(cast.float().numpy()).all() and np.isfinite(tensor.numpy()).all():
            raise BadValue("export", "dtype", f"one that holds {name}", "float16", "its largest number is 65504")
        state[model.published_name(name)] = cast
    return state
