"""The README.md of an exported ONNX model: the model card with a program that needs NumPy, onnxruntime and tokenizers, but not engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.inference.card import head_of, model_card
from engine.inference.embedder import SentenceEncoder
from engine.tasks import task_of
from engine.text import Tokenizer
from engine.text.cleaning import INVISIBLE

__all__ = ["onnx_card"]

# What the program does with the outputs, by the task of a model that was trained for one, otherwise by its head.
_ENDS = {
    "classification": """
for text, row in zip(texts, outputs["logits"]):
    shares = np.exp(row - row.max())
    print(text, labels[row.argmax()], (shares / shares.sum()).max())
""",
    "multilabel": """
for text, row in zip(texts, outputs["logits"]):
    print(text, {labels[i]: 1 / (1 + np.exp(-row[i])) for i in np.flatnonzero(row > 0)})
""",
    "regression": """
for text, row in zip(texts, outputs["logits"]):
    print(text, dict(zip(labels, row)))
""",
    "tagging": """
for text, encoding, rows in zip(texts, encodings, outputs["logits"]):
    text, tags = cleaned(text), {}
    for (start, end), row in zip(encoding.offsets, rows):
        if start < end:  # not a special token; a word has the tag of its first token
            tags.setdefault(text[: end - 1].count(" "), labels[row.argmax()])
    print([(word, tags.get(number)) for number, word in enumerate(text.split())])
""",
    "masked": """
for text, rows in zip(texts, outputs["logits"]):
    print(text, tokenizer.decode(rows.argmax(-1)))  # the most probable token in each place
""",
    "base": """
for name, values in outputs.items():
    print(name, values.shape)
""",
    "sentence": """
vectors = outputs["sentence_embedding"]
print(vectors @ vectors.T)
""",
}


def onnx_card(run_folder: Path, answers: Any, tokenizer: Tokenizer, max_length: int, opset: int) -> str:
    """A README.md for a model, or a `SentenceEncoder`, whose file is model.onnx. Arguments as in `model_card`; max_length: the number of
    tokens after which texts are cut."""
    of_sentences = isinstance(answers, SentenceEncoder)
    model = answers.model if of_sentences else answers
    head = head_of(model)
    trained = head in ("sequence", "token")
    kind = "sentence" if of_sentences else task_of(model.config, model.architecture).name if trained else head
    clean = not of_sentences or answers.clean
    prompt, lowercase = (answers.prompt, answers.lowercase) if of_sentences else ("", False)
    prepared = "cleaned(text)" if clean else "text"
    prepared = f"{prompt!a} + {prepared}" if prompt else prepared
    prepared = f"({prepared}).lower()" if lowercase else prepared
    pad = tokenizer.special_tokens.get("pad")
    padding = "" if pad is None else f"pad_id={tokenizer.pad_token_id}, pad_token={pad!a}"
    labels = """\
with open(f"{folder}/config.json", encoding="utf-8") as file:
    labels = list(json.load(file)["id2label"].values())
"""
    cleaning = f"""
INVISIBLE = re.compile({INVISIBLE.pattern!a})


def cleaned(text):
    \"\"\"The text as in training: Unicode form NFC, no invisible characters, single spaces.\"\"\"
    return " ".join(unicodedata.normalize("NFC", INVISIBLE.sub("", text)).split())

"""
    imports = "".join(f"import {name}\n" for name in ["json"] * trained + ["re", "unicodedata"] * clean)
    program = f"""\
{imports}
import numpy as np
import onnxruntime
import tokenizers
{cleaning if clean else ""}
folder = "."
tokenizer = tokenizers.Tokenizer.from_file(f"{{folder}}/tokenizer.json")
tokenizer.enable_truncation({max_length})
tokenizer.enable_padding({padding})
{labels if trained else ""}session = onnxruntime.InferenceSession(f"{{folder}}/model.onnx")

texts = ["a first text", "another text"]
encodings = tokenizer.encode_batch([{prepared} for text in texts])  # for pairs of texts: [(text, second), ...]
fields = {{
    "input_ids": [encoding.ids for encoding in encodings],
    "attention_mask": [encoding.attention_mask for encoding in encodings],
    "token_type_ids": [encoding.type_ids for encoding in encodings],
}}
inputs = {{each.name: np.array(fields[each.name], np.int64) for each in session.get_inputs()}}
names = [each.name for each in session.get_outputs()]
outputs = dict(zip(names, session.run(names, inputs)))
{_ENDS.get(kind, _ENDS["base"])}"""
    use = [
        f"model.onnx has opset {opset} and float32 weights. Its inputs are int64 (batch, length). `pip install onnxruntime tokenizers`,",
        "then, in this folder:", "", "```python", *program.strip().splitlines(), "```",
    ]  # fmt: skip
    tag = "sentence-similarity" if of_sentences else None
    return model_card(run_folder, model, library="onnx", tag=tag, use=use)
