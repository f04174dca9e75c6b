"""The losses of a set predictor: matching by cost, class loss with a no-object weight, L1 and GIoU of boxes, top-k, masks."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical


def corners(x):
    x_c, y_c, w, h = x.unbind(-1)
    return torch.stack([x_c - 0.5 * w, y_c - 0.5 * h, x_c + 0.5 * w, y_c + 0.5 * h], dim=-1)


def giou(a, b):
    area = [(t[:, 2] - t[:, 0]) * (t[:, 3] - t[:, 1]) for t in (a, b)]
    wh = (torch.min(a[:, None, 2:], b[:, 2:]) - torch.max(a[:, None, :2], b[:, :2])).clamp(min=0)
    inter = wh[:, :, 0] * wh[:, :, 1]
    union = area[0][:, None] + area[1] - inter
    hull = (torch.max(a[:, None, 2:], b[:, 2:]) - torch.min(a[:, None, :2], b[:, :2])).clamp(min=0)
    hull = hull[:, :, 0] * hull[:, :, 1]
    return inter / union - (hull - union) / hull


def greedy(cost):
    cost, pairs = cost.clone(), []
    for _ in range(cost.shape[1]):
        i, j = divmod(cost.argmin().item(), cost.shape[1])
        pairs.append((i, j))
        cost[i], cost[:, j] = float("inf"), float("inf")
    return tuple(torch.as_tensor(p, dtype=torch.int64) for p in zip(*sorted(pairs)))


class Criterion(nn.Module):
    def __init__(self, classes, no_object):
        super().__init__()
        weight = torch.ones(classes + 1)
        weight[-1] = no_object
        self.register_buffer("weight", weight)

    @torch.no_grad()
    def match(self, logits, boxes, targets):
        ids, wanted = torch.cat([t["labels"] for t in targets]), torch.cat([t["boxes"] for t in targets])
        flat = boxes.flatten(0, 1)
        cost = (
            torch.cdist(flat, wanted, p=1)
            - logits.flatten(0, 1).softmax(-1)[:, ids]
            - giou(corners(flat), corners(wanted))
        )
        cost = cost.view(*logits.shape[:2], -1).cpu()
        return [greedy(c[i]) for i, c in enumerate(cost.split([len(t["boxes"]) for t in targets], -1))]

    def forward(self, logits, boxes, targets):
        pairs = self.match(logits, boxes, targets)
        index = torch.cat([torch.full_like(s, i) for i, (s, _) in enumerate(pairs)]), torch.cat([s for s, _ in pairs])
        found = torch.cat([t["labels"][j] for t, (_, j) in zip(targets, pairs)])
        classes = torch.full(logits.shape[:2], len(self.weight) - 1, dtype=torch.int64, device=logits.device)
        classes[index] = found
        wanted = torch.cat([t["boxes"][j] for t, (_, j) in zip(targets, pairs)], dim=0)
        n = torch.clamp(torch.as_tensor([len(wanted)], dtype=torch.float) / 1, min=1).item()
        top = logits[index].topk(2, 1, True, True)[1].t()
        right = top.eq(found.view(1, -1).expand_as(top))
        return {
            "class": F.cross_entropy(logits.transpose(1, 2), classes, self.weight),
            "box": F.l1_loss(boxes[index], wanted, reduction="none").sum() / n,
            "giou": (1 - torch.diag(giou(corners(boxes[index]), corners(wanted)))).sum() / n,
            "error": 100 - right[:1].reshape(-1).float().sum(0).mul_(100.0 / len(found)),
            "count": F.l1_loss((logits.argmax(-1) != logits.shape[-1] - 1).sum(1).float(), torch.tensor([2.0, 1.0])),
        }


def build():
    return nn.ModuleDict({"classes": nn.Linear(6, 4), "boxes": nn.Linear(6, 4), "criterion": Criterion(3, 0.1)})


def run(model):
    h = torch.linspace(-2, 2, 2 * 5 * 6).view(2, 5, 6).mul(3).cos()
    targets = [
        {"labels": torch.tensor([0, 2]), "boxes": torch.tensor([[0.5, 0.5, 0.2, 0.3], [0.3, 0.3, 0.2, 0.2]])},
        {"labels": torch.tensor([1]), "boxes": torch.tensor([[0.6, 0.4, 0.3, 0.3]])},
    ]
    logits, boxes = model["classes"](h), model["boxes"](h).sigmoid()
    losses = model["criterion"](logits, boxes, targets)
    weights = {"class": 1, "box": 5, "giou": 2}
    sum(losses[k] * weights[k] for k in losses if k in weights).backward()
    scores, labels = F.softmax(logits, -1)[..., :-1].max(-1)
    images = [torch.ones(2, 3, 4), torch.ones(2, 2, 5)]
    padded, mask = torch.zeros([2, 2, 3, 5]), torch.ones((2, 3, 5), dtype=torch.bool)
    for image, pad, m in zip(images, padded, mask):
        pad[: image.shape[0], : image.shape[1], : image.shape[2]].copy_(image)
        m[: image.shape[1], : image.shape[2]] = False
    return {
        "losses": losses,
        "grad": [p.grad for p in model.parameters()],
        "best": [scores, labels],
        "padded": padded,
        "mask": mask,
        "sizes": torch.stack(torch.tensor([[480, 640], [300, 200]]).unbind(1), dim=1),
        "sure": Categorical(logits=logits).entropy(),
    }
