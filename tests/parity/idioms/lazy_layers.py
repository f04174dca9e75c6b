"""Layers that learn their input size from the first call, initialised afterwards; hooks that see keyword arguments."""

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, hidden, out):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(hidden), nn.ReLU(), nn.LazyLinear(out, bias=False))
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, x, scale=1.0):
        return self.net(x) * scale

    def __getattr__(self, name):
        if name == "width":
            return self.net[1].out_features
        return super().__getattr__(name)


def start(module):
    if type(module) is nn.Linear:
        nn.init.constant_(module.weight, 0.02)


def build():
    model = Block(6, 3)
    model(torch.zeros(2, 3, 4))
    model.apply(start)
    return model


def run(model):
    fresh = Block(6, 3)
    before = [type(m).__name__ for m in fresh.net]
    lazy = [isinstance(p, nn.UninitializedParameter) for p in fresh.parameters()]
    optimizer = torch.optim.SGD(fresh.parameters(), lr=0.1)
    fresh.load_state_dict(model.state_dict())
    wrapped = nn.DataParallel(fresh)
    x = torch.linspace(-1, 1, 24).view(2, 3, 4)
    seen = []

    def double(module, args, kwargs):
        seen.append(("pre", sorted(kwargs)))
        return args, {"scale": kwargs["scale"] * 2}

    def note(module, args, kwargs, output):
        seen.append(("post", kwargs["scale"]))

    def first(module, args, output):
        seen.append(("first", len(args)))

    handles = [
        fresh.register_forward_pre_hook(double, with_kwargs=True),
        fresh.register_forward_hook(note, with_kwargs=True),
        fresh.register_forward_hook(first, prepend=True),
    ]
    out = wrapped(x, scale=1.5)
    out.pow(2).sum().backward()
    optimizer.step()
    for handle in handles:
        handle.remove()
    try:
        missing = fresh.nothing
    except AttributeError:
        missing = "AttributeError"
    return {
        "before": before,
        "lazy": lazy,
        "after": [type(m).__name__ for m in fresh.net],
        "out": out,
        "stepped": fresh(x),
        "seen": [str(s) for s in seen],
        "names": list(wrapped.state_dict()),
        "sizes": [fresh.width, fresh.net[1].in_features, fresh.get_buffer("steps").item()],
        "missing": missing,
        "inner": wrapped.module is fresh,
    }
