"""Public code of PyTorch's first years: Variable, init without underscores, typed tensors of rows, hooks and optimizers by hand."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.init as init
from torch.autograd import Variable
from torch.nn.modules.loss import _Loss
from torch.nn.parameter import Parameter
from torch.optim.optimizer import Optimizer


class Bottle(nn.Module):
    def forward(self, input):
        if len(input.size()) <= 2:
            return super().forward(input)
        size = input.size()[:2]
        return super().forward(input.view(size[0] * size[1], -1)).view(size[0], size[1], -1)


class BottleLinear(Bottle, nn.Linear):
    pass


class BottleSoftmax(Bottle, nn.Softmax):
    pass


class Heads(nn.Module):
    def __init__(self, heads, size):
        super().__init__()
        self.heads, self.temper = heads, np.power(size, 0.5)
        self.q, self.k = (Parameter(torch.FloatTensor(heads, size, 4)) for _ in range(2))
        self.softmax, self.project = BottleSoftmax(dim=-1), BottleLinear(size, 7, bias=False)
        self.project_out = nn.LogSoftmax(dim=1)
        init.xavier_normal(self.q)
        init.uniform(self.k, -0.5, 0.5)
        init.constant(self.project.weight, 0.1)

    def forward(self, x, mask):
        n, length, size = x.size()
        many = x.repeat(self.heads, 1, 1).view(self.heads, -1, size)
        q = torch.bmm(many, self.q).view(-1, length, 4)
        k = torch.bmm(many, self.k).view(-1, length, 4)
        scores = torch.bmm(q, k.transpose(1, 2)) / self.temper
        scores.data.masked_fill_(mask.repeat(self.heads, 1, 1), -float("inf"))
        attended = torch.bmm(self.softmax(scores), x.repeat(self.heads, 1, 1))
        first, _ = attended.split(split_size=[n, n * (self.heads - 1)], dim=0)
        return self.project_out(self.project(first).view(-1, 7))


class Summed(_Loss):
    def forward(self, input, target):
        return nn.NLLLoss(weight=torch.ones(7).index_fill_(0, torch.LongTensor([0]), 0), size_average=False)(
            input, target
        )


class Plain(Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.data.is_sparse:
                    raise RuntimeError("no sparse gradients")
                state = self.state[p]
                state.setdefault("mean", torch.zeros_like(p.data)).mul_(0.5).add_(p.grad.data, alpha=0.5)
                p.data.add_(state["mean"].sgn_() if p.dim() == 1 else state["mean"], alpha=-group["lr"])


def build():
    return Heads(2, 6)


def run(model):
    rows = [([1, 2, 3], [0, 0, 1], True), ([4, 5, 0], [0, 1, 1], False)]
    ids, segments, flags = map(torch.LongTensor, zip(*rows))
    table = torch.from_numpy(np.sin(np.arange(42)).reshape(7, 6)).type(torch.FloatTensor)
    x = Variable(nn.Embedding.from_pretrained(table)(ids), requires_grad=True)
    pad = ids.data.eq(0).unsqueeze(1).expand(2, 3, 3)
    future = torch.from_numpy(np.triu(np.ones((2, 3, 3)), k=1).astype("uint8"))
    mask = torch.gt(pad + future, 0)
    optimizer, losses = Plain(model.parameters(), 0.05), []
    for _ in range(3):
        optimizer.zero_grad()
        out = model(x, mask)
        loss = Summed()(out, ids.view(-1))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    correct = out.data.max(1)[1].eq(ids.view(-1)).masked_select(ids.view(-1).ne(0)).sum()
    kept = (out * 2).detach_()
    return {
        "losses": losses, "dx": x.grad, "out": out, "flags": flags, "segments": segments, "correct": correct,
        "variable": isinstance(x, Variable), "leaf": kept.is_leaf, "text": f"{loss:.4f} {100 * correct / 5:3.3}",
        "gain": init.calculate_gain("relu") / math.sqrt(2), "force": torch.from_numpy(out.numpy(force=True)),
    }  # fmt: skip
