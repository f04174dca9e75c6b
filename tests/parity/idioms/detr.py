"""DETR's transformer and its sine positions: sequence-first attention, clones, stacked intermediate outputs."""

import copy
import math
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PositionEmbeddingSine(nn.Module):
    def __init__(self, num_pos_feats=4, temperature=10000, normalize=True, scale=None):
        super().__init__()
        self.num_pos_feats, self.temperature, self.normalize = num_pos_feats, temperature, normalize
        self.scale = 2 * math.pi if scale is None else scale

    def forward(self, x, mask):
        not_mask = ~mask
        y_embed = not_mask.cumsum(1, dtype=torch.float32)
        x_embed = not_mask.cumsum(2, dtype=torch.float32)
        if self.normalize:
            eps = 1e-6
            y_embed = y_embed / (y_embed[:, -1:, :] + eps) * self.scale
            x_embed = x_embed / (x_embed[:, :, -1:] + eps) * self.scale
        dim_t = torch.arange(self.num_pos_feats, dtype=torch.float32, device=x.device)
        dim_t = self.temperature ** (2 * torch.div(dim_t, 2, rounding_mode="floor") / self.num_pos_feats)
        pos_x, pos_y = x_embed[:, :, :, None] / dim_t, y_embed[:, :, :, None] / dim_t
        pos_x = torch.stack((pos_x[:, :, :, 0::2].sin(), pos_x[:, :, :, 1::2].cos()), dim=4).flatten(3)
        pos_y = torch.stack((pos_y[:, :, :, 0::2].sin(), pos_y[:, :, :, 1::2].cos()), dim=4).flatten(3)
        return torch.cat((pos_y, pos_x), dim=3).permute(0, 3, 1, 2)


def _get_activation_fn(activation):
    if activation == "relu":
        return F.relu
    if activation == "gelu":
        return F.gelu
    if activation == "glu":
        return F.glu
    raise RuntimeError(f"activation should be relu/gelu, not {activation}.")


class DecoderLayer(nn.Module):
    def __init__(self, d_model, nhead, dim_feedforward=32, dropout=0.0, activation="relu"):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, nhead, dropout=dropout)
        self.multihead_attn = nn.MultiheadAttention(d_model, nhead, dropout=dropout)
        self.linear1, self.dropout = nn.Linear(d_model, dim_feedforward), nn.Dropout(dropout)
        self.linear2 = nn.Linear(dim_feedforward, d_model)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(d_model), nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.activation = _get_activation_fn(activation)

    def with_pos_embed(self, tensor, pos: Optional[Tensor]):  # noqa: UP045
        return tensor if pos is None else tensor + pos

    def forward(self, tgt, memory, memory_key_padding_mask=None, pos=None, query_pos=None):
        q = k = self.with_pos_embed(tgt, query_pos)
        tgt = self.norm1(tgt + self.self_attn(q, k, value=tgt, attn_mask=None, key_padding_mask=None)[0])
        tgt2, self.weights = self.multihead_attn(
            query=self.with_pos_embed(tgt, query_pos),
            key=self.with_pos_embed(memory, pos),
            value=memory,
            attn_mask=None,
            key_padding_mask=memory_key_padding_mask,
        )
        tgt = self.norm2(tgt + tgt2)
        tgt2 = self.linear2(self.dropout(self.activation(self.linear1(tgt))))
        return self.norm3(tgt + tgt2)


class Decoder(nn.Module):
    def __init__(self, d_model=8, nhead=2, num_layers=2, num_queries=3):
        super().__init__()
        layer = DecoderLayer(d_model, nhead)
        self.layers = nn.ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.norm, self.query_embed = nn.LayerNorm(d_model), nn.Embedding(num_queries, d_model)
        self.position = PositionEmbeddingSine()
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)

    def forward(self, src, mask):
        bs, c, h, w = src.shape
        pos_embed = self.position(src, mask).flatten(2).permute(2, 0, 1)
        memory = src.flatten(2).permute(2, 0, 1)
        query_embed = self.query_embed.weight.unsqueeze(1).repeat(1, bs, 1)
        mask = mask.flatten(1)
        output = torch.zeros_like(query_embed)
        intermediate = []
        for layer in self.layers:
            output = layer(output, memory, memory_key_padding_mask=mask, pos=pos_embed, query_pos=query_embed)
            intermediate.append(self.norm(output))
        return torch.stack(intermediate).transpose(1, 2), memory.permute(1, 2, 0).view(bs, c, h, w)


def build():
    return Decoder()


def run(model):
    src = torch.linspace(-1, 1, 2 * 8 * 12).view(2, 8, 3, 4).cos()
    mask = torch.zeros((2, 3, 4), dtype=torch.bool)
    mask[1, :, 3:] = True
    hs, memory = model(src, mask)
    hs.sum(dim=0).pow(2).sum().backward()
    return {
        "hs": hs,
        "memory": memory,
        "weights": model.layers[-1].weights,
        "queries": model.query_embed.weight.grad,
        "names": list(model.state_dict()),
    }
