"""The XOR problem with BCELoss, activations of several kinds, and two schedules one after the other."""

import torch
import torch.nn as nn
import torch.optim as optim
from torch.optim import lr_scheduler


class MLP(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.hidden, self.out, self.act = nn.Linear(2, 8), nn.Linear(8, 1), activation

    def forward(self, x):
        return torch.sigmoid(self.out(self.act(self.hidden(x)))).squeeze(-1)


def build():
    activations = [
        nn.Tanh(),
        nn.ELU(),
        nn.Softplus(),
        nn.PReLU(),
        nn.Hardswish(),
        nn.LeakyReLU(0.1),
        nn.ReLU6(),
        nn.Mish(),
    ]
    return nn.ModuleList([MLP(a) for a in activations])


def run(models):
    X = torch.Tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    Y = torch.Tensor([0, 1, 1, 0])
    criterion = nn.BCELoss()
    optimizer = optim.Adagrad(models.parameters(), lr=0.05)
    warmup = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=3)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    schedule = lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[3])
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, "min", patience=0, factor=0.5)
    lrs = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = sum(criterion(m(X), Y) for m in models)
        loss.backward()
        optimizer.step()
        schedule.step()
        lrs.append(optimizer.param_groups[0]["lr"])
    plateau.step(loss)
    predicted = torch.stack([(m(X) > 0.5).float() for m in models])
    correct = (predicted == Y).float().mean(dim=1)
    return {"loss": loss, "lrs": lrs, "correct": correct, "smooth": nn.SmoothL1Loss()(models[0](X), Y)}
