"""Layers as libraries write them: marks for the compiler, hooks that know keyword arguments, states that are renamed when loaded."""

from collections import OrderedDict

import torch
import torch.fx
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.utils import _pair
from torch.nn.utils.rnn import pad_sequence, unpad_sequence


@torch.fx.wrap
def drop_path(x, p: float = 0.0, training: bool = False):
    if p == 0.0 or not training:
        return x
    keep = 1 - p
    return x * x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep).div_(keep)


class Attention(nn.Module):
    fused: torch.jit.Final[bool]

    def __init__(self, size, heads):
        super().__init__()
        self.heads, self.fused = heads, True
        self.qkv, self.out = nn.Linear(size, size * 3), nn.Linear(size, size)
        self.scale = nn.Buffer(torch.full((1,), 0.5), persistent=False)

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        for name in ("weight", "bias"):
            if f"{prefix}in_proj.{name}" in state_dict:
                state_dict[f"{prefix}qkv.{name}"] = state_dict.pop(f"{prefix}in_proj.{name}")
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, x, *, mask=None):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        if torch.jit.is_scripting() or not self.fused:
            raise NotImplementedError
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return drop_path(self.out(y.transpose(1, 2).reshape(b, n, c)) * self.scale, 0.0, self.training)


def build():
    model = nn.Sequential(OrderedDict(first=Attention(8, 2), second=Attention(8, 4)))
    fan_in, _ = nn.init._calculate_fan_in_and_fan_out(model.first.qkv.weight)
    nn.init.trunc_normal_(model.first.qkv.weight, std=fan_in**-0.5)
    nn.init.orthogonal_(model.second.out.weight, gain=2.0)
    return model


def run(model):
    w = model.second.out.weight.detach()
    orthogonal = w @ w.T
    x = torch.linspace(-1, 1, 48).reshape(2, 3, 8).requires_grad_()
    seen = []
    first = model.first.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {**kwargs, "mask": mask}), with_kwargs=True
    )
    last = model.first.register_forward_hook(lambda m, a, k, out: seen.append(sorted(k)) or out * 2, with_kwargs=True)
    front = model.first.register_forward_hook(lambda m, a, out: seen.append(list(out.shape)), prepend=True)
    mask = torch.ones(3, 3, dtype=torch.bool).tril()
    y = model(x)
    y.square().sum().backward()
    for handle in (first, last, front):
        handle.remove()
    older = OrderedDict((k.replace("qkv", "in_proj"), v.clone()) for k, v in model.state_dict().items())
    hook = model._register_load_state_dict_pre_hook(lambda state, prefix, *rest: state.pop("extra", None))
    loaded = model.load_state_dict({**older, "extra": x.detach()}, assign=True)
    hook.remove()
    collected = {}
    model.first.state_dict(destination=collected, prefix="model.")
    empty = model.load_state_dict({}, strict=False)
    sequences = [torch.arange(3.0), torch.arange(1.0)]
    padded = pad_sequence(sequences, batch_first=True, padding_value=-1)
    back = unpad_sequence(padded, torch.tensor([3, 1]), batch_first=True)
    draws = torch.empty(2000).exponential_(2.0)
    return {
        "y": y, "dx": x.grad, "seen": seen, "orthogonal": orthogonal, "keys": sorted(model.state_dict()), "again": model(x),
        "missing": [list(loaded.missing_keys), sorted(empty.missing_keys)], "collected": sorted(collected),
        "padded": padded, "back": back, "pair": [_pair(3), _pair((1, 2))], "mean": abs(draws.mean().item() - 0.5) < 0.1,
        "product": torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4, 5])), "diag": torch.block_diag(mask[:2, :2], mask),
        "buffers": [n for n, _ in model.named_buffers()], "nonnegative": bool((draws > 0).all()),
    }  # fmt: skip
