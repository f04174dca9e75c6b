"""A transformer whose masks are made as bytes and combined, with a norm by unbiased=False and an inverse-root scale."""

import math

import torch
from torch import nn
from torch.optim import Adam


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, max_len, device):
        super().__init__()
        self.encoding = torch.zeros(max_len, d_model, device=device)
        self.encoding.requires_grad = False
        pos = torch.arange(0, max_len, device=device)
        pos = pos.float().unsqueeze(dim=1)
        _2i = torch.arange(0, d_model, step=2, device=device).float()
        self.encoding[:, 0::2] = torch.sin(pos / (10000 ** (_2i / d_model)))
        self.encoding[:, 1::2] = torch.cos(pos / (10000 ** (_2i / d_model)))

    def forward(self, x):
        _, seq_len = x.size()
        return self.encoding[:seq_len, :]


class LayerNorm(nn.Module):
    def __init__(self, d_model, eps=1e-12):
        super().__init__()
        self.gamma, self.beta, self.eps = nn.Parameter(torch.ones(d_model)), nn.Parameter(torch.zeros(d_model)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        var = x.var(-1, unbiased=False, keepdim=True)
        return self.gamma * (x - mean) / torch.sqrt(var + self.eps) + self.beta


class Attention(nn.Module):
    def __init__(self, d_model, n_head):
        super().__init__()
        self.n_head, self.softmax = n_head, nn.Softmax(dim=-1)
        self.w_q, self.w_k, self.w_v = (nn.Linear(d_model, d_model) for _ in range(3))

    def split(self, tensor):
        batch_size, length, d_model = tensor.size()
        return tensor.view(batch_size, length, self.n_head, d_model // self.n_head).transpose(1, 2)

    def forward(self, q, k, v, mask=None):
        q, k, v = self.split(self.w_q(q)), self.split(self.w_k(k)), self.split(self.w_v(v))
        _, _, _, d_tensor = k.size()
        score = (q @ k.transpose(2, 3)) / math.sqrt(d_tensor)
        if mask is not None:
            score = score.masked_fill(mask == 0, -10000)
        v = self.softmax(score) @ v
        batch_size, head, length, d_tensor = v.size()
        return v.transpose(1, 2).contiguous().view(batch_size, length, head * d_tensor)


class Model(nn.Module):
    def __init__(self, vocab=12, d_model=8, device="cpu"):
        super().__init__()
        self.device, self.src_pad_idx = device, 1
        self.tok_emb, self.pos_emb = (
            nn.Embedding(vocab, d_model, padding_idx=1),
            PositionalEncoding(d_model, 16, device),
        )
        self.enc, self.dec, self.cross = (Attention(d_model, 2) for _ in range(3))
        self.norm, self.linear = LayerNorm(d_model), nn.Linear(d_model, vocab)

    def make_src_mask(self, src):
        return (src != self.src_pad_idx).unsqueeze(1).unsqueeze(2)

    def make_trg_mask(self, trg):
        trg_pad_mask = (trg != self.src_pad_idx).unsqueeze(1).unsqueeze(3)
        trg_len = trg.shape[1]
        trg_sub_mask = torch.tril(torch.ones(trg_len, trg_len)).type(torch.ByteTensor).to(self.device)
        return trg_pad_mask & trg_sub_mask

    def forward(self, src, trg):
        src_mask, trg_mask = self.make_src_mask(src), self.make_trg_mask(trg)
        x, y = self.tok_emb(src) + self.pos_emb(src), self.tok_emb(trg) + self.pos_emb(trg)
        x = self.norm(self.enc(x, x, x, src_mask) + x)
        y = self.norm(self.dec(y, y, y, trg_mask) + y)
        return self.linear(self.norm(self.cross(y, x, x, src_mask) + y))


def initialize_weights(m):
    if hasattr(m, "weight") and m.weight is not None and m.weight.dim() > 1:
        nn.init.kaiming_uniform_(m.weight.data)


def build():
    model = Model()
    model.apply(initialize_weights)
    return model


def run(model):
    optimizer = Adam(params=model.parameters(), lr=1e-3, weight_decay=5e-4, eps=5e-9)
    criterion = nn.CrossEntropyLoss(ignore_index=1)
    src, trg = torch.tensor([[2, 5, 7, 1], [3, 4, 1, 1]]), torch.tensor([[2, 8, 9, 4], [2, 6, 3, 1]])
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        output = model(src, trg[:, :-1])
        output_reshape = output.contiguous().view(-1, output.shape[-1])
        loss = criterion(output_reshape, trg[:, 1:].contiguous().view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "words": output[0].max(dim=1)[1], "count": sum(p.numel() for p in model.parameters())}
