"""BERT-pytorch: embeddings that subclass nn.Embedding, a mask by repeat, two heads with NLLLoss, a warm-up of its own."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import Adam


class PositionalEmbedding(nn.Module):
    def __init__(self, d_model, max_len=64):
        super().__init__()
        pe = torch.zeros(max_len, d_model).float()
        pe.require_grad = False
        position = torch.arange(0, max_len).float().unsqueeze(1)
        div_term = (torch.arange(0, d_model, 2).float() * -(math.log(10000.0) / d_model)).exp()
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe.unsqueeze(0))

    def forward(self, x):
        return self.pe[:, : x.size(1)]


class TokenEmbedding(nn.Embedding):
    def __init__(self, vocab_size, embed_size=16):
        super().__init__(vocab_size, embed_size, padding_idx=0)


class SegmentEmbedding(nn.Embedding):
    def __init__(self, embed_size=16):
        super().__init__(3, embed_size, padding_idx=0)


class GELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))))


class SublayerConnection(nn.Module):
    def __init__(self, size, dropout):
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(size), nn.Dropout(dropout)

    def forward(self, x, sublayer):
        return x + self.dropout(sublayer(self.norm(x)))


class Attention(nn.Module):
    def __init__(self, h, d_model):
        super().__init__()
        self.d_k, self.h = d_model // h, h
        self.linear_layers = nn.ModuleList([nn.Linear(d_model, d_model) for _ in range(3)])
        self.output_linear = nn.Linear(d_model, d_model)

    def forward(self, query, key, value, mask=None):
        size = query.size(0)
        query, key, value = [
            layer(x).view(size, -1, self.h, self.d_k).transpose(1, 2)
            for layer, x in zip(self.linear_layers, (query, key, value))
        ]
        scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(query.size(-1))
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        x = torch.matmul(F.softmax(scores, dim=-1), value)
        return self.output_linear(x.transpose(1, 2).contiguous().view(size, -1, self.h * self.d_k))


class BERT(nn.Module):
    def __init__(self, vocab_size=30, hidden=16):
        super().__init__()
        self.token, self.segment = TokenEmbedding(vocab_size, hidden), SegmentEmbedding(hidden)
        self.position = PositionalEmbedding(self.token.embedding_dim)
        self.attention = Attention(2, hidden)
        self.feed = nn.Sequential(nn.Linear(hidden, hidden * 4), GELU(), nn.Linear(hidden * 4, hidden))
        self.sublayers = nn.ModuleList([SublayerConnection(hidden, 0.0) for _ in range(2)])
        self.next_sentence, self.mask_lm = nn.Linear(hidden, 2), nn.Linear(hidden, vocab_size)
        self.softmax = nn.LogSoftmax(dim=-1)

    def forward(self, x, segment_info):
        mask = (x > 0).unsqueeze(1).repeat(1, x.size(1), 1).unsqueeze(1)
        x = self.token(x) + self.position(x) + self.segment(segment_info)
        x = self.sublayers[0](x, lambda _x: self.attention.forward(_x, _x, _x, mask=mask))
        x = self.sublayers[1](x, self.feed)
        return self.softmax(self.next_sentence(x[:, 0])), self.softmax(self.mask_lm(x))


class ScheduledOptim:
    def __init__(self, optimizer, d_model, n_warmup_steps):
        self._optimizer, self.n_warmup_steps, self.n_current_steps = optimizer, n_warmup_steps, 0
        self.init_lr = np.power(d_model, -0.5)

    def step_and_update_lr(self):
        self.n_current_steps += 1
        scale = np.min(
            [np.power(self.n_current_steps, -0.5), np.power(self.n_warmup_steps, -1.5) * self.n_current_steps]
        )
        for param_group in self._optimizer.param_groups:
            param_group["lr"] = self.init_lr * scale
        self._optimizer.step()

    def zero_grad(self):
        self._optimizer.zero_grad()


def build():
    return BERT()


def run(model):
    optim = ScheduledOptim(Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.999), weight_decay=0.01), 16, 20)
    criterion = nn.NLLLoss(ignore_index=0)
    data = {
        "bert_input": (torch.arange(36).view(4, 9) * 5) % 30,
        "segment_label": torch.ones(4, 9).long(),
        "bert_label": (torch.arange(36).view(4, 9) * 3) % 30,
        "is_next": torch.tensor([0, 1, 1, 0]),
    }
    data = {key: value.to("cpu") for key, value in data.items()}
    losses, correct = [], 0
    for _ in range(3):
        nxt, lm = model.forward(data["bert_input"], data["segment_label"])
        loss = criterion(nxt, data["is_next"]) + criterion(lm.transpose(1, 2), data["bert_label"])
        optim.zero_grad()
        loss.backward()
        optim.step_and_update_lr()
        losses.append(loss.item())
        correct += nxt.argmax(dim=-1).eq(data["is_next"]).sum().item()
    total = sum([p.nelement() for p in model.parameters()])
    return {"losses": losses, "correct": correct, "total": total}
