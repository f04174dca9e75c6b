"""Inference: one text at a time (latency) and ragged batches of 64 (throughput), against the runtimes made for it.

All sides get the same ids and weights: engine packs them; PyTorch and ONNX Runtime get a padded
rectangle with a mask if lengths differ. CTranslate2 pads by itself and runs the encoder; the classifier after it is NumPy.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.builds import find
from bench.protocol import Run, Table, Worker, has
from bench.sides import answer
from bench.step import LABELS, MODELS, VOCAB, build, parameter_shapes, weights

SPIN = 0.3  # seconds; the idle threads of CTranslate2's OpenMP spin for 200 ms
RUNTIMES = {"onnxruntime": ("onnx", "onnxscript"), "ctranslate2": ("transformers",)}  # and what they need


def sequences(lengths: list[int]) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, VOCAB, n).tolist() for n in lengths]


def rectangle(texts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    longest = max(map(len, texts))
    ids = np.array([t + [0] * (longest - len(t)) for t in texts])
    return ids, np.arange(longest) < np.array([len(t) for t in texts])[:, None]


def onnx_task(model: str, texts: list[list[int]]) -> Any:
    import onnxruntime
    import torch

    ids, mask = rectangle(texts)
    feed = {"ids": ids} if mask.all() else {"ids": ids, "mask": mask}
    net = build("torch", model, 0.0, "first").eval()
    inputs = (torch.from_numpy(ids), None if mask.all() else torch.from_numpy(mask))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(net, inputs, str(path), input_names=list(feed), output_names=["logits"], dynamo=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feed)[0]


def ctranslate2_task(model: str, texts: list[list[int]]) -> Any:
    import ctranslate2
    import torch
    from transformers import BertConfig, BertModel

    layers, d, heads, ff = MODELS[model]
    start = weights(parameter_shapes(layers, d, ff))
    config = BertConfig(
        vocab_size=VOCAB, hidden_size=d, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=ff,
        max_position_embeddings=512, type_vocab_size=1, position_embedding_type="absolute",
    )  # fmt: skip
    bert = BertModel(config, add_pooling_layer=False)
    state = {k: v.clone() for k, v in bert.state_dict().items()}
    named = {
        "embeddings.word_embeddings.weight": "words.weight", "embeddings.position_embeddings.weight": "positions.weight",
        "embeddings.LayerNorm.weight": "norm.weight", "embeddings.LayerNorm.bias": "norm.bias",
    }  # fmt: skip
    inner = {
        "attention.output.dense": "out", "attention.output.LayerNorm": "norm1", "intermediate.dense": "up",
        "output.dense": "down", "output.LayerNorm": "norm2",
    }  # fmt: skip
    for i in range(layers):
        for kind in ("weight", "bias"):
            for theirs, ours in inner.items():
                named[f"encoder.layer.{i}.{theirs}.{kind}"] = f"layers.{i}.{ours}.{kind}"
            for name, part in zip(("query", "key", "value"), np.split(start[f"layers.{i}.qkv.{kind}"], 3)):
                state[f"encoder.layer.{i}.attention.self.{name}.{kind}"] = torch.tensor(part)
    for theirs, ours in named.items():
        state[theirs] = torch.tensor(start[ours])
    state["embeddings.token_type_embeddings.weight"].zero_()
    bert.load_state_dict(state)
    with tempfile.TemporaryDirectory() as folder:
        bert.save_pretrained(f"{folder}/hf")
        (Path(folder) / "hf" / "vocab.txt").write_text("\n".join(f"[{i}]" for i in range(VOCAB)))
        from transformers import BertTokenizer

        BertTokenizer(vocab_file=f"{folder}/hf/vocab.txt").save_pretrained(f"{folder}/hf")
        ctranslate2.converters.TransformersConverter(f"{folder}/hf").convert(f"{folder}/ct2")
        encoder = ctranslate2.Encoder(
            f"{folder}/ct2", device="cpu", compute_type="float32", inter_threads=1,
            intra_threads=int(os.environ["OMP_NUM_THREADS"]),
        )  # fmt: skip
    w, b = start["classifier.weight"], start["classifier.bias"]

    def task() -> np.ndarray:
        hidden = np.asarray(encoder.forward_batch(texts).last_hidden_state)
        return hidden[:, 0] @ w.T + b

    return task


def prepare(side: str, model: str, lengths: list[int]) -> Any:
    texts = sequences(lengths)
    if side == "onnxruntime":
        task = onnx_task(model, texts)
    elif side == "ctranslate2":
        task = ctranslate2_task(model, texts)
    elif side == "engine":
        import engine

        PackedBatch = find("PackedBatch")

        net = build(side, model, 0.0, "first").eval()
        batch = PackedBatch.from_sequences(texts)

        def task() -> Any:
            with engine.no_grad():
                return net(batch).numpy()
    else:
        import torch

        net = build(side, model, 0.0, "first").eval()
        ids, mask = (torch.from_numpy(a) for a in rectangle(texts))

        def task() -> Any:
            with torch.inference_mode():
                return net(ids, None if mask.all() else mask).numpy()

    logits = task()
    assert logits.shape == (len(texts), LABELS)
    return task, answer(logits)


def run(run: Run) -> list[Table]:
    runtimes = [
        s for s, needs in RUNTIMES.items() if "torch" in run.peers and not run.quick and all(map(has, (s, *needs)))
    ]
    workers = [Worker(s, run.threads) for s in runtimes]
    mine = replace(run, workers=[*run.workers, *workers]) if workers else run
    torch, others = (
        Table("Inference, against PyTorch eager"),
        Table("Inference, against the faster of ONNX Runtime and CTranslate2"),
    )
    lengths = np.random.default_rng(3).integers(4, 65, 64).tolist()
    cases = [
        ("1 x 16", [16], 2.0),
        ("1 x 64", [64], None),
        ("1 x 128", [128], 1.15),
        ("64 ragged, 4 to 64", lengths, 2.0),
    ]
    try:
        for model in ("tiny",) if run.quick else ("tiny", "mini", "minilm6"):
            for label, batch, target in cases[:1] if run.quick else cases:
                for table, sides, least in ((torch, ("torch",), target), (others, tuple(runtimes), 1.0)):
                    if table is others and not runtimes:
                        continue
                    c = mine.compare(
                        "inference:prepare", sides=("engine", *sides), model=model, lengths=batch,
                        rest=SPIN if table is others else None,
                    )  # fmt: skip
                    table.add(f"{model}, {label} tokens", c, target=least)
                c = mine.compare("inference:prepare", sides=("engine",), savings=("last",), model=model, lengths=batch)
                torch.add(f"{model}, {label} tokens, of the last layer only what is read", c)
    finally:
        for w in workers:
            w.close()
    return [torch, others] if runtimes else [torch]
