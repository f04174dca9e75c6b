"""Writes tests/golden: tiny random models of `transformers` and their outputs, so that engine is tested without `transformers`.

It needs `transformers` and PyTorch: `python tools/golden.py [folder]`. The same versions write the same bytes.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

ROOT = Path(__file__).parent.parent / "tests" / "golden"
VOCAB, LABELS, LENGTHS = 60, 3, (9, 4, 1, 6)
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
}
DISTIL = {"vocab_size": VOCAB, "dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 32, "max_position_embeddings": 24}
# Positions of RoBERTa count from the padding's id + 1, so its table has two rows more than the longest text has tokens.
ROBERTA = SIZES | {"max_position_embeddings": 26, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
SEQUENCE, TOKEN, MASKED = "ForSequenceClassification", "ForTokenClassification", "ForMaskedLM"
FAMILIES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "bert": ("Bert", SIZES, ["Model", SEQUENCE, TOKEN, MASKED]),
    "distilbert": ("DistilBert", DISTIL, ["Model", SEQUENCE, TOKEN, MASKED]),
    "roberta": ("Roberta", ROBERTA, ["Model", SEQUENCE, TOKEN, MASKED]),
    "xlm-roberta": ("XLMRoberta", ROBERTA | {"num_attention_heads": 4}, ["Model", SEQUENCE]),
    "electra": ("Electra", SIZES | {"embedding_size": 8}, ["Model", SEQUENCE, TOKEN]),
    "albert": ("Albert", SIZES | {"embedding_size": 8, "num_hidden_groups": 1}, ["Model", SEQUENCE]),
    "camembert": ("Camembert", ROBERTA, ["Model", SEQUENCE, TOKEN, MASKED]),
}
FOLDERS = {"Model": "model", SEQUENCE: "sequence", TOKEN: "token", MASKED: "masked"}
# Which gradients are kept: of the first parameter that ends so, and of the last.
ENDS = (
    "word_embeddings.weight",
    "position_embeddings.weight",
    "LayerNorm.weight",
    "query.weight",
    "q_lin.weight",
    "key.bias",
    "value.bias",
    "classifier.weight",
    "out_proj.weight",
    "predictions.bias",
    "lm_head.bias",
    "vocab_projector.bias",
    "embeddings_project.weight",
)

README = f"""# Tiny models of `transformers` and their outputs

Written by `tools/golden.py` with transformers {transformers.__version__} and PyTorch {torch.__version__}.
The weights are random, not trained. There is one folder per family and head, as `save_pretrained` writes it. Its `expected.safetensors` has

- `input_ids`, `attention_mask` and, if the family has token types, `token_type_ids`: int64 (4, 9), right-padded, of
  lengths {", ".join(map(str, LENGTHS))};
- for models without a head: `last_hidden_state`, 0 at padding, and `pooler_output` if the model has a pooler;
- for the others: `labels` (-100 does not count), `logits`, 0 at padding, the mean cross-entropy `loss`, and `grad.NAME` of
  some parameters.

The outputs were computed in float64 from the float32 weights, without dropout, and rounded to float32.
"""


def randomize(model: torch.nn.Module, seed: int) -> None:
    """Sets weights so that every parameter matters: no bias is 0, no norm is 1, and attention is far from uniform."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            values = torch.randn(p.shape, generator=generator) * (0.3 if p.dim() > 1 else 0.1)
            p.copy_(1 + values if "norm" in name.lower() and name.endswith("weight") else values)


def inputs(config: Any, seed: int) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    mask = np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]
    ids = np.where(mask, rng.integers(5, VOCAB, mask.shape), config.pad_token_id)
    made = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
    if getattr(config, "type_vocab_size", 0) > 1:
        made["token_type_ids"] = np.where(mask, np.arange(max(LENGTHS)) >= 3, 0).astype(np.int64)
    return {name: torch.from_numpy(array) for name, array in made.items()}


def expected(model: Any, head: str, seed: int) -> dict[str, np.ndarray]:
    given = inputs(model.config, seed)
    mask = given["attention_mask"]
    rng = np.random.default_rng(seed + 1)
    model = model.double().eval()
    if head == "Model":
        out = model(**given)
        results = {"last_hidden_state": out.last_hidden_state * mask[..., None]}
        if "pooler_output" in out:
            results["pooler_output"] = out.pooler_output
    else:
        each = head != SEQUENCE  # a label a token
        labels = torch.from_numpy(
            rng.integers(0, VOCAB if head == MASKED else LABELS, mask.shape if each else len(LENGTHS))
        )
        if each:
            counted = torch.from_numpy(rng.random(mask.shape) < (0.4 if head == MASKED else 0.8)) & (mask > 0)
            labels = labels.where(counted, -100)
        out = model(**given, labels=labels)
        out.loss.backward()
        results = {"labels": labels, "logits": out.logits * mask[..., None] if each else out.logits, "loss": out.loss}
        parameters = dict(model.named_parameters())
        names = [next((name for name in parameters if name.endswith(end)), None) for end in ENDS]
        for name in dict.fromkeys([*filter(None, names), list(parameters)[-1]]):
            results[f"grad.{name}"] = parameters[name].grad
    arrays = {name: t.detach().numpy() for name, t in (given | results).items()}
    return {name: a.copy() if a.dtype == np.int64 else a.astype(np.float32, order="C") for name, a in arrays.items()}


def main(root: Path) -> None:
    for i, (family, (prefix, sizes, heads)) in enumerate(FAMILIES.items()):
        for head in heads:
            extra = {} if head in ("Model", MASKED) else {"num_labels": LABELS}
            model = getattr(transformers, prefix + head)(getattr(transformers, prefix + "Config")(**sizes, **extra))
            randomize(model, seed=i)
            folder = root / family / FOLDERS[head]
            shutil.rmtree(folder, ignore_errors=True)
            model.save_pretrained(folder)
            (folder / "generation_config.json").unlink(missing_ok=True)
            save_file(expected(model, head, seed=10 * i), folder / "expected.safetensors")
    (root / "README.md").write_text(README)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
