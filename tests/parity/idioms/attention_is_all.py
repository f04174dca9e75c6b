"""A translation model after "attention is all you need": pad masks, positions by FloatTensor, smoothing by scatter, masked_select."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


def get_pad_mask(seq, pad_idx):
    return (seq != pad_idx).unsqueeze(-2)


def get_subsequent_mask(seq):
    _, len_s = seq.size()
    return (1 - torch.triu(torch.ones((1, len_s, len_s), device=seq.device), diagonal=1)).bool()


class ScaledDotProductAttention(nn.Module):
    def __init__(self, temperature, attn_dropout=0.0):
        super().__init__()
        self.temperature, self.dropout = temperature, nn.Dropout(attn_dropout)

    def forward(self, q, k, v, mask=None):
        attn = torch.matmul(q / self.temperature, k.transpose(2, 3))
        if mask is not None:
            attn = attn.masked_fill(mask == 0, -1e9)
        attn = self.dropout(F.softmax(attn, dim=-1))
        return torch.matmul(attn, v), attn


class MultiHeadAttention(nn.Module):
    def __init__(self, n_head, d_model, d_k):
        super().__init__()
        self.n_head, self.d_k = n_head, d_k
        self.w_qs, self.w_ks, self.w_vs = [nn.Linear(d_model, n_head * d_k, bias=False) for _ in range(3)]
        self.fc = nn.Linear(n_head * d_k, d_model, bias=False)
        self.attention = ScaledDotProductAttention(temperature=d_k**0.5)
        self.layer_norm = nn.LayerNorm(d_model, eps=1e-6)

    def forward(self, q, k, v, mask=None):
        sz_b, len_q, len_k = q.size(0), q.size(1), k.size(1)
        residual = q
        q = self.w_qs(q).view(sz_b, len_q, self.n_head, self.d_k).transpose(1, 2)
        k = self.w_ks(k).view(sz_b, len_k, self.n_head, self.d_k).transpose(1, 2)
        v = self.w_vs(v).view(sz_b, len_k, self.n_head, self.d_k).transpose(1, 2)
        if mask is not None:
            mask = mask.unsqueeze(1)
        q, attn = self.attention(q, k, v, mask=mask)
        q = self.fc(q.transpose(1, 2).contiguous().view(sz_b, len_q, -1))
        q += residual
        return self.layer_norm(q), attn


class PositionalEncoding(nn.Module):
    def __init__(self, d_hid, n_position=20):
        super().__init__()
        self.register_buffer("pos_table", self._table(n_position, d_hid))

    def _table(self, n_position, d_hid):
        angles = [[p / np.power(10000, 2 * (j // 2) / d_hid) for j in range(d_hid)] for p in range(n_position)]
        table = np.array(angles)
        table[:, 0::2] = np.sin(table[:, 0::2])
        table[:, 1::2] = np.cos(table[:, 1::2])
        return torch.FloatTensor(table).unsqueeze(0)

    def forward(self, x):
        return x + self.pos_table[:, : x.size(1)].clone().detach()


class Transformer(nn.Module):
    def __init__(self, n_vocab=14, d_model=12):
        super().__init__()
        self.emb, self.position = nn.Embedding(n_vocab, d_model, padding_idx=0), PositionalEncoding(d_model)
        self.enc, self.dec = MultiHeadAttention(3, d_model, 4), MultiHeadAttention(3, d_model, 4)
        self.cross, self.prj = MultiHeadAttention(3, d_model, 4), nn.Linear(d_model, n_vocab, bias=False)
        self.x_logit_scale = d_model**-0.5
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)
        self.prj.weight = self.emb.weight

    def forward(self, src_seq, trg_seq):
        src_mask = get_pad_mask(src_seq, 0)
        trg_mask = get_pad_mask(trg_seq, 0) & get_subsequent_mask(trg_seq)
        src, trg = self.position(self.emb(src_seq)), self.position(self.emb(trg_seq))
        src, *_ = self.enc(src, src, src, mask=src_mask)
        trg, *_ = self.dec(trg, trg, trg, mask=trg_mask)
        trg, *_ = self.cross(trg, src, src, mask=src_mask)
        seq_logit = self.prj(trg) * self.x_logit_scale
        return seq_logit.view(-1, seq_logit.size(2))


def cal_loss(pred, gold, trg_pad_idx, smoothing):
    gold = gold.contiguous().view(-1)
    if not smoothing:
        return F.cross_entropy(pred, gold, ignore_index=trg_pad_idx, reduction="sum")
    eps, n_class = 0.1, pred.size(1)
    one_hot = torch.zeros_like(pred).scatter(1, gold.view(-1, 1), 1)
    one_hot = one_hot * (1 - eps) + (1 - one_hot) * eps / (n_class - 1)
    log_prb = F.log_softmax(pred, dim=1)
    non_pad_mask = gold.ne(trg_pad_idx)
    loss = -(one_hot * log_prb).sum(dim=1)
    return loss.masked_select(non_pad_mask).sum()


def cal_performance(pred, gold, trg_pad_idx, smoothing=False):
    loss = cal_loss(pred, gold, trg_pad_idx, smoothing=smoothing)
    pred = pred.max(1)[1]
    gold = gold.contiguous().view(-1)
    non_pad_mask = gold.ne(trg_pad_idx)
    n_correct = pred.eq(gold).masked_select(non_pad_mask).sum().item()
    return loss, n_correct, non_pad_mask.sum().item()


def build():
    return Transformer()


def run(model):
    optimizer = optim.Adam(model.parameters(), lr=2e-3, betas=(0.9, 0.98), eps=1e-09)
    src = torch.tensor([[3, 4, 5, 6, 0], [7, 8, 9, 0, 0]])
    trg = torch.tensor([[1, 5, 4, 2, 0], [1, 9, 8, 7, 2]])
    seen = []
    for smoothing in (False, True, True):
        optimizer.zero_grad()
        loss, n_correct, n_word = cal_performance(model(src, trg[:, :-1]), trg[:, 1:], 0, smoothing=smoothing)
        loss.backward()
        optimizer.step()
        seen.append([loss.item(), n_correct, n_word])
    return {"seen": seen, "weights": list(model.state_dict())}
