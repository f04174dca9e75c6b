"""Export of a classifier that reads the mean or the maximum over all tokens, which no class of `transformers` does: a folder of
`sentence-transformers`, whose modules compute the same logits. They are Transformer, Pooling and Dense."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import FileMissing, require
from engine.inference.card import model_card
from engine.inference.export import check_dtype, published_encoder, text_length, weights_as, write_tokenizer
from engine.inference.export_folder import check_output, new_folder
from engine.inference.predictor import architecture_of
from engine.inference.sentence_folder import pooling_config
from engine.models import AutoModelForSequenceClassification, TransformerClassifier
from engine.models.pretrained import read_config
from engine.nn import Linear
from engine.serialization import save_file, write_json, write_text
from engine.text import Tokenizer

__all__ = ["export_sentence_classifier", "needs_sentence_transformers"]

_OP = "export_sentence_classifier"
_POOLING = {"first": "cls", "mean": "mean", "max": "max"}
_SAID = {"mean": "mean", "max": "maximum"}
_USE = """```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("this folder")
logits = model.encode(["a text"])  # (1, number of labels): the head is the last module
labels = model[0].auto_model.config.id2label
```"""


def export_sentence_classifier(
    run_folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    card: bool = True,
    dtype: str = "float32",
    max_length: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a classifier for `sentence-transformers`: `SentenceTransformer(output).encode(texts)` gives the logits, (n, num_labels).

    The names of the labels are `id2label` in 0_Transformer/config.json. Arguments, the answer and the errors are those of
    `engine.inference.export.export`. Raises ValueError also for a model that is no classifier of texts.
    """
    check_dtype(dtype)
    source = Path(run_folder)
    require(source.is_dir(), _OP, "run_folder", "an existing folder", source, error=FileMissing)
    check_output("export", Path(output), overwrite)
    name = architecture_of(source, _OP, "run_folder")
    right = name.endswith("Classifier") or name.endswith("ForSequenceClassification")
    require(right, _OP, "run_folder", "a classifier of texts", f"{name or 'no class'} in {source}")
    model: TransformerClassifier = AutoModelForSequenceClassification.from_pretrained(source)
    tokenizer = Tokenizer.from_pretrained(source)
    c, length = model.config, text_length(model, tokenizer, max_length)
    parts = [("torch.nn.modules.linear.Identity", model.classifier)]
    if model.bert.pooler is not None:
        right = c.pooler_act == "tanh"
        require(
            right, _OP, "model", "a pooler with tanh", f"one with {c.pooler_act}", "--format transformers may hold it"
        )
        parts.insert(0, ("torch.nn.modules.activation.Tanh", model.bert.pooler.dense))
    encoder = published_encoder(model.bert)
    encoder.pooler = None
    about = {**encoder.config.to_dict(), "architectures": [encoder.architecture], "dtype": dtype, "torch_dtype": dtype}
    about |= {"id2label": {str(number): name for number, name in c.labels.items()}}
    about |= {"label2id": {name: number for number, name in c.labels.items()}}
    about.pop("pooling", None)
    with new_folder("export", output, overwrite) as folder:
        inner = folder / "0_Transformer"
        _write(inner, about, weights_as(encoder, dtype))
        write_tokenizer(inner, tokenizer, length, encoder.config.type_vocab_size > 1)
        without: dict[str, Any] = {"model_args": {"add_pooling_layer": False}} if encoder.config.pooler else {}
        write_json(inner / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False, **without})
        _write(folder / "1_Pooling", pooling_config(c.hidden_size, (_POOLING[c.pooling],)), {})
        for number, (activation, layer) in enumerate(parts, start=2):
            _write(folder / f"{number}_Dense", _dense(layer, activation), weights_as(layer, dtype, "linear."))
        kinds = ["Transformer", "Pooling", *["Dense"] * len(parts)]
        modules = [
            {"idx": i, "name": str(i), "path": f"{i}_{kind}", "type": f"sentence_transformers.models.{kind}"}
            for i, kind in enumerate(kinds)
        ]
        write_json(folder / "modules.json", modules)
        write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
        if card:
            write_text(
                folder / "README.md",
                model_card(source, model, dtype, library="sentence-transformers", use=_USE.splitlines()),
            )
    return Path(output)


def needs_sentence_transformers(run_folder: str | os.PathLike[str]) -> str:
    """Why `transformers` has no class for a run's classifier, although `sentence-transformers` can hold it; "" if it has one."""
    name = architecture_of(run_folder, "export", "run_folder")
    config = read_config(os.fspath(run_folder), "export")
    if name != "TransformerClassifier" and not name.endswith("ForSequenceClassification"):
        return ""
    if config.pooling != "first":
        return f"the model reads the {_SAID[config.pooling]} of all tokens"
    return "" if config.pooler or config.model_type is not None else "the model has no pooler"


def _write(folder: Path, config: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
    folder.mkdir()
    write_json(folder / "config.json", config)
    if weights:
        save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _dense(layer: Linear, activation: str) -> dict[str, Any]:
    """The config of a module Dense with this layer's weights."""
    outputs, inputs = layer.weight.shape
    return {
        "in_features": inputs, "out_features": outputs, "bias": layer.bias is not None, "activation_function": activation,
    }  # fmt: skip
