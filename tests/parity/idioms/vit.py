"""A vision transformer in the manner of vit-pytorch: patches by view and permute, a class token, chunked qkv."""

import torch
from torch import nn


def pair(t):
    return t if isinstance(t, tuple) else (t, t)


class FeedForward(nn.Module):
    def __init__(self, dim, hidden_dim, dropout=0.0):
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden_dim, dim)
        )

    def forward(self, x):
        return self.net(x)


class Attention(nn.Module):
    def __init__(self, dim, heads=2, dim_head=8, dropout=0.0):
        super().__init__()
        inner_dim = dim_head * heads
        project_out = not (heads == 1 and dim_head == dim)
        self.heads, self.scale = heads, dim_head**-0.5
        self.norm, self.attend, self.dropout = nn.LayerNorm(dim), nn.Softmax(dim=-1), nn.Dropout(dropout)
        self.to_qkv = nn.Linear(dim, inner_dim * 3, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner_dim, dim), nn.Dropout(dropout)) if project_out else nn.Identity()

    def forward(self, x):
        b, n, _ = x.shape
        qkv = self.to_qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = map(lambda t: t.reshape(b, n, self.heads, -1).permute(0, 2, 1, 3), qkv)  # noqa: C417
        attn = self.dropout(self.attend(torch.matmul(q, k.transpose(-1, -2)) * self.scale))
        return self.to_out(torch.matmul(attn, v).permute(0, 2, 1, 3).flatten(2))


class ViT(nn.Module):
    def __init__(self, *, image_size=8, patch_size=4, num_classes=5, dim=16, depth=2, pool="cls"):
        super().__init__()
        self.patch = pair(patch_size)
        patches = (pair(image_size)[0] // self.patch[0]) * (pair(image_size)[1] // self.patch[1])
        patch_dim = 3 * self.patch[0] * self.patch[1]
        self.to_patch_embedding = nn.Sequential(nn.LayerNorm(patch_dim), nn.Linear(patch_dim, dim), nn.LayerNorm(dim))
        self.pos_embedding = nn.Parameter(torch.randn(1, patches + 1, dim))
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.layers = nn.ModuleList([])
        for _ in range(depth):
            self.layers.append(nn.ModuleList([Attention(dim), FeedForward(dim, 32)]))
        self.pool, self.to_latent, self.mlp_head = pool, nn.Identity(), nn.Linear(dim, num_classes)

    def forward(self, img):
        b, c, h, w = img.shape
        p1, p2 = self.patch
        x = img.reshape(b, c, h // p1, p1, w // p2, p2).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, p1 * p2 * c)
        x = self.to_patch_embedding(x)
        x = torch.cat((self.cls_token.repeat(b, 1, 1), x), dim=1)
        x += self.pos_embedding[:, : x.size(1)]
        for attn, ff in self.layers:
            x = attn(x) + x
            x = ff(x) + x
        x = x.mean(dim=1) if self.pool == "mean" else x[:, 0]
        return self.mlp_head(self.to_latent(x))


def build():
    return ViT()


def run(model):
    img = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8).cos()
    preds = model(img)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)(preds, torch.tensor([1, 3]))
    loss.backward()
    return {"preds": preds, "loss": loss, "token": model.cls_token.grad, "position": model.pos_embedding.grad}
