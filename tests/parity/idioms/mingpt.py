"""minGPT: its GELU, a data set that sorts numbers, and a trainer that samples with replacement and has callbacks."""

import math
from collections import defaultdict

import torch
import torch.nn as nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from torch.utils.data.dataloader import DataLoader


class NewGELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


class SortDataset(Dataset):
    def __init__(self, length=4, num_digits=3):
        self.length, self.num_digits = length, num_digits

    def __len__(self):
        return 64

    def __getitem__(self, idx):
        inp = torch.tensor(
            [(idx // self.num_digits**i) % self.num_digits for i in range(self.length)], dtype=torch.long
        )
        sol = torch.sort(inp)[0]
        cat = torch.cat((inp, sol), dim=0)
        x, y = cat[:-1].clone(), cat[1:].clone()
        y[: self.length - 1] = -1
        return x, y


class Model(nn.Module):
    def __init__(self, vocab=3, width=12):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 24), "act": NewGELU(), "c_proj": nn.Linear(24, vocab)})
        m = self.mlp
        self.mlpf = lambda x: m.c_proj(m.act(m.c_fc(x)))

    def forward(self, idx, targets=None):
        logits = self.mlpf(self.embed(idx).cumsum(1))
        loss = None
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss


class Trainer:
    def __init__(self, model, dataset):
        self.model, self.dataset, self.optimizer = model, dataset, None
        self.callbacks = defaultdict(list)

    def add_callback(self, onevent, callback):
        self.callbacks[onevent].append(callback)

    def trigger_callbacks(self, onevent):
        for callback in self.callbacks.get(onevent, []):
            callback(self)

    def run(self, steps):
        loader = DataLoader(
            self.dataset,
            sampler=torch.utils.data.SequentialSampler(self.dataset),
            shuffle=False,
            pin_memory=False,
            batch_size=16,
            num_workers=0,
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3, betas=(0.9, 0.95))
        self.model.train()
        data_iter = iter(loader)
        for _ in range(steps):
            try:
                batch = next(data_iter)
            except StopIteration:
                data_iter = iter(loader)
                batch = next(data_iter)
            x, y = [t.to("cpu") for t in batch]
            _, self.loss = self.model(x, y)
            self.model.zero_grad(set_to_none=True)
            self.loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.trigger_callbacks("on_batch_end")


def build():
    return Model()


def run(model):
    losses = []
    trainer = Trainer(model, SortDataset())
    trainer.add_callback("on_batch_end", lambda t: losses.append(t.loss.item()))
    trainer.run(6)
    sampler = torch.utils.data.RandomSampler(trainer.dataset, replacement=True, num_samples=int(1e3))
    return {"losses": losses, "drawn": len(sampler)}
