"""python -m bench.cuda_model [--counters]

Predicts how long a training step of BERT-base takes on an A100 and an H100, before anyone has run it there. It computes
from data sheets, from shapes, and from the counts of bench/cuda_counters.py (bench/cuda_model.json; --counters counts
again). Prints the section "Performance model" of docs/cuda.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from cuda_occupancy import blocks_resident  # noqa: E402

COUNTED = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Card:
    """Dense rates from NVIDIA's data sheets; lanes: float32 units of a multiprocessor; l2: bytes per clock."""

    name: str
    capability: int
    processors: int
    bf16: float
    tf32: float
    f32: float
    memory: float
    lanes: int
    l2: int
    mma: float  # share of the tensor cores' rate that mma.sync reaches

    @property
    def clock(self) -> float:
        return self.f32 / (2 * self.lanes * self.processors)


# l2: the A100's is in its white paper; the H100's is not published and assumed to be the same. mma: only wgmma keeps Hopper's
# tensor cores busy, and these kernels do not use it (Luo et al. 2024, arXiv 2402.13499, measure 62 %).
CARDS = (
    Card("A100 80GB SXM", 80, 108, 312e12, 156e12, 19.5e12, 2.0e12, 64, 5120, 1.0),
    Card("H100 SXM", 90, 132, 989e12, 494e12, 67e12, 3.35e12, 128, 5120, 0.65),
)

# Assumptions. All must be measured.
LATENCY = 0.7e-6  # seconds from an address to data that come from device memory
GAP = 1.0e-6  # between kernels of a queue that is never empty
DRY = 2.5e-6  # the same if the host is late
STREAM = 0.85  # share of the memory's rate that a kernel reaches if it only moves data
BROADCAST = 0.5  # of the bytes that float32 kernels read from shared memory: lanes that read the same share a pass

LAYERS, D, FF, HEADS, BATCH, LENGTH, VOCAB, POSITIONS = 12, 768, 3072, 12, 32, 128, 30522, 512
T = BATCH * LENGTH
PARAMETERS = (VOCAB + POSITIONS) * D + 2 * D + LAYERS * (4 * D * D + 2 * D * FF + 9 * D + FF)
MATH = {"bf16": "bf16", "high": "tf32", "highest": "f32"}


def div_up(a: int, b: int) -> int:
    return -(-a // b)


@dataclass
class Kernel:
    name: str
    what: str
    launches: int  # in a step
    flops: float  # of a launch
    bytes: float  # of a launch, at the least
    seconds: float  # of a launch, without GAP
    bound: str
    notes: str = ""


class Model:
    def __init__(self, card: Card, precision: str, counted: dict[str, Any]) -> None:
        self.card, self.precision, self.math = card, precision, MATH[precision]
        self.counted = counted
        self.size = 2 if self.math == "bf16" else 4  # bytes of an operand of products
        self.peak = getattr(card, self.math)

    # ---- the time of one multiprocessor for a unit (a multiply-add, a score) of a main loop, and what limits it

    def unit(self, kernel: str, flops: float) -> tuple[float, str]:
        c, loop = self.card, self.counted["loops"][kernel]
        tensor = self.math != "f32"
        limits = {
            "tensor cores" if tensor else "FFMA": flops * c.processors / (self.peak * (c.mma if tensor else 1)),
            "issue": loop["issued"] / (4 * c.clock),
            "shared memory": loop["shared_bytes"] * (1 if tensor else BROADCAST) / (128 * c.clock),
            "L2": loop["copied_bytes"] * c.processors / (c.l2 * c.clock),
            "exp": loop["ex2"] * 2 / c.clock,  # 16 lanes a clock
        }
        bound = max(limits, key=lambda name: limits[name])
        return limits[bound], bound

    def resident(self, kernel: str) -> int:
        r = self.counted["resources"][kernel]
        return blocks_resident(self.card.capability, r["threads"], r[str(self.card.capability)], r["shared"])

    def timed(
        self, kernel: str, what: str, launches: int, blocks: int, block: float, waits: float, flops: float,
        bytes: float, bound: str,
    ) -> Kernel:  # fmt: skip
        """A kernel whose blocks take `block` seconds each. All resident blocks wait for memory together, `waits` times."""
        here, resident = div_up(blocks, self.card.processors), self.resident(kernel)
        seconds = here * block + div_up(here, resident) * waits * LATENCY
        full = blocks / self.card.processors / here  # share of all multiprocessors' time that blocks fill
        if bytes / (self.card.memory * STREAM) > seconds:
            seconds, bound = bytes / (self.card.memory * STREAM), "memory"
        notes = f"{blocks} of {kernel.rsplit('_')[-1]}" if kernel.startswith("gemm") else f"{blocks}"
        notes += f", {resident} resident: {full:.0%}"
        return Kernel(kernel, what, launches, flops, bytes, seconds, bound, notes)

    # ---- products: the choices of csrc/cuda/kernels/gemm.cc

    def product(self, what: str, layout: str, m: int, n: int, k: int) -> Iterator[Kernel]:
        depth = 64 // self.size
        steps = div_up(k, depth)
        parts = max(1, min(128 // (div_up(m, 128) * div_up(n, 128)), steps // 16))
        blocks = {span: div_up(m, span) * div_up(n, span) * parts for span in (64, 128)}
        busiest = {span: div_up(count, self.card.processors) for span, count in blocks.items()}
        span = 128 if busiest[128] * 4 <= busiest[64] * (1 if self.math == "f32" else 2) else 64
        kernel = f"gemm_{self.math}_{layout}_{span}"
        unit, bound = self.unit(kernel, 2)
        work = span * span * div_up(steps, parts) * depth
        bytes = self.size * (m * k + n * k + m * n)
        shape = f"{what} {m}x{n}x{k}"
        yield self.timed(kernel, shape, LAYERS, blocks[span], work * unit, 2, 2.0 * m * n * k, bytes, bound)
        if parts > 1:
            name = f"gemm_combine_{'bf16' if self.size == 2 else 'f32'}"
            yield self.moved(name, shape, LAYERS, m * n * (4 * parts + self.size))

    def attention(self) -> Iterator[Kernel]:
        d, scores = D // HEADS, T * LENGTH * HEADS
        row = T * D * self.size
        bf16 = self.math == "bf16"
        # Products of length d per score, tensors read and written, rows and columns of a block's tiles, how often a step
        # over columns waits for its copies (backward copies in two stages).
        for part, products, tensors, rows, columns, exposed in (
            ("", 2, 4, 128, 64 if bf16 else 32, 2), ("dq_", 3, 5, 64, 32, 0.5), ("dkv_", 4, 6, 64, 32, 0.5)
        ):  # fmt: skip
            kernel = f"attention_{part}{d}_{self.math}"
            flops = 2 * products * d
            unit, bound = self.unit(kernel, flops)
            blocks = T // rows * HEADS
            waits = 2 + LENGTH / columns * exposed
            yield self.timed(
                kernel, f"{BATCH} sequences of {LENGTH}", LAYERS, blocks, scores / blocks * unit, waits,
                float(flops * scores), row * tensors + 8 * T * HEADS, bound,
            )  # fmt: skip

    # ---- kernels that only move data

    def moved(self, name: str, what: str, launches: int, bytes: float) -> Kernel:
        bound = "launch" if bytes < GAP * self.card.memory else "memory"
        return Kernel(name, what, launches, 0, bytes, bytes / (self.card.memory * STREAM), bound)

    def moving(self) -> Iterator[Kernel]:
        """The bytes that each large launch must read and write."""
        s, rows, weights = self.size, T * D, 4 * D * D + 2 * D * FF
        yield self.moved("dropout_add_layer_norm_f32", "read 2, write 2", 2 * LAYERS, 16 * rows)
        yield self.moved("layer_norm_backward_f32", "read 2, write 2", 2 * LAYERS, 16 * rows)
        yield self.moved("add_f32", "residual gradients", 2 * LAYERS, 12 * rows)
        yield self.moved(f"gemm_gelu_backward_{'bf16' if s == 2 else 'f32'}", "read 2, write 1", LAYERS, 3 * s * T * FF)
        yield self.moved(f"attention_delta_{'bf16' if s == 2 else 'f32'}", "read 2", LAYERS, 2 * s * rows)
        yield self.moved("dropout_f32", "embeddings", 2, 8 * rows)
        yield self.moved("embedding_sum_f32", "read 2, write 1", 1, 12 * rows)
        yield self.moved("finish_rows_f32", "the words' gradient in full", 1, 4 * (VOCAB + POSITIONS) * D + 4 * rows)
        yield self.moved("adam_step_f32", f"28 bytes of {PARAMETERS / 1e6:.0f} M parameters", 1, 28 * PARAMETERS)
        if s == 2:
            yield self.moved("f32_to_bf16", "weights", 4 * LAYERS, 6 * weights / 4)
            yield self.moved("f32_to_bf16", "activations, gradients", 4 * LAYERS, 6 * rows)
            yield self.moved("bf16_to_f32", "weights' gradients", 4 * LAYERS, 6 * weights / 4)
            yield self.moved("bf16_to_f32", "activations, gradients", 4 * LAYERS, 6 * rows)

    def step(self) -> list[Kernel]:
        kernels: list[Kernel] = []
        for what, n, k in (("qkv", 3 * D, D), ("out", D, D), ("up", FF, D), ("down", D, FF)):
            kernels += self.product(what, "nt", T, n, k)
            kernels += self.product(f"d{what}", "nn", T, k, n)
            kernels += self.product(f"{what}'s weight", "tn", n, k, T)
        parts = sum(k.launches for k in kernels if "combine" in k.name)  # the small model has other numbers of them
        kernels += [*self.attention(), *self.moving()]
        rest = self.launches() + parts - sum(k.launches for k in kernels)
        return [*kernels, Kernel("the rest", "biases, pooling, loss, sorting ids", rest, 0, 0, 0, "launch")]

    def launches(self) -> int:
        """The launches of a model with one layer, plus for each further layer those that a second layer adds."""
        counted = self.counted["launches"][self.precision]
        one, two = (sum(n for name, (n, _) in counted[i].items() if "combine" not in name) for i in ("1", "2"))
        return one + (LAYERS - 1) * (two - one)


def total(kernels: list[Kernel], gap: float = GAP) -> float:
    return sum(k.launches * (k.seconds + gap) for k in kernels)


def roofline(model: Model, kernels: list[Kernel]) -> float:
    """Each kernel at the limit of the data sheet, and no launches."""
    c = model.card
    return sum(k.launches * max(k.flops / model.peak, k.bytes / c.memory) for k in kernels)


def show(*cells: Any) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def text(words: str) -> str:
    return fill(" ".join(words.split()), 128) + "\n"


def points(*each: str) -> str:
    lines = [fill(" ".join(x.split()), 128, initial_indent="- ", subsequent_indent="  ") for x in each]
    return "\n".join(lines) + "\n"


def preamble() -> Iterator[str]:
    yield "## Performance model\n"
    yield text(f"""This model predicts a training step of BERT-base: {LAYERS} layers, d {D}, {HEADS} heads, ff {FF},
        {BATCH} packed sequences of {LENGTH} tokens; forward, backward, AdamW over {PARAMETERS / 1e6:.0f} M parameters,
        dropout of 0.1. Nothing here has run on a GPU; `python -m bench.cuda` measures it. This section is the output of
        `python -m bench.cuda_model`. It computes from data sheets, shapes, the registers that ptxas reports, the
        simulator's counters (`bench/cuda_counters.py`), and the assumptions below.""")
    yield text("""The time of a block is the time of the scarcest resource in its main loop: tensor cores or FFMA, issue
        slots (four warp instructions per clock), shared memory (128 bytes per clock), L2, or the unit for exponentials.
        The time of a kernel is that of the multiprocessor with the most blocks, plus, for each set of resident blocks,
        the latency of the first copies and of the results. It is at least the time that its bytes take. These are the
        assumptions, and the first things to measure:""")
    yield points(
        f"""{LATENCY * 1e6:.1f} us from an address to its data; {GAP * 1e6:.1f} us between kernels if the queue is full,
        {DRY * 1e6:.1f} us if the host is late;""",
        f"""{STREAM:.0%} of the memory's rate for kernels that only move data, even if L2 still holds what they read;""",
        *(
            f"""{c.name}: {c.processors} multiprocessors at {c.clock / 1e9:.2f} GHz; {c.bf16 / 1e12:.0f},
            {c.tf32 / 1e12:.0f}, {c.f32 / 1e12:g} TF/s of bf16, tf32, float32; {c.memory / 1e12:g} TB/s; {c.l2} bytes
            per clock from L2; {c.mma:.0%} of the tensor cores' rate with `mma.sync`;"""
            for c in CARDS
        ),
        "instructions as in PTX, except that a rounding to tf32 counts twice, as in machine code, which has slightly fewer of the others.",
    )


def falsified(models: dict[tuple[str, str], Model]) -> Iterator[str]:
    h100, name = models[CARDS[1].name, "bf16"], "gemm_bf16_nt_128"
    needed = h100.peak * h100.card.mma / 2 * h100.counted["loops"][name]["copied_bytes"]
    yield "\n**What would prove it wrong.**\n"
    yield points(
        f"""With {h100.card.mma:.0%} of an H100's tensor cores, `{name}` takes {needed / 1e12:.1f} TB/s from L2; the model
        assumes that L2 gives {h100.card.l2 * h100.card.clock / 1e12:.1f}. If it gives half of that, products take up to twice
        as long there, and only larger tiles help.""",
        "If attention is as fast with dropout as without, then issue slots do not limit it.",
        "If NN products of float32 are as fast as NT products on an H100, then issue slots do not limit them.",
        """If weight gradients of 144 tiles reach the same share as those of 108 tiles on an A100, then waves of blocks cost
        less than the model says.""",
        """Where the table has tiles of 64 on an H100, the model says that tiles of 128 are slower (except for the forward
        product qkv). If they are faster, then issue slots do not limit these products.""",
        """If a kernel is off by more than a quarter, or a step with a full queue by more than a fifth, an assumption is wrong.
        Nsight Compute names the resource (tensor, issue, `l1tex`, `lts`). It also shows bank conflicts; there should be
        none.""",
        "If a timeline has gaps, the host needs more time for a launch than the last column of the first table.",
    )


def tables(counted: dict[str, Any]) -> Iterator[str]:
    models = {(c.name, p): Model(c, p, counted) for p in MATH for c in CARDS}
    steps = {key: m.step() for key, m in models.items()}
    flops = 6.0 * LAYERS * T * (4 * D * D + 2 * D * FF + 2 * LENGTH * D)

    yield from preamble()
    yield text("""**The step.** Roofline: each kernel runs at the limit of the data sheet, and launches take no time. Host: the
        time that Python may take for a launch before the device waits.""")
    yield show(
        "card", "precision", "launches", "ms", "ms, queue dry", "roofline ms", "share of roofline", "TF/s", "share of peak",
        "host us",
    )  # fmt: skip
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for (card, precision), kernels in steps.items():
        m = models[card, precision]
        t, r = total(kernels), roofline(m, kernels)
        n = sum(k.launches for k in kernels)
        yield show(
            card, precision, n, f"{t * 1e3:.1f}", f"{total(kernels, DRY) * 1e3:.1f}", f"{r * 1e3:.1f}", f"{r / t:.0%}",
            f"{flops / t / 1e12:.0f}", f"{flops / t / m.peak:.0%}", f"{t / n * 1e6:.0f}",
        )  # fmt: skip

    yield "\n**Where it goes** (ms of the step, with the gaps between launches).\n"
    kinds = ("products", "attention", "AdamW", "conversions", "norms, adds, gelu, dropout, embeddings", "small kernels")
    yield show("card", "precision", *kinds)
    yield "|---|---|" + "--:|" * len(kinds)

    def kind(k: Kernel) -> str:
        if k.name.startswith("gemm_") and "gelu" not in k.name:
            return kinds[0]
        if k.name.startswith("attention"):
            return kinds[1]
        return {"adam_step_f32": kinds[2], "f32_to_bf16": kinds[3], "bf16_to_f32": kinds[3], "the rest": kinds[5]}.get(
            k.name, kinds[4]
        )

    for (card, precision), kernels in steps.items():
        sums: dict[str, float] = defaultdict(float)
        for k in kernels:
            sums[kind(k)] += k.launches * (k.seconds + GAP)
        yield show(card, precision, *(f"{sums[name] * 1e3:.2f}" for name in kinds))

    yield "\n" + text("""**Kernels** (one launch each). Share: the time that the data sheet allows for the operations or for the
        bytes, whichever is longer, divided by the predicted time. Blocks: how much of the time of all multiprocessors
        they fill if the busiest one never pauses. Kernels that only move float32 are the same in each precision, so they
        are listed once.""")
    headings = [heading for c in CARDS for heading in (f"{c.name.split()[0]} us", "bound", "share", "blocks")]
    yield show("kernel", "work", "launches", "GFLOP", "MB", *headings)
    yield "|---|---|--:|--:|--:|" + "--:|---|--:|---|" * len(CARDS)
    for precision in MATH:
        for several in zip(*(steps[c.name, precision] for c in CARDS), strict=True):
            k = several[0]
            if not k.flops and precision != "bf16":
                continue
            cells = []
            for c, x in zip(CARDS, several):
                best = max(x.flops / models[c.name, precision].peak, x.bytes / c.memory)
                share = f"{best / x.seconds:.0%}" if x.seconds else "-"
                cells += [f"{x.seconds * 1e6:.1f}" if x.seconds else "-", x.bound, share, x.notes or "-"]
            yield show(
                f"`{k.name}`", k.what, k.launches, f"{k.flops / 1e9:.1f}" if k.flops else "-",
                f"{k.bytes / 1e6:.1f}" if k.bytes else "-", *cells,
            )  # fmt: skip

    yield "\n**Main loops** (counted in PTX; a unit is a multiply-add, or a score in attention).\n"
    yield show(
        "kernel", "registers 80 / 90", "shared KB", "blocks 80 / 90", "HMMA or FFMA of issued", "issued per unit x 1000",
        "B shared per unit", "B copied per unit",
    )  # fmt: skip
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for name, loop in counted["loops"].items():
        if "mixed" in name:
            continue
        r = counted["resources"][name]
        fits = [blocks_resident(c, r["threads"], r[str(c)], r["shared"]) for c in (80, 90)]
        yield show(
            f"`{name}`", f"{r['80']} / {r['90']}", f"{r['shared'] / 1024:.0f}", f"{fits[0]} / {fits[1]}",
            f"{max(loop['mma'], loop['ffma']) / loop['issued']:.0%}", f"{loop['issued'] * 1e3:.2f}",
            f"{loop['shared_bytes']:.3f}", f"{loop['copied_bytes']:.3f}",
        )  # fmt: skip
    yield from falsified(models)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cuda_model", description=__doc__)
    parser.add_argument("--counters", action="store_true", help="count again, on the simulator")
    if parser.parse_args().counters:
        from bench.cuda_counters import collect

        COUNTED.write_text(json.dumps(collect(), indent=1) + "\n")
    for line in tables(json.loads(COUNTED.read_text())):
        print(line)


if __name__ == "__main__":
    main()
