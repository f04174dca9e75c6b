"""Contrastive losses: NT-Xent by a similarity matrix, triplets, cosine similarity, pairs with a margin."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Projector(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 12), nn.ReLU(inplace=True), nn.Linear(12, 5))

    def forward(self, x):
        return F.normalize(self.layers(x), dim=1)


def nt_xent(z1, z2, temperature=0.5):
    n = z1.shape[0]
    z = torch.cat([z1, z2], dim=0)
    sim = torch.mm(z, z.t().contiguous()) / temperature
    mask = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    sim.masked_fill_(mask, float("-inf"))
    targets = torch.arange(2 * n).roll(n)
    return F.cross_entropy(sim, targets)


def pair_loss(a, b, label, margin=1.0):
    distance = F.pairwise_distance(a, b, keepdim=True)
    return torch.mean(
        (1 - label) * torch.pow(distance, 2) + label * torch.pow(torch.clamp(margin - distance, min=0.0), 2)
    )


def build():
    return Projector()


def run(model):
    x = torch.linspace(-2, 2, 8 * 6).view(8, 6).sin()
    z1, z2 = model(x), model(x.flip(0) + 0.1)
    label = torch.tensor([0.0, 1.0]).repeat(4).unsqueeze(1)
    losses = [
        nt_xent(z1, z2),
        pair_loss(z1, z2, label),
        nn.TripletMarginLoss(margin=1.0, p=2)(z1, z2, z1.roll(1, dims=0)),
        F.cosine_embedding_loss(z1, z2, label.squeeze(1) * 2 - 1),
        (1 - F.cosine_similarity(z1, z2, dim=-1)).mean(),
        nn.MarginRankingLoss(0.2)(z1[:, 0], z2[:, 0], torch.ones(8)),
    ]
    torch.stack(losses).sum().backward()
    return {
        "losses": losses,
        "grads": [p.grad for p in model.parameters()],
        "nearest": torch.cdist(z1, z2).argmin(dim=1),
        "ranks": (z1 @ z2.T).argsort(dim=1, descending=True)[:, :3],
    }
