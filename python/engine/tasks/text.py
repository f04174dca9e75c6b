"""TextTask: what the tasks on texts have in common. How a table becomes a dataset; how logits become figures and answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from engine.data import in_order
from engine.errors import Argument, ArgumentError, BadType, BadValue, NotFinite, amount, require
from engine.models import AutoModelForSequenceClassification, TransformerConfig
from engine.models.forward import compute_logits, counted_rows, labels_on_host
from engine.nn import Module
from engine.ops.factory import from_numpy
from engine.settings import checked
from engine.tasks.base import Judgement, Part, Task, counted_targets
from engine.tasks.config import TaskConfig
from engine.tensor import Tensor
from engine.text import (
    Compose,
    Labels,
    PackedBatch,
    TextDataset,
    TextTable,
    TokenDropout,
    Tokenizer,
    augmentation,
    clean_text,
    read_table,
)
from engine.text.augment import transform_settings
from engine.text.table_columns import LABEL_COLUMNS, taken_by
from engine.text.table_columns import Columns as AskedColumns

__all__ = ["Columns", "TextTask", "names_of"]

_OF_EACH_LABEL = "a report has the figures of each label without it"
_BOOLS = {"True": True, "False": False}
LABEL_TYPES: Mapping[str, Callable[[str], Any]] = {"int": int, "float": float, "bool": _BOOLS.__getitem__}
"""Types of labels, apart from strings, that a saved model remembers; and how a label is made of its name."""

Transform = Callable[[Any, int], Any]


class Columns(NamedTuple):
    """The names of the columns of a file that hold the parts of a sample. None: the usual names are looked for.

    extra: columns for comparisons of groups; None: all others. encoding: of the file. separator: between the labels of a text. names:
    of all columns, for a file without a header. delimiter, quoting: of CSV and TSV. format: of the file (see `read_table`). empty: whether rows without a label are read, too.
    """

    text: str | None = None
    label: str | None = None
    pair: str | None = None
    extra: tuple[str, ...] | None = ()
    encoding: str | None = None
    separator: str = "|"
    names: tuple[str, ...] = ()
    delimiter: str | None = None
    quoting: bool | None = None
    format: Any = None
    empty: bool = False


class TextTask(Task):
    """A task on texts that has labels and a model with logits.

    Args:
        labels: names of the classes, or of the one number of a regression. None: they have no names. Training does not need them.
        transform: `transform(batch, number)` changes each training batch. `engine.text.TokenDropout` is one. A resumed run must have
            the same one, by its `settings()`; if it has no such method, only the name of its function or class is compared.
        label_smoothing: share of the target that is spread over all classes.
        class_weights: (num_labels,), float32, a factor for each class in the loss; None: all weigh the same.

    Attributes:
        name: the task's name for `engine train --task`.
        augment: `transform` of the arguments.
        problem_type: the task's name in config.json, if it has one there.
        auto: the class that opens the task's models, such as `AutoModelForSequenceClassification`.
        scratch: fields of the config of a model that is made from scratch.
        new_head: whether a published model gets a new head if it has none that fits.
        unused: names of the settings of `TaskConfig`, `engine.runs.TextData`, models and commands that the task does not use.
        defaults: the task's own defaults of settings of `engine train`.
        stratified: whether a sample has exactly one label, so that each label can be held out in proportion.
        several_labels: whether a sample may have any number of labels, also none.
        has_probabilities: whether its logits are scores of labels, which a temperature can scale.
        label_word: what people call one of its labels; "" if it has none.
    """

    name: ClassVar[str]
    problem_type: ClassVar[str | None] = None
    auto: ClassVar[Any] = AutoModelForSequenceClassification
    scratch: ClassVar[Mapping[str, Any]] = {}
    unused: ClassVar[frozenset[str]] = frozenset(
        {"label_separator", "group_columns", "examples_per_class", "threshold"}
    )
    new_head: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {}
    stratified: ClassVar[bool] = False
    several_labels: ClassVar[bool] = False
    has_probabilities: ClassVar[bool] = True
    label_word: ClassVar[str] = "label"
    separator: str = ""  # between the labels of a text that has several
    between: str | None = None  # the entries of a list in a cell of CSV or TSV; None: lists are JSON there
    temperature: float | None = None  # of calibrated probabilities
    own: Mapping[str, Any] = MappingProxyType({})  # a caller's own labels by name, where they differ from the names
    groups: tuple[str, ...] = ()  # columns by whose values a report compares the figures

    def __init__(
        self,
        labels: Labels | Iterable[str] | None = None,
        *,
        transform: Transform | None = None,
        label_smoothing: float = 0.0,
        class_weights: Tensor | np.ndarray | Sequence[float] | None = None,
    ) -> None:
        op = type(self).__name__
        smoothing = checked(op, "label_smoothing", float, label_smoothing)
        require(0 <= smoothing <= 1, op, "label_smoothing", "a number in [0, 1]", smoothing)
        right = transform is None or callable(transform)
        require(right, op, "transform", "None or a function transform(batch, number)", repr(transform), error=BadType)
        if labels is not None and not isinstance(labels, Labels):
            labels = Labels(checked(op, "labels", tuple[str, ...], labels))
        self._labels = labels
        self.augment, self.label_smoothing = transform, smoothing
        self.class_weights = None if class_weights is None else _class_weights(op, class_weights)

    def judged_words(self) -> tuple[str, str]:
        """What people call that which recall counts, and its classes."""
        return "text", self.label_word

    @property
    def labels(self) -> Labels:
        """The names of the labels. Raises ValueError if the task was made without them."""
        if self._labels is None:
            raise BadValue(type(self).__name__, "labels", "the names of the labels", "none")
        return self._labels

    def called(self, number: int) -> Any:
        """What an answer calls a label: the caller's own label if there is one, otherwise its name."""
        name = self.labels.names[number]
        return self.own.get(name, name)

    # --- data

    @classmethod
    def read(cls, path: str, columns: Columns, labelled: bool = True) -> Any:
        """The table in a file. labelled: whether the labels are read, too. If not, each line becomes a row, also an empty one.

        Raises ValueError for a labelled table without labels, or without a text that is not empty."""
        table = read_table(
            path, columns.text, columns.label, columns.format, encoding=columns.encoding, read_labels=labelled, skip_empty_lines=labelled,
            pair_column=columns.pair, extra_columns=columns.extra, empty_labels=cls.several_labels or columns.empty,
            label_separator=(columns.separator or "|") if cls.several_labels else None, columns=columns.names or None,
            delimiter=columns.delimiter, quoting=columns.quoting,
        )  # fmt: skip
        if labelled:
            expected, hint = (
                f"texts in the column {table.text_column!r} of {path}",
                ("name another with ", Argument("text_column")),
            )
            some = any(text.strip() for text in table.texts)
            require(some, "train", "text_column", expected, f"{len(table)} empty ones", hint)
            _check_labels(table, path, columns)
        return table

    @classmethod
    @abstractmethod
    def collect(cls, tables: Sequence[Any], columns: Columns) -> Labels:
        """The names of the labels in the training tables."""

    @classmethod
    def from_config(cls, config: TaskConfig, labels: Labels) -> TextTask:
        """The task of a run. `balance` and `augment_by` add what depends on its training texts and on its tokenizer."""
        return cls(labels, label_smoothing=config.label_smoothing)

    @classmethod
    def of_model(cls, config: TransformerConfig) -> Any:
        """The task of a saved model. It answers with labels of the type that the caller's labels had (`LABEL_TYPES`)."""
        task = cls(names_of(config))
        task.take_label_type(config.published.get("label_type"), "config.json")
        return task

    def take_label_type(self, kind: Any, file: str) -> None:
        """Makes the labels the caller's own again, by their `label_type`, which a file holds. Raises ValueError if they are no such."""
        if kind is not None:
            try:
                self.own = {name: LABEL_TYPES[kind](name) for name in self.labels.names}
            except (KeyError, TypeError, ValueError):
                expected = f"one of {', '.join(LABEL_TYPES)}, as the names of the labels are, in {file}"
                raise BadValue(type(self).__name__, "label_type", expected, repr(kind)) from None

    def label_type(self) -> str | None:
        """The type of all of the caller's own labels, if their names say them fully; None: they are strings, or of several kinds."""
        own = [(name, self.called(number)) for number, name in enumerate(self.labels.names)]
        kinds = {type(label).__name__ for _, label in own}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind not in LABEL_TYPES:
            return None
        return kind if all(str(label) == name for name, label in own) else None

    def chosen(self) -> dict[str, Any]:
        return {"label_type": self.label_type()}  # a model that the run started from may have had another

    @abstractmethod
    def targets(self, table: Any) -> np.ndarray:
        """The labels of a table as numbers: (n,) for one label a sample, (n, num_labels) for several, (words,) for tags."""

    def dataset(self, table: Any, tokenizer: Tokenizer, max_length: int) -> TextDataset:
        """The samples as tokens, with targets if the table has labels."""
        targets = None if table.labels is None else self.targets(table)
        return encode_texts(table.texts, tokenizer, max_length, targets, table.pairs)

    def bare(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Any:
        """A table of texts without labels; pairs: the second text of each, for tasks on two."""
        return TextTable(list(texts), pairs=None if pairs is None else list(pairs))

    def texts(self, table: Any) -> list[str]:
        """The text of each sample, as a report shows it."""
        return table.texts if table.pairs is None else [f"{a} ‖ {b}" for a, b in zip(table.texts, table.pairs)]

    def remarks(self, table: Any) -> list[str]:
        """What a user should know of the labels of training texts, a sentence each."""
        return []

    # --- training

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of the model's config."""
        named = dict(enumerate(self.labels.names))
        return {"num_labels": len(self.labels), "id2label": named, "problem_type": self.problem_type}

    def head_rows(self, config: TransformerConfig) -> list[int] | None:
        """The row of each of the task's labels in a published head, whose labels `config` names; None: it lacks one of them.

        Where nobody named the labels (LABEL_0, LABEL_1, ...), their numbers are names, too."""
        rows = {name: number for number, name in config.labels.items()}
        if all(name == f"LABEL_{number}" for number, name in config.labels.items()):
            rows |= {str(number): number for number in config.labels}
        return [rows[name] for name in self.labels.names] if rows.keys() >= set(self.labels.names) else None

    def begin_head(self, model: Any, targets: np.ndarray) -> None:
        """Prepares the head of a new model, and the loss, for the targets of the training texts. Most tasks need nothing."""

    def balance(self, targets: np.ndarray) -> None:
        """Sets class weights: each class weighs in the loss as if all had as many samples (scikit-learn's "balanced")."""
        numbers = targets[targets >= 0]
        counts = np.bincount(numbers, minlength=len(self.labels))
        weights = numbers.size / (len(self.labels) * np.maximum(counts, 1))
        self.class_weights = from_numpy(weights.astype(np.float32))

    def augment_by(self, config: TaskConfig, tokenizer: Tokenizer, seed: int) -> None:
        """Sets `augment` to what the config asks for: token dropout and augmentation."""
        special = (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
        steps: list[Any] = []
        if config.token_dropout:
            if tokenizer.unk_token_id is None:
                raise BadValue(
                    "TaskConfig", "token_dropout", "a tokenizer with an unknown token", "a tokenizer without it"
                )
            keep = [number for number in special if number is not None]
            steps.append(TokenDropout(config.token_dropout, tokenizer.unk_token_id, keep, seed))
        if config.augment:
            try:
                steps.append(augmentation(config.augment, tokenizer, seed))
            except ArgumentError as error:
                error.relabel("TaskConfig", {"settings": "augment", "p": "augment"})
                raise
        if steps:
            self.augment = Compose(steps)

    def transform(self, batch: Any, number: int) -> Any:
        return batch if self.augment is None else self.augment(batch, number)

    def settings(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "labels": None if self._labels is None else list(self._labels.names),
            "label_smoothing": self.label_smoothing,
            "class_weights": None if self.class_weights is None else self.class_weights.tolist(),
            "transform": transform_settings(self.augment),
        }

    @staticmethod
    def labels_in(batch: PackedBatch) -> Tensor:
        """A batch's labels. Raises ValueError if it has none."""
        labels = getattr(batch, "labels", None)
        if labels is None:
            raise BadValue("Trainer", "train_data", "batches with labels", "a batch without labels")
        return labels

    def outputs(self, model: Module, batch: PackedBatch) -> Tensor:
        """The model's logits of a batch, (n, num_labels). Raises ValueError if the task has another number of labels."""
        logits = model(batch)
        self._require_fitting(logits.shape[-1])
        return logits

    def _require_fitting(self, outputs: int) -> None:
        """Raises ValueError unless there is a label, and a class weight, for each output of the model."""
        names, weights, op = self._labels, self.class_weights, type(self).__name__
        if names is not None and len(names) != outputs:
            expected = f"{amount(outputs, 'name')}, one for each output of the model"
            raise BadValue(op, "labels", expected, f"{len(names)}: {', '.join(names.names)}")
        if weights is not None and weights.numel() != outputs:
            raise BadValue(
                op, "class_weights", f"{amount(outputs, 'number')}, one for each output of the model", weights.tolist()
            )

    def weight(self, batch: PackedBatch) -> float:
        self.labels_in(batch)
        labels = labels_on_host(batch)
        if self.class_weights is None or labels is None or not np.issubdtype(labels.dtype, np.integer):
            return counted_targets(batch)
        return float(self.class_weights.numpy().astype(np.float64)[labels[labels >= 0]].sum())

    def weights_for(self, batch: PackedBatch) -> Tensor | None:
        """The class weights on the batch's device. The task keeps them on the host, because `weight` reads them there."""
        return None if self.class_weights is None else self.class_weights.to(batch.device)

    # --- judging

    def evaluate(self, model: Module, batches: Iterable[PackedBatch]) -> Mapping[str, float]:
        labels, logits = targets_and_logits(model, batches)
        self._require_fitting(logits.shape[-1])
        return self.figures(*counted_rows(labels, logits))

    @abstractmethod
    def figures(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """The figures of an evaluation, from all targets and logits."""

    def logits(self, model: Module, dataset: TextDataset, batch_size: int = 128) -> np.ndarray:
        """Logits, float32: (n, num_labels) of texts, (total_tokens, num_labels) of words, in the order of the data."""
        if not len(dataset):
            return np.zeros((0, len(self.labels)), np.float32)
        found = compute_logits(model, in_order(dataset, batch_size))[0]
        if not np.isfinite(found).all():  # an answer would be a label with the probability NaN
            hint = "a weight is NaN or infinite, or too large for its dtype"
            raise NotFinite(type(self).__name__, "model", "finite outputs", "NaN or infinity", hint)
        return found

    def judge(self, model: Module, part: Part, batch_size: int = 128, held_out: bool = False) -> Judgement:
        logits = self.logits(model, part.dataset, batch_size)
        return Judgement(self.report(part.table, part.dataset, logits), [])

    @abstractmethod
    def report(self, table: Any, dataset: TextDataset, logits: np.ndarray) -> dict[str, Any]:
        """An evaluation as `report.json` holds it."""

    @abstractmethod
    def answers(self, table: Any, dataset: TextDataset, logits: np.ndarray, top_k: int = 1) -> list[dict[str, Any]]:
        """What the model says of each sample, fit for JSON. top_k: how many classes to name for it."""

    @abstractmethod
    def cells(self, answer: Mapping[str, Any]) -> list[str]:
        """An answer as `engine predict` prints it: the cells of a line."""

    @abstractmethod
    def row(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """An answer as columns of a file, by names that a file of texts does not have."""

    def inputs(self, table: Any) -> dict[str, list[Any]]:
        """The columns of a table without labels, for a file with the answers."""
        return dict(table.named_columns())

    @classmethod
    def opens(cls, config: TransformerConfig, architecture: str) -> bool:
        """Whether a saved model, by its config and the name of its class, was trained for this task."""
        return config.problem_type == cls.problem_type

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._labels!r})"


def _class_weights(op: str, weights: Any) -> Tensor:
    """(num_labels,), float32, on the host. Raises TypeError for anything but numbers, ValueError for another shape, for negative
    numbers, and for numbers that are not finite."""
    given = weights.cpu().numpy() if isinstance(weights, Tensor) else np.array(weights)
    expected = "a list of finite numbers >= 0, one for each class"
    require(given.dtype.kind in "biuf", op, "class_weights", expected, repr(weights), error=BadType)
    right = given.ndim == 1 and given.size and bool((np.isfinite(given) & (given >= 0)).all())
    require(right, op, "class_weights", expected, given.tolist())
    return from_numpy(given.astype(np.float32))


def _check_labels(table: TextTable, path: str, columns: Columns) -> None:
    """Raises ValueError for a table without labels, and for a column of comparisons that is one of the texts or labels."""
    name_it = ("name it with ", Argument("label_column"))
    if table.labels is None:
        asked = AskedColumns(None, None, columns.pair, columns.extra)
        argument, name = taken_by(asked, table.header, LABEL_COLUMNS) or ("label_column", None)
        if name is not None:
            ways: list[Any] = [("name the column of the labels with ", Argument("label_column"))]
            ways += [_OF_EACH_LABEL] * (argument == "extra_columns")
            raise BadValue("train", argument, "a column other than the label's", repr(name), *ways)
        raise BadValue("train", argument, f"a column of labels in {path}", "none", name_it, *table.notes)
    read = {table.text_column: "texts", table.pair_column: "second texts", table.label_column: "labels"}
    for name in columns.extra or ():
        expected, got = "a column that divides the texts into groups", f"{name!r}, the column of the {read.get(name)}"
        hint = _OF_EACH_LABEL if name == table.label_column else "name another one"
        require(name not in read, "train", "group_columns", expected, got, hint)


def names_of(config: TransformerConfig) -> Labels:
    """The names of a model's classes; a class without one is called LABEL_0, LABEL_1, ... by its number, as in `transformers`. Raises
    ValueError if names belong to other numbers than those of the classes."""
    expected = f"names of the labels 0 to {config.num_labels - 1} in its config (id2label)"
    right = set(config.id2label or ()) <= set(range(config.num_labels))
    require(right, "TextClassifier", "model", expected, sorted(config.id2label or ()))
    return Labels(config.labels.values())


def targets_and_logits(model: Module, batches: Iterable[PackedBatch]) -> tuple[np.ndarray, np.ndarray]:
    """All labels and logits. Raises ValueError if a batch has no labels."""
    logits, labels = compute_logits(model, batches)
    if labels is None:
        raise BadValue("Trainer.evaluate", "data", "batches with labels", "a batch without labels")
    return labels, logits


def encode_texts(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    max_length: int,
    labels: Sequence[int] | np.ndarray | None = None,
    pairs: Iterable[str] | None = None,
) -> TextDataset:
    """Texts that are cleaned, tokenized and cut to `max_length` tokens. Training and prediction share this way."""
    second = None if pairs is None else [clean_text(text) for text in pairs]
    return TextDataset.from_texts([clean_text(text) for text in texts], tokenizer, labels, max_length, second)
