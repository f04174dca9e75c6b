"""Actor and critic with `torch.distributions`: saved log-probabilities, normalised returns, a clipped surrogate, entropy and KL."""

from collections import deque, namedtuple

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.distributions import Bernoulli, Categorical, Independent, Uniform, kl_divergence
from torch.distributions.normal import Normal

Step = namedtuple("Step", ["log_prob", "value"])


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.actor, self.critic = nn.Linear(4, 16), nn.Linear(16, 3), nn.Linear(16, 1)
        self.log_std = nn.Parameter(-0.5 * torch.ones(2))
        self.mu = nn.Linear(16, 2)

    def forward(self, x):
        x = torch.tanh(self.body(x))
        return F.softmax(self.actor(x), dim=-1), self.critic(x), Normal(self.mu(x), self.log_std.exp())


def build():
    return ActorCritic()


def run(model):
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for episode in range(3):
        steps, rewards = [], []
        for t in range(4):
            state = torch.linspace(-1, 1, 4) * (t + episode + 1)
            probs, value, _ = model(state)
            policy = Categorical(probs)
            assert policy.sample().dtype == torch.int64
            steps.append(Step(policy.log_prob(torch.tensor((t + episode) % 3)), value))
            rewards.append(float(t % 2))
        total, returns = 0.0, deque()
        for r in rewards[::-1]:
            total = r + 0.9 * total
            returns.appendleft(total)
        returns = torch.tensor(returns)
        returns = (returns - returns.mean()) / (returns.std() + torch.finfo(torch.float32).eps)
        actor = [-log_prob * (R - value.item()) for (log_prob, value), R in zip(steps, returns)]
        critic = [F.smooth_l1_loss(value, torch.tensor([R])) for (_, value), R in zip(steps, returns)]
        loss = torch.stack(actor).sum() + torch.stack(critic).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())

    states, actions = torch.linspace(-1, 1, 20).view(5, 4), torch.linspace(-1, 1, 10).view(5, 2)
    probs, _, gaussian = model(states)
    old = Normal(torch.zeros(5, 2), torch.ones(5, 2))
    ratio = torch.exp(gaussian.log_prob(actions).sum(-1) - old.log_prob(actions).sum(-1))
    surrogate = torch.min(ratio, ratio.clamp(0.8, 1.2)).mean()
    both = Categorical(logits=torch.log(probs)), Categorical(probs=torch.tensor([0.2, 0.3, 0.5]))
    diagonal = Independent(gaussian, 1)
    objective = surrogate + diagonal.entropy().mean() + kl_divergence(gaussian, old).mean() + both[0].entropy().mean()
    optimizer.zero_grad()
    (objective + kl_divergence(*both).mean() + diagonal.log_prob(actions).mean()).backward()
    coin, window = Bernoulli(logits=torch.tensor([0.3, -2.0])), Uniform(torch.tensor([0.0, 1.0]), 3.0)
    refused = []
    for make in (lambda: Normal(0.0, -1.0), lambda: Categorical(torch.tensor([-1.0, 2.0])), lambda: Uniform(1.0, 0.0)):
        try:
            refused.append(bool(make()))
        except ValueError:
            refused.append("ValueError")
    return {
        "history": history,
        "objective": objective,
        "grad": [p.grad for p in model.parameters()],
        "shapes": [
            tuple(gaussian.sample((7,)).shape),
            tuple(both[1].sample((7, 2)).shape),
            tuple(diagonal.event_shape),
        ],
        "coin": [coin.probs, coin.log_prob(torch.tensor([1.0, 0.0])), coin.entropy(), coin.variance],
        "window": [window.log_prob(torch.tensor([0.5, 2.0])), window.entropy(), window.mean],
        "ends": [Categorical(torch.tensor([0.0, 1.0])).entropy(), both[1].logits, both[1].mode],
        "tails": [old.cdf(actions), old.icdf(torch.sigmoid(actions)), old.variance],
        "gradients": [gaussian.sample().requires_grad, gaussian.rsample().requires_grad],
        "refused": refused,
    }
