"""The folder of an exported ONNX model: model.onnx, the tokenizer's files, config.json, and a README.md whose program runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from engine.inference.embedder import SentenceEncoder
from engine.inference.export import open_model, text_length, write_tokenizer
from engine.inference.export_folder import check_output, new_folder
from engine.inference.onnx.graph import OPSET, Graph
from engine.inference.onnx.network import Network
from engine.inference.onnx.readme import onnx_card
from engine.models.pretrained import Pretrained
from engine.serialization import write_json, write_text
from engine.text import Tokenizer

__all__ = ["export_onnx"]


def export_onnx(
    run_folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    card: bool = True,
    max_length: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model as ONNX (opset 17), with float32 weights, and what a program needs to use it.

    Inputs are input_ids, attention_mask and, if the model has more than one token type, token_type_ids: int64 (batch, length).
    Outputs are float32:

    | folder | output |
    |---|---|
    | a classifier, a regression | logits (batch, num_labels) |
    | a tagger | logits (batch, length, num_labels), 0 at padding |
    | a masked language model | logits (batch, length, vocab_size), 0 at padding |
    | an encoder | last_hidden_state (batch, length, hidden_size), 0 at padding; pooler_output (batch, hidden_size) if it has a pooler |
    | a folder of `sentence-transformers` | sentence_embedding (batch, dimension) |

    They are what the model gives in engine for the same rectangle. Unlike `export`, this holds for every model of engine, also for
    those that no published family can hold.

    Args:
        run_folder: a run folder, or one that `save_pretrained` wrote, with a tokenizer.
        output: a new or empty folder. If the export fails, it is left as it was. Weights of 2 GiB and more are in model.onnx.data.
        overwrite: whether `output` may hold an earlier export, which is replaced.
        card: whether to write README.md, with a program that uses the model.
        max_length: the number of tokens after which the tokenizer cuts; None: as in training, or as many as the model takes.

    Returns:
        The folder.

    Raises:
        ImportError: if the package onnx is missing (extra `onnx`).
        ValueError: if files are damaged, or if an argument has another value than those above.
        FileNotFoundError: if files are missing.
        FileExistsError: if `output` is not empty, or with `overwrite`, if it holds anything but an earlier export.
    """
    source = Path(run_folder)
    check_output("export", Path(output), overwrite)
    graph = Graph("export")
    answers: Any
    if (source / "modules.json").is_file():
        answers = SentenceEncoder.from_pretrained(source, max_length=max_length)
        model: Pretrained = answers.model
        tokenizer, cut = answers.tokenizer, answers.max_length
    else:
        answers = model = open_model(source)
        tokenizer = Tokenizer.from_pretrained(source)
        cut = text_length(model, tokenizer, max_length)
    network = Network(graph, model)
    network.outputs(answers)
    with new_folder("export", output, overwrite) as partial:
        graph.save(partial / "model.onnx")
        named = {str(number): label for number, label in model.config.labels.items()}
        config = {"architectures": [model.architecture], **model.config.to_dict(), "id2label": named}
        write_json(partial / "config.json", config)
        write_tokenizer(partial, tokenizer, cut, network.types is not None)
        if card:
            write_text(partial / "README.md", onnx_card(source, answers, tokenizer, cut, OPSET))
    return Path(output)
