"""A finished run as a folder that `transformers` opens by itself: the model in its family's names, the tokenizer, a model card."""

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
from engine.serialization import save_file, write_text
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
    """Write a model for `transformers`: config.json, model.safetensors, tokenizer files, and a README.md that describes it.

    `AutoModelFor...` and `AutoTokenizer` open the folder and give the same logits for a text (one that `clean_text` leaves as it
    is: they do not clean).

    Args:
        run_folder: a run folder, or one of `save_pretrained` with a tokenizer.
        output: a new or empty folder; it is there whole or not at all.
        card: whether to write README.md, from run.json and report.json where they are there. The licence is left open.
        dtype: of the weights: "float32", "float16" or "bfloat16".
        max_length: tokens after which the tokenizer cuts; None: as in training, or as many as the model takes.

    Returns the folder. Raises ValueError for a model that no published family can open, weights that float16 cannot hold, and
    other values than those above; FileNotFoundError where files are missing, FileExistsError where `output` is not empty.
    """
    if dtype not in _DTYPES:
        raise ValueError(f"[export] dtype: expected one of {', '.join(_DTYPES)}, got {dtype!r}")
    source, target = Path(run_folder), Path(output)
    if not source.is_dir():
        raise FileNotFoundError(f"[export] run_folder: expected an existing folder, got {source}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"[export] output: expected a new or empty folder, got {target}")
    model = _open(source)
    tokenizer = Tokenizer.from_pretrained(source)
    limit = model.config.max_length
    if max_length is not None and not 1 <= max_length <= limit:
        raise ValueError(f"[export] max_length: expected 1 to {limit} tokens, got {max_length}")
    cut = max_length or min(limit, tokenizer.model_max_length or limit)
    state = _weights(model, dtype)
    config = {"architectures": [model.architecture], **model.config.to_dict(), "dtype": dtype, "torch_dtype": dtype}
    config.pop("pooling", None)  # the first token, which needs no saying
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        save_file(state, partial / "model.safetensors", {"format": "pt"})
        write_text(partial / "config.json", json.dumps(config, ensure_ascii=False, indent=2) + "\n")
        write_tokenizer(partial, tokenizer, cut, model.config.type_vocab_size > 1)
        if card:
            write_text(partial / "README.md", model_card(source, model, dtype))
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o777 & ~mask)  # mkdtemp keeps folders private
        os.rename(partial, target)  # over an empty folder, too
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


def write_tokenizer(folder: str | os.PathLike[str], tokenizer: Tokenizer, max_length: int, token_types: bool) -> None:
    """Write the files by which `transformers` makes the same ids: tokenizer.json, tokenizer_config.json,
    special_tokens_map.json, and vocab.txt where the tokens are WordPiece.

    token_types: whether the model takes token_type_ids. The class is the one that takes tokenizer.json as it is, whatever is in it;
    the settings of BERT's own classes stand beside it for programs that ask for those.
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
    write_text(place / "tokenizer_config.json", json.dumps(config, ensure_ascii=False, indent=2) + "\n")
    write_text(place / "special_tokens_map.json", json.dumps(special, ensure_ascii=False, indent=2) + "\n")
    vocab = tokenizer.backend.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=lambda token: vocab[token])
    numbered = [vocab[token] for token in tokens] == list(range(len(tokens)))
    if about["model"]["type"] == "WordPiece" and numbered and not any("\n" in token for token in tokens):
        write_text(place / "vocab.txt", "".join(f"{token}\n" for token in tokens))


# --- models of ours in published names -------------------------------------------------------------------------------


def published_encoder(model: TransformerEncoderModel) -> BertModel:
    """The encoder as one of a published family, with the same outputs; one that is of a family stays as it is.

    Engine's own becomes BERT's; without token types it gets two that are zeros. Raises ValueError where it is no BERT.
    """
    if isinstance(model, BertModel):
        return model
    reasons = _unlike_bert(model.config)
    if reasons:
        raise _refusal("published_encoder", reasons)
    config = _bert_config(model.config)
    found = BertModel(config)
    if model.pooler is None:
        found.pooler = None
    _take(found, model)
    return found


def published_classifier(model: TransformerClassifier) -> BertForSequenceClassification:
    """The classifier as one of a published family, with the same logits; one that is of a family stays as it is.

    Engine's own is BERT's where it reads the first token through a pooler. Raises ValueError where it is not, with the reasons.
    """
    if isinstance(model, BertForSequenceClassification):
        return model
    c = model.config
    reasons = _unlike_bert(c)
    if c.pooling != "first":
        reasons.append(f"it pools by {c.pooling!r}, and BERT's classifier by the 'first' token")
    if not c.pooler:
        reasons.append("it has no pooler, and BERT's classifier has one")
    if c.pooler_act != "tanh" or c.pooler_dropout:
        reasons.append("its pooler is another one")
    if reasons:
        raise _refusal("published_classifier", reasons)
    found = BertForSequenceClassification(_bert_config(c))
    _take(found, model)
    return found


def _unlike_bert(c: TransformerConfig) -> list[str]:
    """Why an encoder of ours is none of BERT's."""
    reasons = []
    if c.norm_first:
        reasons.append("it normalises before each part (norm_first), and BERT behind it")
    if c.embedding_size not in (None, c.hidden_size) or c.num_hidden_groups is not None or c.position_offset:
        reasons.append("its embeddings or shared layers are those of other families")
    return reasons


def _refusal(op: str, reasons: Sequence[str]) -> ValueError:
    return ValueError(
        f"[{op}] model: expected one that a published family can hold, got engine's own TransformerClassifier or encoder: "
        + "; ".join(reasons)
        + ". engine itself opens the folder as it is (from_pretrained). For `transformers`, train with --pooling pooler "
        "(pooling='first', pooler=True), or fine-tune a published encoder; SentenceEncoder.save_pretrained writes the encoder alone"
    )


def _bert_config(c: TransformerConfig) -> TransformerConfig:
    return replace(c, model_type="bert", pooling="first", type_vocab_size=c.type_vocab_size or 2)


def _take(target: Pretrained, source: Pretrained) -> None:
    """Copies weights; token types that the source lacks become zeros, which add nothing."""
    state = dict(source.state_dict())
    for name, tensor in target.state_dict().items():
        if name not in state and name.endswith("token_type_embeddings.weight"):
            state[name] = ops.zeros(*tensor.shape)
    target.load_state_dict(state)
    target.eval()


def _open(folder: Path) -> Pretrained:
    """The model of a folder with the head that its config.json names, in a published family."""
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"[export] run_folder: expected a file config.json, got none in {folder}") from None
    except ValueError as error:
        raise ValueError(f"[export] run_folder: expected JSON in {path}, got something else ({error})") from None
    name = str((values.get("architectures") or ["?"])[0])
    if values.get("model_type") is None:
        if name == "TransformerClassifier":
            return published_classifier(TransformerClassifier.from_pretrained(folder))
        return published_encoder(AutoModel.from_pretrained(folder))
    head = next((head for head, ending in reversed(HEADS.items()) if name.endswith(ending)), None)
    if head is None:
        raise ValueError(
            f"[export] run_folder: expected a model whose class ends in {', '.join(HEADS.values())}, got {name} in {path}"
        )
    model: Pretrained = _OPEN[head].from_pretrained(folder)
    if getattr(model.config, "pooling", "first") != "first" and head == "sequence":
        raise _refusal("export", [f"it pools by {model.config.pooling!r}, and its family by the 'first' token"])
    return model


def _weights(model: Pretrained, dtype: str) -> dict[str, Any]:
    state = {}
    for name, tensor in model.state_dict().items():
        cast = tensor.to(getattr(_core, dtype))
        if dtype == "float16" and not np.isfinite(cast.float().numpy()).all() and np.isfinite(tensor.numpy()).all():
            raise ValueError(f"[export] dtype: expected one that holds {name}, got float16, which ends at 65504")
        state[model.published_name(name)] = cast
    return state
