"""d2l's masked softmax, additive and scaled attention, and its masked loss."""

import math

import torch
from torch import nn


def sequence_mask(X, valid_len, value=0):
    maxlen = X.size(1)
    mask = torch.arange((maxlen), dtype=torch.float32, device=X.device)[None, :] < valid_len[:, None]
    X[~mask] = value
    return X


def masked_softmax(X, valid_lens):
    if valid_lens is None:
        return nn.functional.softmax(X, dim=-1)
    shape = X.shape
    if valid_lens.dim() == 1:
        valid_lens = torch.repeat_interleave(valid_lens, shape[1])
    else:
        valid_lens = valid_lens.reshape(-1)
    X = sequence_mask(X.reshape(-1, shape[-1]), valid_lens, value=-1e6)
    return nn.functional.softmax(X.reshape(shape), dim=-1)


class AdditiveAttention(nn.Module):
    def __init__(self, num_hiddens):
        super().__init__()
        self.W_k, self.W_q = nn.Linear(6, num_hiddens, bias=False), nn.Linear(5, num_hiddens, bias=False)
        self.w_v = nn.Linear(num_hiddens, 1, bias=False)

    def forward(self, queries, keys, values, valid_lens):
        queries, keys = self.W_q(queries), self.W_k(keys)
        features = torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1))
        self.attention_weights = masked_softmax(self.w_v(features).squeeze(-1), valid_lens)
        return torch.bmm(self.attention_weights, values)


class DotProductAttention(nn.Module):
    def __init__(self, dropout, num_heads=None):
        super().__init__()
        self.dropout, self.num_heads = nn.Dropout(dropout), num_heads

    def forward(self, queries, keys, values, valid_lens=None):
        d = queries.shape[-1]
        scores = torch.bmm(queries, keys.transpose(1, 2)) / math.sqrt(d)
        self.attention_weights = masked_softmax(scores, valid_lens)
        return torch.bmm(self.dropout(self.attention_weights), values)


class MaskedSoftmaxCELoss(nn.CrossEntropyLoss):
    def forward(self, pred, label, valid_len):
        weights = sequence_mask(torch.ones_like(label), valid_len)
        self.reduction = "none"
        unweighted_loss = super().forward(pred.permute(0, 2, 1), label)
        return (unweighted_loss * weights).mean(dim=1)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.additive, self.dot, self.proj = AdditiveAttention(8), DotProductAttention(0.0), nn.Linear(5, 6)


def build():
    return Model()


def run(model):
    queries = torch.linspace(-1, 1, 2 * 3 * 5).reshape(2, 3, 5)
    keys = torch.linspace(0, 3, 2 * 4 * 6).reshape(2, 4, 6).sin()
    values = torch.arange(40, dtype=torch.float32).reshape(1, 10, 4)[:, :4].repeat(2, 1, 1)
    valid_lens = torch.tensor([2, 3])
    added = model.additive(queries, keys, values, valid_lens)
    dotted = model.dot(model.proj(queries), keys, values, valid_lens)
    loss = MaskedSoftmaxCELoss()(added, torch.ones((2, 3), dtype=torch.long), torch.tensor([3, 1]))
    (loss.sum() + dotted.mean()).backward()
    return {
        "added": added,
        "dotted": dotted,
        "loss": loss,
        "grad": [p.grad for p in model.parameters()],
        "masked": masked_softmax(torch.ones(2, 2, 4), torch.tensor([[1, 3], [2, 4]])),
    }
