"""How close engine's BERT is to that of `transformers`: hidden states, training losses and gradients, with MiniLM's weights. One
process has both libraries, so nothing is timed. `python -m bench --only parity` prints the figures that
tests/test_parity_bert.py asserts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from bench import finetune_data as data
from bench.builds import find
from bench.finetune import build, load, missing
from bench.protocol import Run, Table
from bench.sides import library

HIDDEN, LOSS, GRADIENT = 2e-5, 1e-3, 1e-3
STEPS, BATCH, LR = 100, 16, 2e-5
CHINESE = (
    "我的银行卡还没有寄到，请问什么时候能收到？",
    "今天天气怎么样？",
    "请把这首歌加入我的播放列表。",
    "我想在市中心预订一家四人的餐厅，最好靠近地铁站。",
    "转账失败了，但是钱已经从我的账户里扣掉了，我该怎么办？",
    "谢谢！",
    "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？",
    "我忘记了密码，怎样才能重新设置？",
    "這部電影的評分是五分中的四分。",
    "请播放一九九八年的老歌 with some jazz 和一点蓝调。",
    "为什么在国外取现要收手续费，汇率又是怎么算的？",
    "好",
    "中华人民共和国于一九四九年成立，首都是北京，人口超过十四亿。",
    "手机丢了，我的应用程序里还登录着账户，能不能马上帮我冻结？",
    "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。",
)


def sentences() -> list[str]:
    """200 texts of different lengths: questions, requests, Chinese, paragraphs of a licence up to the model's 512 tokens."""
    rng = np.random.default_rng(0)
    questions, _ = data.banking77("test")
    requests = [" ".join(words) for words, _, _ in zip(*data.snips("test"))]
    licence = (data.EXAMPLES / "banking77" / "LICENSE").read_text(encoding="utf-8")
    paragraphs = [" ".join(p.split()) for p in re.split(r"\n\s*\n", licence)]
    long = [*sorted((p for p in paragraphs if len(p) > 300), key=len)[-14:], " ".join(paragraphs)]
    picked = [questions[i] for i in rng.choice(len(questions), 120, replace=False)]
    picked += [requests[i] for i in rng.choice(len(requests), 50, replace=False)]
    texts = [*picked, *CHINESE, *long]
    return [texts[i] for i in rng.permutation(len(texts))]


def encode(texts: list[str], folder: Path, length: int = 512) -> list[np.ndarray]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(length)
    return [np.array(e.ids, np.int64) for e in tokenizer.encode_batch(texts)]


def hidden(folder: Path, ids: list[np.ndarray], size: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """The last hidden states (tokens of all texts, 384) of engine and of `transformers`, in batches of `size` texts."""
    import torch
    import transformers

    import engine
    from engine.models import BertModel

    PackedBatch = find("PackedBatch")

    ours, theirs = BertModel.from_pretrained(folder).eval(), transformers.BertModel.from_pretrained(folder).eval()
    found: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        with engine.no_grad():
            found[0].append(ours(PackedBatch.from_sequences(part)).last_hidden_state.numpy())
        rectangle, mask, _ = data.padded(data.Split(part, [np.zeros(1, np.int64)] * len(part), []), range(len(part)))
        with torch.inference_mode():
            states = theirs(torch.from_numpy(rectangle), torch.from_numpy(mask)).last_hidden_state
        found[1].append(states.numpy()[mask > 0])
    return np.concatenate(found[0]), np.concatenate(found[1])


def losses(side: str, task: data.Task, steps: int = STEPS) -> list[float]:
    """Losses of training without dropout by AdamW at a constant rate."""
    lib, F, _ = library(side)
    given = build(side, task, dropout=0.0)
    optimizer = lib.optim.AdamW(given.model.parameters(), lr=LR, weight_decay=0.01)
    order, found = np.random.default_rng(0).permutation(len(task.train)), []
    for step in range(steps):
        loss = F.cross_entropy(*given.logits(task.train, order[step * BATCH : (step + 1) * BATCH]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.item()))
    return found


def gradients(side: str, task: data.Task) -> dict[str, np.ndarray]:
    """The gradient of each parameter under the name `transformers` has for it, of one batch's loss without dropout."""
    _, F, _ = library(side)
    given = build(side, task, dropout=0.0)
    F.cross_entropy(*given.logits(task.train, range(BATCH))).backward()
    found: dict[str, np.ndarray] = {}
    for name, parameter in given.model.named_parameters():
        gradient = parameter.grad.numpy()
        if ".qkv." in name:
            for part, third in zip(("query", "key", "value"), np.split(gradient, 3)):
                found[name.replace("qkv", part)] = third
        else:
            found[name] = gradient
    return found


def gradient_errors(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, float]:
    """|ours - theirs| of each parameter, divided by the larger of its norm and 1e-5 of the global norm."""
    assert ours.keys() == theirs.keys(), sorted(ours.keys() ^ theirs.keys())
    norms = {name: float(np.linalg.norm(g.astype(np.float64))) for name, g in theirs.items()}
    least = 1e-5 * float(np.linalg.norm(list(norms.values())))
    return {
        name: float(np.linalg.norm(ours[name].astype(np.float64) - g)) / max(norms[name], least)
        for name, g in theirs.items()
    }


def loss_errors(ours: list[float], theirs: list[float]) -> np.ndarray:
    """|ours - theirs| / theirs, step by step."""
    return np.abs(np.array(ours) - theirs) / np.array(theirs)


def measure(side: str, steps: int) -> Any:
    """The worker's task: computes all figures."""
    folder = data.checkpoint()
    task = load("banking77")
    own, other = hidden(folder, encode(sentences(), folder))
    errors = gradient_errors(gradients("engine", task), gradients("torch", task))
    worst = max(errors, key=errors.__getitem__)
    followed = loss_errors(losses("engine", task, steps), losses("torch", task, steps))
    facts = {
        "tokens": len(own), "hidden": float(np.abs(own - other).max()), "gradient": errors[worst], "worst": worst,
        "loss": float(followed.max()),
    }  # fmt: skip
    return (lambda: None), facts


def run(run: Run) -> list[Table]:
    table = Table("Parity with transformers, from MiniLM's weights", "")
    worker = next((w for w in run.workers if w.side == "torch"), None)
    reason = missing() or ("PyTorch is not installed" if worker is None else None)
    if reason or worker is None:
        table.note("left out", str(reason))
        return [table]
    steps = 3 if run.quick else STEPS
    try:
        f = worker.ask(do="prepare", task="parity:measure", arguments={"steps": steps}, threads=run.threads)
    except RuntimeError as error:
        table.note("left out", str(error))
        return [table]
    for label, value, target in (
        (f"largest difference in {f['tokens']} last hidden states of 200 texts", f["hidden"], HIDDEN),
        (f"largest relative difference of the losses of {steps} steps", f["loss"], LOSS),
        (f"largest relative difference of a gradient ({f['worst']})", f["gradient"], GRADIENT),
    ):
        table.note(label, f"{value:.2g}", f"<= {target:.0e}", value <= target)
    return [table]
