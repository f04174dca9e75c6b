"""A mixture of experts: top-k gates, tokens sent to experts and added back by index, a loss that balances."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Expert(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.w1, self.w2, self.w3 = (
            nn.Linear(dim, 12, bias=False),
            nn.Linear(12, dim, bias=False),
            nn.Linear(dim, 12, bias=False),
        )

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Mixture(nn.Module):
    def __init__(self, dim=6, experts=4, top_k=2):
        super().__init__()
        self.gate, self.top_k, self.num_experts = nn.Linear(dim, experts, bias=False), top_k, experts
        self.experts = nn.ModuleList(Expert(dim) for _ in range(experts))

    def forward(self, hidden):
        batch, length, dim = hidden.shape
        hidden = hidden.view(-1, dim)
        logits = self.gate(hidden)
        weights = F.softmax(logits, dim=1, dtype=torch.float)
        weights, selected = torch.topk(weights, self.top_k, dim=-1)
        weights /= weights.sum(dim=-1, keepdim=True)
        final = torch.zeros((batch * length, dim), dtype=hidden.dtype, device=hidden.device)
        expert_mask = F.one_hot(selected, num_classes=self.num_experts).permute(2, 1, 0)
        for i, expert in enumerate(self.experts):
            idx, top_x = torch.where(expert_mask[i])
            if top_x.numel() == 0:
                continue
            current = expert(hidden[None, top_x].reshape(-1, dim)) * weights[top_x, idx, None]
            final.index_add_(0, top_x, current.to(hidden.dtype))
        return final.reshape(batch, length, dim), logits, selected


def balance(logits, selected, num_experts):
    probs = logits.softmax(dim=-1)
    tokens = torch.bincount(selected.flatten(), minlength=num_experts).float() / selected.numel()
    return num_experts * (tokens * probs.mean(0)).sum(), tokens


def build():
    return Mixture()


def run(model):
    x = torch.linspace(-3, 3, 2 * 5 * 6).view(2, 5, 6).cos()
    out, logits, selected = model(x)
    loss, tokens = balance(logits, selected, 4)
    (out.pow(2).mean() + 0.01 * loss).backward()
    order = torch.argsort(selected.flatten(), stable=True)
    return {
        "out": out,
        "selected": selected,
        "tokens": tokens,
        "gate": model.gate.weight.grad,
        "order": order,
        "dense": torch.zeros(10, 4).scatter_(1, selected, 1.0),
        "values": torch.sort(logits.detach(), dim=1, descending=True).values,
    }
