"""The video lecture's bigram.py and gpt.py: batches of a text, an estimate of the loss without gradients, heads."""

import torch
import torch.nn as nn
from torch.nn import functional as F

TEXT = "First Citizen: Before we proceed any further, hear me speak. All: Speak, speak. " * 8
chars = sorted(set(TEXT))
stoi = {ch: i for i, ch in enumerate(chars)}
itos = dict(enumerate(chars))
block_size, n_embd, eval_iters = 8, 16, 3
device = "cpu"

data = torch.tensor([stoi[c] for c in TEXT], dtype=torch.long)
n = int(0.9 * len(data))
train_data, val_data = data[:n], data[n:]


def get_batch(split, step):
    source = train_data if split == "train" else val_data
    ix = (torch.arange(4) * 13 + step) % (len(source) - block_size)
    x = torch.stack([source[i : i + block_size] for i in ix])
    y = torch.stack([source[i + 1 : i + block_size + 1] for i in ix])
    return x.to(device), y.to(device)


@torch.no_grad()
def estimate_loss(model):
    out = {}
    model.eval()
    for split in ["train", "val"]:
        losses = torch.zeros(eval_iters)
        for k in range(eval_iters):
            _, loss = model(*get_batch(split, k))
            losses[k] = loss.item()
        out[split] = losses.mean()
    model.train()
    return out


class Head(nn.Module):
    def __init__(self, head_size):
        super().__init__()
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)
        self.register_buffer("tril", torch.tril(torch.ones(block_size, block_size)))

    def forward(self, x):
        _, T, _ = x.shape
        k, q = self.key(x), self.query(x)
        wei = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
        wei = wei.masked_fill(self.tril[:T, :T] == 0, float("-inf"))
        return F.softmax(wei, dim=-1) @ self.value(x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embedding_table = nn.Embedding(len(chars), n_embd)
        self.position_embedding_table = nn.Embedding(block_size, n_embd)
        self.heads = nn.ModuleList([Head(n_embd // 2) for _ in range(2)])
        self.ffwd = nn.Sequential(
            nn.Linear(n_embd, 4 * n_embd), nn.ReLU(), nn.Linear(4 * n_embd, n_embd), nn.Dropout(0.0)
        )
        self.ln_f = nn.LayerNorm(n_embd)
        self.lm_head = nn.Linear(n_embd, len(chars))

    def forward(self, idx, targets=None):
        _, T = idx.shape
        x = self.token_embedding_table(idx) + self.position_embedding_table(torch.arange(T, device=device))
        x = x + torch.cat([h(x) for h in self.heads], dim=-1)
        logits = self.lm_head(self.ln_f(x + self.ffwd(x)))
        if targets is None:
            return logits, None
        B, T, C = logits.shape
        return logits, F.cross_entropy(logits.view(B * T, C), targets.view(B * T))

    def generate(self, idx, max_new_tokens):
        for _ in range(max_new_tokens):
            logits, _ = self(idx[:, -block_size:])
            probs = F.softmax(logits[:, -1, :] * 1e4, dim=-1)
            idx = torch.cat((idx, torch.multinomial(probs, num_samples=1)), dim=1)
        return idx


def build():
    torch.manual_seed(1337)
    return Model().to(device)


def run(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(5):
        _, loss = model(*get_batch("train", step))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    context = torch.zeros((1, 1), dtype=torch.long, device=device)
    text = "".join(itos[i] for i in model.generate(context, max_new_tokens=12)[0].tolist())
    return {"estimates": estimate_loss(model), "text": text, "parameters": sum(p.numel() for p in model.parameters())}
