"""makemore, first part: bigrams as counts, broadcast division, and the same as one layer trained by hand."""

import itertools

import torch
import torch.nn.functional as F

WORDS = ["emma", "olivia", "ava", "isabella", "sophia", "mia", "amelia"]


def run(_):
    chars = sorted(set("".join(WORDS)))
    stoi = {s: i + 1 for i, s in enumerate(chars)}
    stoi["."] = 0
    size = len(stoi)
    N = torch.zeros((size, size), dtype=torch.int32)
    xs, ys = [], []
    for w in WORDS:
        chs = [".", *list(w), "."]
        for ch1, ch2 in itertools.pairwise(chs):
            N[stoi[ch1], stoi[ch2]] += 1
            xs.append(stoi[ch1])
            ys.append(stoi[ch2])
    P = (N + 1).float()
    P /= P.sum(1, keepdim=True)
    xs, ys = torch.tensor(xs), torch.tensor(ys)
    nll = -torch.log(P[xs, ys]).mean()

    g = torch.Generator().manual_seed(2147483647)
    drawn = torch.multinomial(P[0], num_samples=5, replacement=True, generator=g)
    num = xs.nelement()
    W = torch.zeros((size, size), requires_grad=True)
    for _ in range(10):
        xenc = F.one_hot(xs, num_classes=size).float()
        logits = xenc @ W
        counts = logits.exp()
        probs = counts / counts.sum(1, keepdims=True)
        loss = -probs[torch.arange(num), ys].log().mean() + 0.01 * (W**2).mean()
        W.grad = None
        loss.backward()
        W.data += -50 * W.grad
    return {"counts": N, "nll": nll.item(), "loss": loss.item(), "weights": W, "drawn": tuple(drawn.shape)}
