"""A word language model with nn.TransformerEncoder: batches by narrow and view, SGD by hand, an lr that is annealed."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, dropout=0.1, max_len=100):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        pe = torch.zeros(max_len, d_model)
        position = torch.arange(0, max_len, dtype=torch.float).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(10000.0) / d_model))
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        pe = pe.unsqueeze(0).transpose(0, 1)
        self.register_buffer("pe", pe)

    def forward(self, x):
        x = x + self.pe[: x.size(0), :]
        return self.dropout(x)


class TransformerModel(nn.Module):
    def __init__(self, ntoken=30, ninp=16, nhead=2, nhid=32, nlayers=2):
        super().__init__()
        self.src_mask = None
        self.pos_encoder = PositionalEncoding(ninp, 0.0)
        layers = nn.TransformerEncoderLayer(ninp, nhead, nhid, 0.0)
        self.encoder = nn.TransformerEncoder(layers, nlayers)
        self.input_emb, self.ninp, self.decoder = nn.Embedding(ntoken, ninp), ninp, nn.Linear(ninp, ntoken)
        nn.init.uniform_(self.input_emb.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

    def _generate_square_subsequent_mask(self, sz):
        return torch.log(torch.tril(torch.ones(sz, sz)))

    def forward(self, src, has_mask=True):
        if has_mask:
            device = src.device
            if self.src_mask is None or self.src_mask.size(0) != len(src):
                self.src_mask = self._generate_square_subsequent_mask(len(src)).to(device)
        else:
            self.src_mask = None
        src = self.pos_encoder(self.input_emb(src) * math.sqrt(self.ninp))
        return F.log_softmax(self.decoder(self.encoder(src, mask=self.src_mask)), dim=-1)


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    data = data.narrow(0, 0, nbatch * bsz)
    return data.view(bsz, -1).t().contiguous()


def get_batch(source, i, bptt=6):
    seq_len = min(bptt, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)


def build():
    return TransformerModel()


def run(model):
    corpus = torch.LongTensor([(i * i + 3 * i) % 30 for i in range(65)])
    data = batchify(corpus, 4)
    criterion, lr, total_loss = nn.NLLLoss(), 0.5, 0.0
    for i in range(0, data.size(0) - 1, 6):
        inputs, targets = get_batch(data, i)
        model.zero_grad()
        output = model(inputs).view(-1, 30)
        loss = criterion(output, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)
        total_loss += len(inputs) * loss.item()
    model.eval()
    with torch.no_grad():
        word_weights = model(data[:3], False)[-1].squeeze().div(1.0).exp().cpu()
    return {"perplexity": math.exp(total_loss / (len(data) - 1)), "weights": word_weights}
