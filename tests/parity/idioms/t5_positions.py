"""Relative positions in buckets of logarithmic width, ALiBi slopes, and windows of a sequence."""

import math

import torch
from torch import nn


def relative_position_bucket(relative_position, bidirectional=True, num_buckets=8, max_distance=20):
    relative_buckets = 0
    if bidirectional:
        num_buckets //= 2
        relative_buckets += (relative_position > 0).to(torch.long) * num_buckets
        relative_position = torch.abs(relative_position)
    else:
        relative_position = -torch.min(relative_position, torch.zeros_like(relative_position))
    max_exact = num_buckets // 2
    is_small = relative_position < max_exact
    if_large = max_exact + (
        torch.log(relative_position.float() / max_exact)
        / math.log(max_distance / max_exact)
        * (num_buckets - max_exact)
    ).to(torch.long)
    if_large = torch.min(if_large, torch.full_like(if_large, num_buckets - 1))
    relative_buckets += torch.where(is_small, relative_position, if_large)
    return relative_buckets


class Bias(nn.Module):
    def __init__(self, heads=2):
        super().__init__()
        self.relative_attention_bias, self.heads = nn.Embedding(8, heads), heads

    def forward(self, query_length, key_length):
        context = torch.arange(query_length, dtype=torch.long)[:, None]
        memory = torch.arange(key_length, dtype=torch.long)[None, :]
        buckets = relative_position_bucket(memory - context)
        return self.relative_attention_bias(buckets).permute([2, 0, 1]).unsqueeze(0), buckets

    def alibi(self, length):
        slopes = torch.tensor([2 ** (-8 * (i + 1) / self.heads) for i in range(self.heads)])
        distance = torch.arange(length).view(1, 1, length) - torch.arange(length).view(1, length, 1)
        return slopes.view(self.heads, 1, 1) * -distance.abs()


def build():
    return Bias()


def run(model):
    values, buckets = model(7, 9)
    scores = torch.zeros(1, 2, 7, 9)
    scores += values
    scores = scores.float().softmax(-1)
    scores[..., 0].sum().backward()
    sequence = torch.arange(12.0).view(1, 12)
    windows = sequence.unfold(1, 4, 2)
    band = torch.ones(7, 7, dtype=torch.bool).tril(2).logical_and(torch.ones(7, 7, dtype=torch.bool).triu(-1))
    rows, cols = torch.tril_indices(4, 4, offset=-1)
    return {
        "buckets": buckets,
        "one way": relative_position_bucket(torch.arange(-5, 5), bidirectional=False),
        "scores": scores,
        "grad": model.relative_attention_bias.weight.grad,
        "alibi": model.alibi(4),
        "windows": windows,
        "band": band,
        "lower": torch.arange(16).view(4, 4)[rows, cols],
        "diagonal": torch.diagonal(torch.arange(16).view(4, 4), offset=1),
    }
