"""What has to have the same bits on every instruction set with fma: the kernels, and trainings of 50 steps at any number of threads.
Their weights after the first 3 steps are on record, too: an emulator has time for those.

`python tests/same_bits.py` trains on each instruction set that this machine has, and prints the hashes of the weights. With
--write "MACHINE" it puts them into tests/same_bits.json, with the machine's name as the record of where they were checked. They
change only if the arithmetic of a kernel does; then all instruction sets have to be checked again. --kernels FILE writes a hash for
each row of tests/specs in float32, to be compared with the file of another machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import engine
from engine import _core
from engine.data import Batch
from engine.models import TransformerClassifier, TransformerConfig
from engine.nn import functional as F
from engine.nn.lora import LoRAConfig, add_lora
from engine.text import TextDataset
from specs import SPECS
from specs.spec import Spec
from test_specs import draw, run

RECORD = Path(__file__).parent / "same_bits.json"
STEPS, TEXTS, CLASSES, VOCABULARY, LONGEST = (3, 50), 14, 5, 60, 45
FUSED = ("avx2", "avx512", "neon")  # the instruction sets whose fma rounds once
SUPPORTED = tuple(isa["name"] for isa in _core.cpu_isas() if isa["supported"])


def here() -> list[str]:
    """The instruction sets that can be checked on this machine."""
    return [name for name in FUSED if name in SUPPORTED]


def canonical(array: np.ndarray) -> bytes:
    """The bytes, with one NaN for all."""
    return (
        np.where(array == array, array, array.dtype.type(np.nan)).tobytes()
        if array.dtype.kind == "f"
        else array.tobytes()
    )


def kernel_bits(spec: Spec, number: int, dtype: str) -> list[bytes]:
    """Of each output and gradient of a case."""
    outputs, gradients = run(spec, number, draw(spec, number, dtype), grad=bool(spec.oracle))
    return [canonical(a) for a in (*outputs, *gradients.values())]


def batch() -> Batch:
    """Texts of 1 to 45 tokens, drawn by engine: NumPy's generators may change with its version."""
    lengths = engine.randint(1, LONGEST + 1, (TEXTS,)).tolist()
    texts = [np.array(engine.randint(1, VOCABULARY, (n,)).tolist()) for n in lengths]
    return TextDataset(texts, engine.randint(0, CLASSES, (TEXTS,)).tolist()).gather(range(TEXTS))


def model(**options: Any) -> TransformerClassifier:
    """Sizes that are no multiples of a vector; a sum over 1040 and sums over tokens that are cut into blocks."""
    values = {
        "vocab_size": VOCABULARY, "hidden_size": 78, "num_hidden_layers": 2, "num_attention_heads": 3,
        "intermediate_size": 1040, "max_position_embeddings": LONGEST, "num_labels": CLASSES, **options,
    }  # fmt: skip
    return TransformerClassifier(TransformerConfig(**values))


def whole() -> TransformerClassifier:
    return model(pooling="mean", pooler=True)


def adapted() -> TransformerClassifier:
    made = model(pooling="first", norm_first=True)
    add_lora(made, LoRAConfig(r=3, alpha=6, dropout=0.1, target_modules=("query", "value", "intermediate.dense")))
    return made


def stored() -> TransformerClassifier:
    return model(pooling="max", hidden_act="gelu_new").to(engine.bfloat16)


TRAININGS: dict[str, Callable[[], TransformerClassifier]] = {"float32": whole, "LoRA": adapted, "bfloat16": stored}


def train(name: str, last: int = STEPS[-1]) -> dict[str, str]:
    """The SHA-256 of the weights after each number of steps on record, up to the last."""
    engine.manual_seed(15)
    trained = TRAININGS[name]()
    parameters = [p for p in trained.parameters() if p.requires_grad]
    optimizer = engine.optim.AdamW(parameters, lr=2e-3, weight_decay=0.05)
    found = {}
    for step in range(1, last + 1):
        data = batch()
        loss = F.cross_entropy(trained(data).float(), data.labels, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        engine.nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()
        if step in STEPS:
            state = trained.state_dict()
            assert all(bool(t.float().isfinite().all()) for t in state.values())
            found[str(step)] = hashlib.sha256(b"".join(_core.to_bytes(t._data) for t in state.values())).hexdigest()
    return found


def on_record(name: str) -> dict[str, str]:
    return dict(json.loads(RECORD.read_text())["weights"][name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", metavar="MACHINE", help="put the hashes and this record into tests/same_bits.json")
    parser.add_argument("--kernels", metavar="FILE", type=Path, help="write a hash for each row of tests/specs")
    options = parser.parse_args()
    machine = options.write
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {"weights": {}, "checked": {}}
    for isa in here():
        _core.set_cpu_isa(isa)
        if options.kernels:
            rows = [(s, n) for s in SPECS for n in range(len(s.cases)) if "float32" in s.dtypes]
            hashes = {
                f"{s.name}-{n}": hashlib.sha256(b"".join(kernel_bits(s, n, "float32"))).hexdigest() for s, n in rows
            }
            options.kernels.write_text(json.dumps(hashes, indent=1))
            continue
        found = {name: train(name) for name in TRAININGS}
        print(isa, *(f"{name}: {digests}" for name, digests in found.items()), sep="\n  ")
        if found != record["weights"]:
            print("  these are not the hashes on record")
            record = {"weights": found, "checked": {}}
        record["checked"][isa] = {"machine": machine, "date": date.today().isoformat()}
    for isa in (name for name in FUSED if name not in here()):
        print(isa, "is not checked: this machine does not have it")
    if machine and not options.kernels:
        RECORD.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
