"""Functions with gradients of their own, hooks on tensors and modules, and gradients taken by hand."""

import torch
from torch import nn
from torch.autograd import Function


class StraightThrough(Function):
    @staticmethod
    def forward(ctx, x, levels):
        ctx.levels = levels
        ctx.save_for_backward(x)
        return torch.round(x * levels) / levels

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[x.abs() > 1] = 0
        return grad_input, None


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x * weight

    @staticmethod
    def backward(ctx, grad_output):
        x, weight = ctx.saved_tensors
        grad_x = grad_output * weight if ctx.needs_input_grad[0] else None
        grad_weight = (grad_output * x).sum(0) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight


quantize = StraightThrough.apply


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.scale = nn.Linear(4, 4), nn.Parameter(torch.ones(4))
        self.register_parameter("unused", None)

    def forward(self, x):
        return Scale.apply(quantize(self.inner(x), 8), self.scale)


def build():
    return Net()


def run(model):
    seen = {}
    model.inner.register_forward_hook(lambda module, args, output: seen.update(out=output.detach().clone()))
    model.inner.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    handle = model.inner.register_full_backward_hook(lambda module, gi, go: seen.update(back=go[0].clone()))
    x = torch.linspace(-1, 1, 12).view(3, 4).requires_grad_()
    out = model(x)
    out.register_hook(lambda grad: grad * 3)
    out.sum().backward()
    handle.remove()
    first, second = torch.autograd.grad(model(x).pow(2).sum(), [x, model.scale])
    with torch.enable_grad():
        v = torch.ones(3, requires_grad=True)
    y = v * 2
    while y.data.norm() < 100:
        y = y * 2
    y.backward(torch.tensor([0.1, 1.0, 0.0001]))
    return {
        "out": out,
        "seen": [seen["out"], seen["back"]],
        "x": x.grad,
        "weights": model.inner.weight.grad,
        "grads": [first, second],
        "v": v.grad,
        "leaf": [x.is_leaf, out.is_leaf, out.grad_fn is not None],
    }
