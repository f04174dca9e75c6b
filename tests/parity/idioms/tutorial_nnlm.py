"""Tutorials before attention: a neural language model with parameters of its own, and skip-gram vectors."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

sentences = ["i like dog", "i love coffee", "i hate milk"]
word_list = sorted(set(" ".join(sentences).split()))
word_dict = {w: i for i, w in enumerate(word_list)}
n_class, m, n_step, n_hidden = len(word_dict), 3, 2, 4
dtype = torch.FloatTensor


class NNLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.C = nn.Embedding(n_class, m)
        self.H = nn.Linear(n_step * m, n_hidden, bias=False)
        self.d = nn.Parameter(torch.ones(n_hidden).type(dtype))
        self.U = nn.Linear(n_hidden, n_class, bias=False)
        self.W = nn.Linear(n_step * m, n_class, bias=False)
        self.b = nn.Parameter(torch.ones(n_class))

    def forward(self, X):
        X = self.C(X)
        X = X.view(-1, n_step * m)
        tanh = torch.tanh(self.d + self.H(X))
        return self.b + self.W(X) + self.U(tanh)


class Word2Vec(nn.Module):
    def __init__(self):
        super().__init__()
        self.W, self.WT = nn.Linear(n_class, 2, bias=False), nn.Linear(2, n_class, bias=False)

    def forward(self, X):
        return self.WT(self.W(X))


def build():
    return nn.ModuleDict({"nnlm": NNLM(), "vectors": Word2Vec()})


def run(models):
    model = models["nnlm"]
    inputs = [[word_dict[n] for n in sen.split()[:-1]] for sen in sentences]
    targets = [word_dict[sen.split()[-1]] for sen in sentences]
    input_batch, target_batch = torch.LongTensor(inputs), torch.LongTensor(targets)
    criterion, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        loss = criterion(model(input_batch), target_batch)
        loss.backward()
        optimizer.step()
    predict = model(input_batch).data.max(1, keepdim=True)[1]
    vectors = models["vectors"]
    onehot = torch.Tensor(np.eye(n_class)[[0, 2, 3, 5]])
    skip = criterion(vectors(onehot), torch.LongTensor([1, 3, 2, 6]))
    skip.backward()
    W, _ = vectors.parameters()
    return {"loss": loss, "predict": predict, "skip": skip, "grad": W.grad, "x": float(W[0][1])}
