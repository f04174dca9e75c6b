"""Texts as bags of words: EmbeddingBag with offsets, collate_fn, random_split, clipping, StepLR."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data.dataset import random_split

DATA = [(1 + i % 3, " ".join(str((i * k + k) % 23) for k in range(1, 4 + i % 4))) for i in range(30)]


class TextClassificationModel(nn.Module):
    def __init__(self, vocab_size=25, embed_dim=8, num_class=3):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, sparse=False)
        self.fc = nn.Linear(embed_dim, num_class)
        self.init_weights()

    def init_weights(self):
        initrange = 0.5
        self.embedding.weight.data.uniform_(-initrange, initrange)
        self.fc.weight.data.uniform_(-initrange, initrange)
        self.fc.bias.data.zero_()

    def forward(self, text, offsets):
        return self.fc(self.embedding(text, offsets))


def collate_batch(batch):
    label_list, text_list, offsets = [], [], [0]
    for _label, _text in batch:
        label_list.append(int(_label) - 1)
        processed_text = torch.tensor([int(t) for t in _text.split()], dtype=torch.int64)
        text_list.append(processed_text)
        offsets.append(processed_text.size(0))
    label_list = torch.tensor(label_list, dtype=torch.int64)
    offsets = torch.tensor(offsets[:-1]).cumsum(dim=0)
    return label_list.to("cpu"), torch.cat(text_list).to("cpu"), offsets.to("cpu")


def evaluate(model, loader):
    model.eval()
    total_acc, total_count = 0, 0
    with torch.no_grad():
        for label, text, offsets in loader:
            predicted = model(text, offsets)
            total_acc += (predicted.argmax(1) == label).sum().item()
            total_count += label.size(0)
    return total_acc / total_count


def build():
    return TextClassificationModel()


def run(model):
    started = time.time()
    train_part, valid_part = random_split(DATA, [24, 6], generator=torch.Generator().manual_seed(0))
    loader = DataLoader(DATA, batch_size=6, shuffle=False, collate_fn=collate_batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1.0, gamma=0.1)
    for _ in range(3):
        model.train()
        for label, text, offsets in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(text, offsets), label)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
        scheduler.step()
    assert time.time() >= started
    return {
        "loss": loss,
        "accuracy": evaluate(model, loader),
        "lr": scheduler.get_last_lr(),
        "parts": [len(train_part), len(valid_part), sorted([*train_part.indices, *valid_part.indices])],
    }
