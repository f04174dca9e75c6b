"""engine's side of fine-tuning: its BERT with a head, on packed batches. The same interface as `bench.finetune_torch.Side`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import engine
from bench.builds import find
from bench.finetune_data import Split, Task, by_length, classifier, padded, schedule
from engine import Tensor, optim
from engine.models import BertForSequenceClassification, BertForTokenClassification
from engine.nn import functional as F
from engine.nn.utils import clip_coefficient, get_total_norm

PackedBatch = find("PackedBatch")


class Side:
    """A model, its optimizer and its schedule. dropout: None for the checkpoint's own. padding: whether padding is computed as if it were text."""

    def __init__(
        self, task: Task, folder: Path, seed: int = 0, dropout: float | None = None, padding: bool = False
    ) -> None:
        engine.manual_seed(seed)
        kind: Any = BertForTokenClassification if task.per_token else BertForSequenceClassification
        rates = {} if dropout is None else {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        self.model = kind.from_pretrained(folder, num_labels=len(task.names), **rates)
        weight, bias = classifier(task, self.model.config.hidden_size, seed)
        with engine.no_grad():
            self.model.classifier.weight.copy_(engine.from_numpy(weight))
            self.model.classifier.bias.copy_(engine.from_numpy(bias))
        self.model.train()
        self.task, self.padding = task, padding
        self.parameters = list(self.model.parameters())
        self.optimizer = optim.AdamW(self.parameters, lr=task.recipe.lr, weight_decay=task.recipe.weight_decay)
        self.schedule = optim.get_linear_schedule_with_warmup(self.optimizer, *schedule(task))

    def batch(self, split: Split, rows: Any) -> Any:
        if self.padding:
            ids, _, labels = padded(split, rows)
            flat, lengths = ids.reshape(-1), np.full(len(ids), ids.shape[1])
        else:
            flat, lengths = np.concatenate([split.ids[i] for i in rows]), np.array([len(split.ids[i]) for i in rows])
            labels = np.concatenate([split.labels[i] for i in rows])
        return PackedBatch.from_flat(flat, lengths, labels=labels.reshape(-1))

    def logits(self, split: Split, rows: Any) -> tuple[Tensor, Tensor]:
        batch = self.batch(split, rows)
        assert batch.labels is not None
        return self.model(batch), batch.labels

    def step(self, rows: np.ndarray, parts: int = 1) -> float:
        """One update on some training texts; returns the loss. parts: not used, for nothing is padded."""
        if self.task.per_token and not self.padding:
            loss = self.model.loss(self.batch(self.task.train, rows))
        else:
            loss = F.cross_entropy(*self.logits(self.task.train, rows))
        self.optimizer.zero_grad()
        loss.backward()
        gradients = [g for p in self.parameters if (g := p.grad) is not None]
        scale = clip_coefficient(get_total_norm(gradients), self.task.recipe.clip)
        assert isinstance(scale, float)
        self.optimizer.step(grad_scale=min(1.0, scale))
        self.schedule.step()
        return float(loss.item())

    def predict(self, split: Split) -> list[np.ndarray]:
        """The number of the best label of each text, or of each token of each text."""
        found: list[np.ndarray] = [np.zeros(0, np.int64)] * len(split)
        self.model.eval()
        with engine.no_grad():
            for rows in by_length(split, 64):
                best = self.logits(split, rows)[0].numpy().argmax(-1)
                ends = np.cumsum([len(split.labels[i]) for i in rows])
                for i, part in zip(rows, np.split(best, ends[:-1])):
                    found[i] = part
        self.model.train()
        return found
