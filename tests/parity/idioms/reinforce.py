"""REINFORCE on a small corridor: log-probabilities kept in a list, discounted returns, one backward for the episode."""

from collections import deque

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

eps = np.finfo(np.float32).eps.item()


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1, self.dropout, self.affine2 = nn.Linear(4, 16), nn.Dropout(p=0.0), nn.Linear(16, 2)
        self.saved_log_probs, self.rewards = [], []

    def forward(self, x):
        x = F.relu(self.dropout(self.affine1(x)))
        return F.softmax(self.affine2(x), dim=1)


def select_action(policy, state):
    state = torch.from_numpy(state).float().unsqueeze(0)
    probs = policy(state)
    action = probs.argmax(dim=1, keepdim=True)
    policy.saved_log_probs.append(probs.log().gather(1, action).squeeze(1))
    return action.item()


def finish_episode(policy, optimizer):
    R, policy_loss, returns = 0, [], deque()
    for r in policy.rewards[::-1]:
        R = r + 0.99 * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    for log_prob, R in zip(policy.saved_log_probs, returns):
        policy_loss.append(-log_prob * R)
    optimizer.zero_grad()
    policy_loss = torch.cat(policy_loss).sum()
    policy_loss.backward()
    optimizer.step()
    del policy.rewards[:]
    del policy.saved_log_probs[:]
    return policy_loss.item()


def build():
    return Policy()


def run(policy):
    optimizer = optim.Adam(policy.parameters(), lr=1e-2)
    losses, actions = [], []
    for episode in range(3):
        state = np.array([0.1 * episode, -0.2, 0.3, 0.4])
        for t in range(6):
            action = select_action(policy, state)
            actions.append(action)
            state = np.roll(state, 1) * (0.9 if action else 1.1)
            policy.rewards.append(float(state[0] > 0) + 0.1 * t)
        losses.append(finish_episode(policy, optimizer))
    probs = policy(torch.zeros(1, 4))
    return {"losses": losses, "actions": actions, "drawn": tuple(torch.multinomial(probs, 5, replacement=True).shape)}
