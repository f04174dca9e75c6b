"""python tools/emulation/smoke.py ISA: engine picks this instruction set, and a classifier trained on it learns.

tools/emulation/run starts it under qemu as CPUs that this machine is not. An instruction that such a CPU lacks ends the
process. The last word that it prints is a hash of the weights: they have the same bits on all instruction sets with fma.
"""

import hashlib
import random
import sys

import engine
from engine import _core
from engine.data import Batch
from engine.models import TransformerClassifier, TransformerConfig
from engine.nn import functional as F
from engine.text import TextDataset

CLASSES = 3


def texts(n: int, seed: int) -> Batch:
    """Texts of 3 to 21 tokens; the class is which of the tokens 3, 4, 5 stands in it."""
    draw = random.Random(seed)
    labels = [draw.randrange(CLASSES) for _ in range(n)]
    drawn = [[3 + label, *(draw.randrange(6, 40) for _ in range(draw.randrange(2, 21)))] for label in labels]
    for text in drawn:
        draw.shuffle(text)
    return TextDataset(drawn, labels).gather(range(n))


def main(expected: str) -> None:
    isa = _core.get_cpu_isa()
    assert isa == expected, f"engine runs {isa} here, expected {expected}"
    engine.manual_seed(0)
    config = TransformerConfig(
        vocab_size=40, hidden_size=36, num_hidden_layers=1, num_attention_heads=3, intermediate_size=70,
        max_position_embeddings=24, num_labels=CLASSES, pooling="max",
    )  # fmt: skip
    model = TransformerClassifier(config)
    optimizer = engine.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(24):
        batch = texts(20, step)
        loss = F.cross_entropy(model(batch), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        engine.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    held_out = texts(200, 1000)
    accuracy = float((model(held_out).argmax(1) == held_out.labels).float().mean())
    weights = hashlib.sha256(b"".join(_core.to_bytes(t._data) for t in model.state_dict().values())).hexdigest()
    print(f"{isa}: loss {float(loss):.4f}, accuracy {accuracy:.2f} after {step + 1} steps; weights {weights}")
    assert accuracy > 0.9


if __name__ == "__main__":
    main(sys.argv[1])
