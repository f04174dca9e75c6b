"""PyTorch's mnist example without its convolutions: nll_loss, counts by view_as, Adadelta and StepLR, random erasing of a seed."""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout1, self.fc1, self.fc2 = nn.Dropout(0.0), nn.Linear(64, 32), nn.Linear(32, 10)

    def forward(self, x):
        x = torch.flatten(x, 1)
        x = self.dropout1(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)


def train(args, model, device, loader, optimizer):
    model.train()
    for data, target in loader:
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        if args.dry_run:
            break


def test(model, device, loader):
    model.eval()
    test_loss, correct = 0, 0
    with torch.no_grad():
        for data, target in loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    return test_loss / len(loader.dataset), correct


def build():
    return Net()


def run(model):
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1.0)
    parser.add_argument("--gamma", type=float, default=0.7)
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args([])
    torch.manual_seed(1)
    device = torch.device("cpu")
    images = torch.linspace(0, 40, 40 * 64).sin().view(40, 1, 8, 8)
    dataset = torch.utils.data.TensorDataset(images, torch.arange(40) % 10)
    loader = torch.utils.data.DataLoader(dataset, **{"batch_size": 10, "num_workers": 0, "pin_memory": False})
    optimizer = optim.Adadelta(model.to(device).parameters(), lr=args.lr)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    results = []
    for _ in range(2):
        train(args, model, device, loader, optimizer)
        results.append(test(model, device, loader))
        scheduler.step()
    return {"results": results, "lr": optimizer.param_groups[0]["lr"]}
