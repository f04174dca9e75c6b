"""The peer: `transformers`' BERT with the heads it has for a label a text and a label a token, trained by PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.nn import functional as F
from transformers import BertForSequenceClassification, BertForTokenClassification, get_linear_schedule_with_warmup

from bench.finetune_data import Split, Task, by_length, classifier, padded, schedule

transformers.logging.set_verbosity_error()  # it would warn that the checkpoint has no classifier
transformers.logging.disable_progress_bar()


class Side:
    """A model, its optimizer and its schedule. dropout: None for the checkpoint's own."""

    def __init__(self, task: Task, folder: Path, seed: int = 0, dropout: float | None = None) -> None:
        torch.manual_seed(seed)
        kind = BertForTokenClassification if task.per_token else BertForSequenceClassification
        rates = {} if dropout is None else {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        self.model = kind.from_pretrained(folder, num_labels=len(task.names), attn_implementation="sdpa", **rates)
        weight, bias = classifier(task, self.model.config.hidden_size, seed)
        with torch.no_grad():
            self.model.classifier.weight.copy_(torch.from_numpy(weight))
            self.model.classifier.bias.copy_(torch.from_numpy(bias))
        self.model.train()
        self.task, recipe = task, task.recipe
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
        self.schedule = get_linear_schedule_with_warmup(self.optimizer, *schedule(task))

    def logits(self, split: Split, rows: Any) -> tuple[torch.Tensor, torch.Tensor]:
        ids, mask, labels = padded(split, rows)
        given = torch.from_numpy(ids), torch.from_numpy(mask)
        return self.model(*given).logits.flatten(0, -2), torch.from_numpy(labels).flatten()

    def step(self, rows: np.ndarray, parts: int = 1) -> float:
        """One update on some training texts; returns the loss. parts: compute the batch in this many parts of similar length. The
        gradient is the same, except for dropout's random numbers, and less is padded: for accuracy, never for times."""
        train = self.task.train
        ordered = rows[np.argsort([len(train.ids[i]) for i in rows], kind="stable")] if parts > 1 else rows
        counted = sum(int((train.labels[i] >= 0).sum()) for i in rows)
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for part in np.array_split(ordered, min(parts, len(rows))):
            logits, labels = self.logits(train, part)
            if parts == 1:
                loss = F.cross_entropy(logits, labels)
            else:
                loss = F.cross_entropy(logits, labels, reduction="sum") / counted
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.task.recipe.clip)
        self.optimizer.step()
        self.schedule.step()
        return total

    def predict(self, split: Split) -> list[np.ndarray]:
        """The number of the best label of each text, or of each token of each text."""
        found: list[np.ndarray] = [np.zeros(0, np.int64)] * len(split)
        self.model.eval()
        with torch.inference_mode():
            for rows in by_length(split, 64):
                logits, _ = self.logits(split, rows)
                best = logits.argmax(-1).reshape(len(rows), -1).numpy()
                for i, row in zip(rows, best):
                    found[i] = row[: len(split.labels[i])].copy()
        self.model.train()
        return found
