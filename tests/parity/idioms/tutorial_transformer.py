"""A tutorial's transformer in one file: typed constructors, masks from NumPy, `.data`, a loss over flat outputs."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

d_model, d_k, n_heads = 12, 6, 2
vocab = {"P": 0, "ich": 1, "mochte": 2, "ein": 3, "bier": 4, "S": 5, "E": 6}


def make_batch(sentences):
    input_batch = [[vocab[n] for n in sentences[0].split()]]
    output_batch = [[vocab[n] for n in sentences[1].split()]]
    target_batch = [[vocab[n] for n in sentences[2].split()]]
    return torch.LongTensor(input_batch), torch.LongTensor(output_batch), torch.LongTensor(target_batch)


def get_sinusoid_encoding_table(n_position, d_model):
    def cal_angle(position, hid_idx):
        return position / np.power(10000, 2 * (hid_idx // 2) / d_model)

    table = np.array([[cal_angle(p, j) for j in range(d_model)] for p in range(n_position)])
    table[:, 0::2] = np.sin(table[:, 0::2])
    table[:, 1::2] = np.cos(table[:, 1::2])
    return torch.FloatTensor(table)


def get_attn_pad_mask(seq_q, seq_k):
    batch_size, len_q = seq_q.size()
    batch_size, len_k = seq_k.size()
    return seq_k.data.eq(0).unsqueeze(1).expand(batch_size, len_q, len_k)


def get_attn_subsequent_mask(seq):
    attn_shape = [seq.size(0), seq.size(1), seq.size(1)]
    return torch.from_numpy(np.triu(np.ones(attn_shape), k=1)).byte()


class MultiHeadAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.W_Q, self.W_K, self.W_V = (nn.Linear(d_model, d_k * n_heads) for _ in range(3))
        self.linear, self.layer_norm = nn.Linear(n_heads * d_k, d_model), nn.LayerNorm(d_model)

    def forward(self, Q, K, V, attn_mask):
        residual, batch_size = Q, Q.size(0)
        q_s = self.W_Q(Q).view(batch_size, -1, n_heads, d_k).transpose(1, 2)
        k_s = self.W_K(K).view(batch_size, -1, n_heads, d_k).transpose(1, 2)
        v_s = self.W_V(V).view(batch_size, -1, n_heads, d_k).transpose(1, 2)
        attn_mask = attn_mask.unsqueeze(1).repeat(1, n_heads, 1, 1)
        scores = torch.matmul(q_s, k_s.transpose(-1, -2)) / np.sqrt(d_k)
        scores.masked_fill_(attn_mask, -1e9)
        attn = nn.Softmax(dim=-1)(scores)
        context = torch.matmul(attn, v_s).transpose(1, 2).contiguous().view(batch_size, -1, n_heads * d_k)
        return self.layer_norm(self.linear(context) + residual), attn


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(len(vocab), d_model)
        self.pos_emb = nn.Embedding.from_pretrained(get_sinusoid_encoding_table(8, d_model), freeze=True)
        self.enc, self.dec, self.cross = MultiHeadAttention(), MultiHeadAttention(), MultiHeadAttention()
        self.projection = nn.Linear(d_model, len(vocab), bias=False)

    def forward(self, enc_inputs, dec_inputs):
        enc = self.emb(enc_inputs) + self.pos_emb(torch.LongTensor([[1, 2, 3, 4, 0]]))
        enc, enc_attn = self.enc(enc, enc, enc, get_attn_pad_mask(enc_inputs, enc_inputs))
        dec = self.emb(dec_inputs) + self.pos_emb(torch.LongTensor([[5, 1, 2, 3, 4]]))
        pad = get_attn_pad_mask(dec_inputs, dec_inputs)
        mask = torch.gt((pad + get_attn_subsequent_mask(dec_inputs)), 0)
        dec, _ = self.dec(dec, dec, dec, mask)
        dec, _ = self.cross(dec, enc, enc, get_attn_pad_mask(dec_inputs, enc_inputs))
        dec_logits = self.projection(dec)
        return dec_logits.view(-1, dec_logits.size(-1)), enc_attn


def build():
    return Transformer()


def run(model):
    enc_inputs, dec_inputs, target_batch = make_batch(
        ["ich mochte ein bier P", "S ich mochte ein bier", "ich mochte ein bier E"]
    )
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01, momentum=0.99)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        outputs, enc_attn = model(enc_inputs, dec_inputs)
        loss = criterion(outputs, target_batch.contiguous().view(-1))
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    predict = outputs.data.max(1, keepdim=True)[1]
    return {
        "losses": losses,
        "predict": [n.item() for n in predict.squeeze()],
        "attention": enc_attn.squeeze(0)[0].data,
    }
