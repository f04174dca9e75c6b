"""Beam search over a table of transitions, nucleus filtering, a penalty on repetition."""

import torch
import torch.nn.functional as F


def beam_search(log_probs, width, steps):
    vocab = log_probs.size(-1)
    beams = torch.zeros(1, 1, dtype=torch.long)
    scores = torch.zeros(1)
    for _ in range(steps):
        candidates = scores.unsqueeze(1) + log_probs.index_select(0, beams[:, -1])
        scores, flat = candidates.view(-1).topk(min(width, candidates.numel()))
        parents = torch.div(flat, vocab, rounding_mode="trunc")
        tokens = flat % vocab
        beams = torch.cat([beams[parents], tokens.unsqueeze(-1)], dim=-1)
    return beams, scores


def top_p(logits, p):
    sorted_logits, sorted_indices = torch.sort(logits, descending=True)
    cumulative = torch.cumsum(F.softmax(sorted_logits, dim=-1), dim=-1)
    remove = cumulative > p
    remove[..., 1:] = remove[..., :-1].clone()
    remove[..., 0] = 0
    return logits.masked_fill(remove.scatter(1, sorted_indices, remove), -float("inf"))


def penalize(logits, previous, penalty):
    score = torch.gather(logits, 1, previous)
    score = torch.where(score < 0, score * penalty, score / penalty)
    return logits.scatter(1, previous, score)


def run(_):
    logits = torch.linspace(-3, 3, 36).view(6, 6).sin().mul(4)
    beams, scores = beam_search(F.log_softmax(logits, dim=-1), 3, 4)
    lengths = torch.tensor([5, 3, 4])
    finished = beams.ne(2).int().cumprod(dim=1).bool()
    return {
        "beams": beams,
        "scores": scores,
        "nucleus": top_p(logits[:3], 0.7),
        "penalized": penalize(logits[:3], beams[:, 1:3], 1.2),
        "normalized": scores / lengths.float().pow(0.6),
        "finished": finished,
        "best": beams[scores.argmax()].tolist(),
        "entropy": -(F.softmax(logits, -1) * F.log_softmax(logits, -1)).sum(-1),
    }
