"""A conditional random field: the forward algorithm by logsumexp, the score of a path, Viterbi with pointers."""

import torch
import torch.nn as nn


class CRF(nn.Module):
    def __init__(self, num_tags=4):
        super().__init__()
        self.num_tags = num_tags
        self.start_transitions = nn.Parameter(torch.empty(num_tags))
        self.end_transitions = nn.Parameter(torch.empty(num_tags))
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags))
        for p in self.parameters():
            nn.init.uniform_(p, -0.1, 0.1)

    def forward(self, emissions, tags, mask):
        return (self._score(emissions, tags, mask) - self._normalizer(emissions, mask)).sum()

    def _score(self, emissions, tags, mask):
        length, batch = tags.shape
        mask = mask.type_as(emissions)
        score = self.start_transitions[tags[0]]
        score = score + emissions[0, torch.arange(batch), tags[0]]
        for i in range(1, length):
            score = score + self.transitions[tags[i - 1], tags[i]] * mask[i]
            score = score + emissions[i, torch.arange(batch), tags[i]] * mask[i]
        ends = mask.long().sum(dim=0) - 1
        return score + self.end_transitions[tags[ends, torch.arange(batch)]]

    def _normalizer(self, emissions, mask):
        score = self.start_transitions + emissions[0]
        for i in range(1, emissions.size(0)):
            following = torch.logsumexp(score.unsqueeze(2) + self.transitions + emissions[i].unsqueeze(1), dim=1)
            score = torch.where(mask[i].unsqueeze(1), following, score)
        return torch.logsumexp(score + self.end_transitions, dim=1)

    @torch.no_grad()
    def decode(self, emissions, mask):
        score = self.start_transitions + emissions[0]
        history = []
        for i in range(1, emissions.size(0)):
            best, indices = (score.unsqueeze(2) + self.transitions + emissions[i].unsqueeze(1)).max(dim=1)
            score = torch.where(mask[i].unsqueeze(1), best, score)
            history.append(indices)
        score += self.end_transitions
        ends, paths = mask.long().sum(dim=0) - 1, []
        for b in range(emissions.size(1)):
            _, last = score[b].max(dim=0)
            tags = [last.item()]
            for step in reversed(history[: ends[b]]):
                tags.append(step[b][tags[-1]].item())
            paths.append(tags[::-1])
        return paths


def build():
    return CRF()


def run(model):
    emissions = torch.linspace(-4, 4, 5 * 2 * 4).view(5, 2, 4).sin().requires_grad_()
    tags = (torch.arange(10) * 3 % 4).view(5, 2)
    mask = torch.tensor([[1, 1], [1, 1], [1, 1], [1, 0], [1, 0]], dtype=torch.uint8).bool()
    loss = -model(emissions, tags, mask)
    loss.backward()
    return {
        "loss": loss,
        "emissions": emissions.grad,
        "transitions": model.transitions.grad,
        "paths": model.decode(emissions.detach(), mask),
    }
