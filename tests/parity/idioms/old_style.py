"""Scripts from before PyTorch 0.4: Variable, typed constructors from sizes, softmax without dim, averages by size_average."""

import warnings

import torch
import torch.autograd as autograd
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Variable

Tensor = torch.cuda.FloatTensor if torch.cuda.is_available() and False else torch.FloatTensor


def build():
    return nn.Linear(4, 3)


def run(model):
    x = Variable(torch.linspace(-1, 1, 8).view(2, 4), requires_grad=True)
    h = model(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = F.softmax(h)
        first = F.log_softmax(h.view(1, 2, 3))
        layer = nn.Softmax()(h.view(2, 1, 1, 3))
        old = F.mse_loss(h, Variable(torch.ones(2, 3)), size_average=False)
    noise = Tensor(h.size()).normal_()
    whole = torch.Tensor(h.size()).zero_()
    std = h.mul(0.5).exp_()
    autograd.backward([old, std.sum()], [None, None])
    correct, total = (h.max(1)[1] == 0).sum(), h.size(0)
    return {
        "rows": rows,
        "first": first,
        "layer": layer,
        "grads": [x.grad, model.weight.grad],
        "shapes": [tuple(noise.size()), tuple(whole.size()), tuple(torch.LongTensor(torch.Size([2, 2])).size())],
        "kinds": [
            isinstance(x, Variable),
            isinstance(h, Variable),
            isinstance(h.data, torch.Tensor),
            isinstance(3, Variable),
        ],
        "types": [isinstance(whole, torch.FloatTensor), isinstance(whole, torch.cuda.FloatTensor)],
        "words": [
            f"Accuracy: {100 * correct / total} %",
            f"{torch.tensor(3)} of {torch.tensor(True)}",
            f"{old:.2f}",
        ],
    }
