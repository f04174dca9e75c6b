"""A polynomial fitted with smooth L1: features by powers, a matrix product, an update through `.data`."""

from itertools import count

import torch
import torch.nn.functional as F

POLY_DEGREE = 4
W_target = torch.linspace(-3, 3, POLY_DEGREE).unsqueeze(1)
b_target = torch.tensor([2.5])


def make_features(x):
    x = x.unsqueeze(1)
    return torch.cat([x**i for i in range(1, POLY_DEGREE + 1)], 1)


def f(x):
    return x.mm(W_target) + b_target.item()


def poly_desc(W, b):
    result = "y = "
    for i, w in enumerate(W):
        result += f"{w:+.2f} x^{i + 1} "
    return result + f"{b[0]:+.2f}"


def get_batch(step):
    x = make_features(torch.linspace(-1, 1, 32) * (1 + 0.1 * (step % 3)))
    return x, f(x)


def build():
    return torch.nn.Linear(W_target.size(0), 1)


def run(fc):
    for batch_idx in count(1):
        batch_x, batch_y = get_batch(batch_idx)
        fc.zero_grad()
        output = F.smooth_l1_loss(fc(batch_x), batch_y)
        loss = output.item()
        output.backward()
        for param in fc.parameters():
            param.data.add_(-0.1 * param.grad)
        if loss < 1e-3 or batch_idx == 20:
            break
    return {
        "loss": loss,
        "learned": poly_desc(fc.weight.view(-1), fc.bias),
        "actual": poly_desc(W_target.view(-1), b_target),
    }
