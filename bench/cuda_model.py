"""python -m bench.cuda_model [--counters]

Estimates how long a training step of BERT-base takes on an A100 and an H100, from data sheets, from shapes, and from what
bench/cuda_counters.py counted (bench/cuda_model.json; --counters counts again). Prints the section "Performance model" of docs/cuda.md.
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
    """From NVIDIA's data sheets: dense rates. lanes: float32 units of a multiprocessor; l2: bytes a clock."""

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


# l2: the A100's is in its white paper; the H100's is not published and is assumed to be the same. mma: only wgmma feeds
# Hopper's tensor cores in full, which these kernels do not use (Luo et al. 2024, arXiv 2402.13499, measure 62 %).
CARDS = (
    Card("A100 80GB SXM", 80, 108, 312e12, 156e12, 19.5e12, 2.0e12, 64, 5120, 1.0),
    Card("H100 SXM", 90, 132, 989e12, 494e12, 67e12, 3.35e12, 128, 5120, 0.65),
)

# Assumptions that have to be measured.
LATENCY = 0.7e-6  # seconds from an address to its data in device memory
GAP = 1.0e-6  # seconds between kernels of a queue that is never empty
DRY = 2.5e-6  # seconds between kernels if the queue runs empty, because the host is slower
STREAM = 0.85  # share of the memory's rate that a kernel reaches if it only moves data
BROADCAST = 0.5  # share of float32 kernels' bytes that shared memory delivers: lanes that read the same word share it

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
    launches: int  # of a step
    flops: float  # of a launch
    bytes: float  # of a launch: the fewest possible
    seconds: float  # of a launch, without GAP
    bound: str
    notes: str = ""


class Model:
    def __init__(self, card: Card, precision: str, counted: dict[str, Any]) -> None:
        self.card, self.precision, self.math = card, precision, MATH[precision]
        self.counted = counted
        self.size = 2 if self.math == "bf16" else 4  # bytes of an operand of a matrix product
        self.peak = getattr(card, self.math)

    # ---- a multiprocessor's time for a unit (a multiply-add, a score) of a main loop, and what binds it

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
        """Of blocks of `block` seconds each, that wait for memory `waits` times: all that are resident at once."""
        here, resident = div_up(blocks, self.card.processors), self.resident(kernel)
        seconds = here * block + div_up(here, resident) * waits * LATENCY
        full = blocks / self.card.processors / here  # share of the multiprocessors that work while the busiest does
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
        # Products of length d for each score; tensors read and written; rows and columns of a block's tiles; how often a
        # step over columns waits for its copies (in the backward pass they come in two stages).
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

    # ---- kernels that move

    def moved(self, name: str, what: str, launches: int, bytes: float) -> Kernel:
        bound = "launch" if bytes < GAP * self.card.memory else "memory"
        return Kernel(name, what, launches, 0, bytes, bytes / (self.card.memory * STREAM), bound)

    def moving(self) -> Iterator[Kernel]:
        """The bytes that each of the large launches must read and write."""
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
        parts = sum(k.launches for k in kernels if "combine" in k.name)  # the small model has others
        kernels += [*self.attention(), *self.moving()]
        rest = self.launches() + parts - sum(k.launches for k in kernels)
        return [*kernels, Kernel("the rest", "biases, pooling, loss, sorting ids", rest, 0, 0, 0, "launch")]

    def launches(self) -> int:
        """Those of one layer and what is around it, and as many more for each layer as a second one brings."""
        counted = self.counted["launches"][self.precision]
        one, two = (sum(n for name, (n, _) in counted[i].items() if "combine" not in name) for i in ("1", "2"))
        return one + (LAYERS - 1) * (two - one)


def total(kernels: list[Kernel], gap: float = GAP) -> float:
    return sum(k.launches * (k.seconds + gap) for k in kernels)


def roofline(model: Model, kernels: list[Kernel]) -> float:
    """The time if each kernel ran at the data sheet's limit and launches took no time."""
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
    yield text(f"""What a training step of BERT-base should take: {LAYERS} layers, d {D}, {HEADS} heads, ff {FF},
        {BATCH} sequences of {LENGTH} tokens, packed; forward, backward, AdamW over {PARAMETERS / 1e6:.0f} M parameters,
        dropout of 0.1. A prediction, to be measured by `python -m bench.cuda`: nothing here has run on a GPU. This
        section is the output of `python -m bench.cuda_model`: computed from data sheets, shapes, ptxas' registers, the
        simulator's counters (`bench/cuda_counters.py`), and what is assumed below.""")
    yield text("""A block takes what its main loop's scarcest resource takes for it: tensor cores or FFMA, issue slots
        (four warp instructions a clock), shared memory (128 bytes a clock), L2, the unit of exponentials. A kernel
        takes as long as the busiest multiprocessor has blocks, and for each set of resident blocks the latency of first
        copies and of results; never less than its bytes take. Assumed, and the first things to measure:""")
    yield points(
        f"""{LATENCY * 1e6:.1f} us from an address to data; {GAP * 1e6:.1f} us between kernels of a full queue,
        {DRY * 1e6:.1f} us where the host is behind;""",
        f"""{STREAM:.0%} of the memory's rate for kernels that only move, even where L2 still holds what they read;""",
        *(
            f"""{c.name}: {c.processors} multiprocessors at {c.clock / 1e9:.2f} GHz; {c.bf16 / 1e12:.0f},
            {c.tf32 / 1e12:.0f}, {c.f32 / 1e12:g} TF/s of bf16, tf32, float32; {c.memory / 1e12:g} TB/s; {c.l2} bytes a
            clock from L2; {c.mma:.0%} of the tensor cores' rate by `mma.sync`;"""
            for c in CARDS
        ),
        "instructions as in PTX, a rounding to tf32 counted twice, as ptxas writes it: machine code has some fewer.",
    )


def falsified(models: dict[tuple[str, str], Model]) -> Iterator[str]:
    h100, name = models[CARDS[1].name, "bf16"], "gemm_bf16_nt_128"
    needed = h100.peak * h100.card.mma / 2 * h100.counted["loops"][name]["copied_bytes"]
    yield "\n**What would prove it wrong.**\n"
    yield points(
        f"""`{name}` at {h100.card.mma:.0%} of an H100's tensor cores takes {needed / 1e12:.1f} TB/s from L2, of
        {h100.card.l2 * h100.card.clock / 1e12:.1f} assumed. If L2 gives half of that, products there take up to twice
        as long, and only larger tiles help.""",
        "Attention is as fast with dropout as without: then issue slots do not bind it.",
        "On an H100 products of float32 are as fast in NN as in NT: then issue slots do not bind them.",
        """Weight gradients of 144 tiles reach the share of those of 108 on an A100: then waves do not count as they do
        here.""",
        "On an H100 tiles of 64 beat tiles of 128 where the table has 64: here they are the slower choice.",
        """A kernel is off by more than a quarter, or a step by more than a fifth with a full queue: an assumption is
        wrong. Nsight Compute names the resource (tensor, issue, `l1tex`, `lts`), and bank conflicts, of which there are
        to be none.""",
        "A timeline has gaps: the host takes longer for a launch than the last column of the first table has.",
    )


def tables(counted: dict[str, Any]) -> Iterator[str]:
    models = {(c.name, p): Model(c, p, counted) for p in MATH for c in CARDS}
    steps = {key: m.step() for key, m in models.items()}
    flops = 6.0 * LAYERS * T * (4 * D * D + 2 * D * FF + 2 * LENGTH * D)

    yield from preamble()
    yield text("""**The step.** Roofline: each kernel at its data sheet's limit, launches for nothing. Host: the time
        that a launch may take Python before the device waits for it.""")
    yield show(
        "card", "precision", "launches", "ms", "ms, queue dry", "roofline ms", "of it", "TF/s", "of peak", "host us"
    )
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for (card, precision), kernels in steps.items():
        m = models[card, precision]
        t, r = total(kernels), roofline(m, kernels)
        n = sum(k.launches for k in kernels)
        yield show(
            card, precision, n, f"{t * 1e3:.1f}", f"{total(kernels, DRY) * 1e3:.1f}", f"{r * 1e3:.1f}", f"{r / t:.0%}",
            f"{flops / t / 1e12:.0f}", f"{flops / t / m.peak:.0%}", f"{t / n * 1e6:.0f}",
        )  # fmt: skip

    yield "\n**Where it goes** (ms of the step, launch gaps included).\n"
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

    yield "\n" + text("""**Kernels** (a launch). Share: of what the data sheet allows for its operations or its bytes,
        whichever takes longer. Blocks: how much of all multiprocessors' time they fill where the busiest has no pause.
        What moves float32 is in each precision.""")
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

    yield "\n**Main loops** (as counted, in PTX; a unit is a multiply-add, of attention a score).\n"
    yield show(
        "kernel", "registers 80 / 90", "shared KB", "blocks 80 / 90", "HMMA or FFMA of issued", "issued a unit x 1000",
        "B shared a unit", "B copied a unit",
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
