"""An MLP mixer with residuals, stochastic depth switched off, and an average of the weights beside the training."""

import copy
from functools import partial

import torch
from torch import nn


class PreNormResidual(nn.Module):
    def __init__(self, dim, fn):
        super().__init__()
        self.fn, self.norm = fn, nn.LayerNorm(dim)

    def forward(self, x):
        return self.fn(self.norm(x)) + x


class Tokens(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.transpose(1, 2)).transpose(1, 2)


def drop_path(x, drop_prob: float = 0.0, training: bool = False):
    if drop_prob == 0.0 or not training:
        return x
    keep_prob = 1 - drop_prob
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    random_tensor = keep_prob + torch.rand(shape, dtype=x.dtype, device=x.device)
    random_tensor.floor_()
    return x.div(keep_prob) * random_tensor


class EMA:
    def __init__(self, model, decay):
        self.module = copy.deepcopy(model)
        self.module.eval()
        self.module.requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model):
        for ema_v, model_v in zip(self.module.state_dict().values(), model.state_dict().values()):
            ema_v.copy_(self.decay * ema_v + (1.0 - self.decay) * model_v)
        for mine, theirs in zip(self.module.parameters(), model.parameters()):
            mine.lerp_(theirs, 0.01)
            mine.mul_(0.99).add_(theirs.data, alpha=0.01)


def feed_forward(dim, expansion=2, dense=nn.Linear):
    return nn.Sequential(dense(dim, dim * expansion), nn.GELU(), nn.Dropout(0.0), dense(dim * expansion, dim))


def build():
    parts = [
        PreNormResidual(8, Tokens(feed_forward(6, dense=partial(nn.Linear, bias=True)))),
        PreNormResidual(8, feed_forward(8)),
    ]
    return nn.Sequential(nn.Linear(5, 8), *parts, nn.LayerNorm(8))


def run(model):
    ema = EMA(model, 0.9)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-5)
    x = torch.linspace(-1, 1, 2 * 6 * 5).view(2, 6, 5).sin()
    for _ in range(3):
        optimizer.zero_grad()
        loss = drop_path(model(x), 0.1, training=False).mean(dim=1).softmax(-1)[:, 0].log().neg().mean()
        loss.backward()
        optimizer.step()
        ema.update(model)
    return {"loss": loss, "average": next(iter(ema.module.state_dict().values())), "out": ema.module(x).mean(1)}
