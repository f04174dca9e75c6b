"""d2l's linear and softmax regression from scratch: batches by index tensors, SGD without an optimizer, accuracy."""

import torch
from torch.utils import data


def synthetic_data(w, b, num_examples):
    X = torch.linspace(-2, 2, num_examples * len(w)).reshape(num_examples, len(w)).sin()
    y = torch.matmul(X, w) + b
    y += torch.normal(0, 0.01, y.shape) * 0
    return X, y.reshape((-1, 1))


def data_iter(batch_size, features, labels):
    indices = list(range(len(features)))
    for i in range(0, len(features), batch_size):
        batch_indices = torch.tensor(indices[i : min(i + batch_size, len(features))])
        yield features[batch_indices], labels[batch_indices]


def squared_loss(y_hat, y):
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


def softmax(X):
    X_exp = torch.exp(X)
    return X_exp / X_exp.sum(1, keepdim=True)


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[range(len(y_hat)), y])


def accuracy(y_hat, y):
    if len(y_hat.shape) > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(axis=1)
    cmp = y_hat.type(y.dtype) == y
    return float(cmp.type(y.dtype).sum())


def load_array(data_arrays, batch_size, is_train=True):
    return data.DataLoader(data.TensorDataset(*data_arrays), batch_size, shuffle=is_train)


def run(_):
    features, labels = synthetic_data(torch.tensor([2, -3.4]), 4.2, 40)
    w = torch.zeros((2, 1), requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    for _ in range(3):
        for X, y in data_iter(10, features, labels):
            squared_loss(torch.matmul(X, w) + b, y).sum().backward()
            sgd([w, b], 0.03, 10)
    W = torch.zeros(size=(2, 3), requires_grad=True)
    classes = (labels.reshape(-1) > 4).long() + (labels.reshape(-1) > 6).long()
    for X, y in load_array((features, classes), 8, is_train=False):
        cross_entropy(softmax(torch.matmul(X.reshape((-1, W.shape[0])), W)), y).mean().backward()
        sgd([W], 0.5, 1)
    right = accuracy(softmax(features @ W), classes)
    return {"w": w, "b": b, "W": W, "right": right, "matrix": torch.arange(6).reshape(2, 3).sum(axis=0)}
