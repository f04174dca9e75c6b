"""Graph attention and graph convolution on a small dense graph, with row and degree normalisation."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, hidden, heads, concat):
        super().__init__()
        self.heads, self.hidden, self.concat = heads, hidden, concat
        self.W = nn.Parameter(torch.empty(size=(width, hidden * heads)))
        self.a = nn.Parameter(torch.empty(size=(heads, 2 * hidden, 1)))
        self.act = nn.LeakyReLU(0.2)
        nn.init.xavier_normal_(self.W)
        nn.init.xavier_normal_(self.a)

    def forward(self, h, adjacency):
        n = h.shape[0]
        z = torch.mm(h, self.W).view(n, self.heads, self.hidden).permute(1, 0, 2)
        source, target = z @ self.a[:, : self.hidden, :], z @ self.a[:, self.hidden :, :]
        scores = self.act(source + target.mT)
        scores = torch.where(adjacency > 0, scores, -9e16 * torch.ones_like(scores))
        out = torch.matmul(F.softmax(scores, dim=-1), z)
        return out.permute(1, 0, 2).contiguous().view(n, -1) if self.concat else out.mean(dim=0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Attention(5, 4, 2, True), Attention(8, 3, 1, False)
        self.kernel = nn.Parameter(torch.Tensor(5, 3))
        nn.init.orthogonal_(self.kernel)

    def forward(self, x, adjacency):
        attended = self.second(F.elu(self.first(x, adjacency)), adjacency)
        return F.log_softmax(attended + torch.spmm(adjacency, torch.mm(x, self.kernel)), dim=1)


def load():
    words = np.array(
        [[0, 1, 1, 0, 2], [0, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 3, 1, 0], [1, 0, 0, 0, 1], [0, 2, 0, 1, 0]]
    )
    features = torch.FloatTensor(words.astype(np.int32))
    scale = 1 / torch.sum(features, dim=1)
    scale[scale == float("inf")] = 0
    features = torch.diag(scale) @ features
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 0], [0, 3]])
    adjacency = torch.zeros(6, 6)
    adjacency[edges[:, 0], edges[:, 1]] = 1
    adjacency = torch.eye(6) + adjacency
    degree = torch.sqrt(1 / torch.sum(adjacency, dim=1))
    names, labels = np.unique(np.array(list("abcabc")), return_inverse=True)
    return features, torch.diag(degree) @ adjacency @ torch.diag(degree), torch.LongTensor(labels), len(names)


def build():
    return Net()


def run(model):
    x, adjacency, labels, classes = load()
    order = torch.arange(6).flip(0)
    train, held = order[:4], order[4:]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    use = torch.accelerator.is_available() and not torch.xpu.is_available()
    device = torch.accelerator.current_accelerator() if use else torch.device("cpu")
    criterion, history = nn.NLLLoss(), []
    for _ in range(3):
        optimizer.zero_grad()
        loss = criterion(model(x, adjacency)[train], labels[train])
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            out = model(x, adjacency)[held]
            accuracy = (out.argmax(dim=1) == labels[held]).float().sum() / len(held)
        history.append([loss.item(), accuracy.item()])
    square = nn.init.orthogonal_(torch.empty(3, 7))
    return {
        "history": history,
        "out": model(x, adjacency),
        "grad": [p.grad for p in model.parameters()],
        "classes": classes,
        "device": str(device),
        "orthogonal": (square @ square.T - torch.eye(3)).abs().max().item() < 1e-5,
        "eye": nn.init.eye_(torch.empty(2, 3)),
        "sparse": (nn.init.sparse_(torch.empty(10, 4), sparsity=0.25) == 0).sum(dim=0),
    }
