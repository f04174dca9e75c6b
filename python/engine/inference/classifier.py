"""TextClassifier: a classifier of texts with the methods of scikit-learn's estimators. scikit-learn itself is not needed."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.errors import BadAttribute, BadType, BadValue, require
from engine.inference.predictor import Predictor
from engine.metrics import softmax
from engine.text import Tokenizer
from engine.text.cleaning import clean_label
from engine.text.label_forms import LabelSets, check_present, label_sets, own, several_columns
from engine.text.lists import list_of, strings_of

__all__ = ["TextClassifier"]


class NotFitted(BadValue, BadAttribute):
    """A classifier that was not fitted yet. It is a ValueError and an AttributeError, as scikit-learn's NotFittedError is."""


class TextClassifier:
    """Gives each text one label, or several. It follows scikit-learn: `cross_val_score`, `GridSearchCV` and `Pipeline` take it.

        >>> classifier = TextClassifier(init="MiniLM").fit(texts, labels)
        >>> classifier.predict(["My card has not arrived yet"])
        array(['card_arrival'], dtype='<U12')
        >>> TextClassifier.from_pretrained("runs/banking77").predict_proba(["My card has not arrived yet"])

    Texts are a list, a NumPy array (n,) or (n, 1), or a column of pandas, polars or `datasets`; labels are strings or whole numbers. For
    several labels a text, y is columns of 0 and 1 (an array or a sparse matrix (n, k), as of `MultiLabelBinarizer`, or a table), or a list
    or set of labels for each text.

    Args:
        init: a published encoder to start from: a folder, or a name on the Hugging Face hub; None: a new model.
        epochs: passes over the texts; lr: the highest learning rate; None: the defaults of `engine train`.
        batch_size: the most texts in a batch. max_length: the most tokens in a text; None: 128, or fewer if the model takes fewer.
        validation_fraction: the share of the texts that is held out to choose the best epoch; 0: the last epoch is kept; None: 0.1, or 0
            if the texts are too few.
        seed: decides all random draws. device: where the model runs; None: the CPU.
        settings: further settings by name, as in `engine.train.fit`, such as {"lora_rank": 8}. A grid names one as settings__lora_rank.

    Attributes:
        classes_: the labels, sorted, (num_labels,): the columns of `predict_proba`. They are the objects of y: 3 for 3, and " a " for " a ".
            If y is a matrix, they are its columns, in their order. After `from_pretrained` they are strings, or
            whole numbers or truth values if all labels of y were.
        predictor_: the `Predictor` with the model, its tokenizer and its task.

    Before `fit` or `from_pretrained`, methods that need a model raise an error that is a ValueError and an AttributeError.
    """

    _estimator_type = "classifier"  # of scikit-learn before 1.6

    def __init__(
        self,
        init: str | os.PathLike[str] | None = None,
        *,
        epochs: int | None = None,
        lr: float | None = None,
        batch_size: int = 32,
        max_length: int | None = None,
        validation_fraction: float | None = None,
        seed: int = 0,
        device: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.init, self.epochs, self.lr, self.batch_size, self.max_length = init, epochs, lr, batch_size, max_length
        self.validation_fraction, self.seed, self.device, self.settings = validation_fraction, seed, device, settings

    # --- made from texts, or opened

    def fit(self, X: Any, y: Any, **unused: Any) -> TextClassifier:
        """Trains a new model on n texts X and n labels y. Returns itself. Raises the errors of `engine.train.fit`, and TypeError for
        any further argument, such as sample_weight: training has weights of classes, but none of texts."""
        from engine.runs.fitting import Names, fit_as  # made of rooms above this one

        for name, value in unused.items():
            way = ["settings={'class_weights': 'balanced'} weighs the classes"] * (name == "sample_weight")
            expected = "no such argument, because each text counts the same"
            if value is not None or not way:
                raise BadType("TextClassifier.fit", name, expected if way else "X and y", type(value).__name__, *way)
        op, sets = f"{type(self).__name__}.fit", _sets("TextClassifier.fit", y)
        if sets is None:
            check_present(op, "y", list_of(op, "y", y))
            _check_kind(op, y)
        names = ("epochs", "lr", "max_length", "device", "validation_fraction")
        options = {name: getattr(self, name) for name in names}
        settings = {name: value for name, value in options.items() if value is not None}
        settings |= {"batch_size": self.batch_size, "seed": self.seed, **dict(self.settings or {})}
        task = "classification" if sets is None else "multilabel"
        predictor = fit_as(Names(op, "X", "y"), X, y, None, task, self.init, settings)
        found = [predictor.task.called(number) for number in range(len(predictor.labels))]
        if sets is not None and sets.columns is not None:
            return self._with(predictor, found, _array(sets.columns), matrix=True)
        return self._with(predictor, found, _array(_sorted(found), getattr(y, "dtype", None)))

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str], *, device: Any = None) -> TextClassifier:
        """Opens the folder of a training run, or one of a published classifier.

        Raises:
            FileNotFoundError: if the folder or a file in it is missing.
            ValueError: if a file is damaged, or the model does not give texts labels.
        """
        predictor = Predictor.from_pretrained(directory, device=device)
        task = predictor.task
        expected, got = "a model that gives texts labels", f"one for {task.name}"
        right = task.stratified or task.several_labels
        require(right, cls.__name__, "model", expected, got, "Predictor opens it")
        found = cls(device=None if device is None else str(device))
        labels = [task.called(number) for number in range(len(task.labels))]
        return found._with(predictor, labels, _array(_sorted(labels)))

    def _with(
        self, predictor: Predictor, labels: list[Any], classes: np.ndarray, matrix: bool = False
    ) -> TextClassifier:
        """Takes a model over. labels: of its outputs. matrix: whether several labels a text are rows of 0 and 1."""
        places = {label: column for column, label in enumerate(classes.tolist())}
        self.predictor_, self.classes_ = predictor, classes
        self._columns = np.array([places[label] for label in labels])  # of the model's outputs in `classes_`
        self._places, self._matrix = places, matrix
        return self

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Writes config.json, model.safetensors and the tokenizer's files into a folder."""
        self._fitted("save_pretrained").save_pretrained(directory)

    # --- answers

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probabilities (n, num_labels), float64, in the order of `classes_`. If each text has one label, each row sums to 1."""
        predictor = self._fitted("predict_proba")
        logits = self.logits(X).astype(np.float64) / predictor.temperature
        found = np.zeros((len(logits), len(self.classes_)))  # a column that had no 1 in training stays 0
        found[:, self._columns] = 1 / (1 + np.exp(-logits)) if predictor.task.several_labels else softmax(logits)
        return found

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each of n texts, (n,), of the dtype of `classes_`. For several labels a text: rows of 0 and 1,
        (n, num_labels), if y was such columns; otherwise tuples of labels, (n,)."""
        several = self._fitted("predict").task.several_labels
        if not several:
            logits = self.logits(X)
            ordered = np.empty_like(logits)
            ordered[:, self._columns] = logits
            return self.classes_[ordered.argmax(-1)]
        held = self._held(X)
        if self._matrix:
            return held.astype(np.int64)
        names, found = self.classes_.tolist(), np.empty(len(held), object)
        for row, each in enumerate(held):
            found[row] = tuple(name for name, holds in zip(names, each) if holds)
        return found

    def _held(self, X: Any) -> np.ndarray:
        """Whether each label of `classes_` holds of each text, bool (n, num_labels)."""
        task: Any = self.predictor_.task
        logits = self.logits(X)
        held = np.zeros((len(logits), len(self.classes_)), np.bool_)
        held[:, self._columns] = task.decisions(logits)
        return held

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy: the share of the n texts whose label, or whose whole set of labels, is predicted. sample_weight: how much each
        text counts, (n,)."""
        op = "TextClassifier.score"
        if self._fitted("score").task.several_labels:
            held, sets = self._held(X), _sets(op, y)
            given: Any = list_of(op, "y", y) if sets is None else sets.sets
            require(len(given) == len(held), op, "y", f"{len(held)}, one for each text", len(given))
            true = [{*map(self._place, each if isinstance(each, list) else [each])} for each in given]
            exact = [labels == {*np.flatnonzero(row).tolist()} for labels, row in zip(true, held)]
            return float(np.average(exact, weights=sample_weight))
        found, labels = self.predict(X), list_of(op, "y", y)
        require(len(labels) == len(found), op, "y", f"{len(found)}, one for each text", len(labels))
        columns = [self._place(own(each)) for each in labels]
        some = not labels or any(column is not None for column in columns)
        got = f"none of them, but {labels[0] if labels else ''!r}"
        require(some, op, "y", "labels of `classes_`", got)
        right = np.array([self._places[a] == b for a, b in zip(found.tolist(), columns)])
        return float(np.average(right, weights=sample_weight))

    def _place(self, label: Any) -> int | None:
        """The column of a label in `classes_`; None: it is no such label. Other spellings of a name are the same label, as in `fit`."""
        try:
            return self._places[label]
        except (KeyError, TypeError):
            name = clean_label(str(label))
            return next((at for each, at in self._places.items() if clean_label(str(each)) == name), None)

    def logits(self, X: Any, batch_size: int = 128) -> np.ndarray:
        """The model's outputs (n, num_labels), float32, in the order of `labels`. Raises TypeError if X is one string."""
        predictor = self._fitted("logits")
        texts = strings_of("TextClassifier", "texts", X)
        return predictor.dataset_logits(predictor.encode(predictor.task.bare(texts)), batch_size)

    def answer(self, texts: Any, top_k: int = 1, batch_size: int = 128) -> list[dict[str, Any]]:
        """The `top_k` most probable labels of each text, as objects for JSON; see `Predictor.answer`."""
        return self._fitted("answer").answer(strings_of("TextClassifier", "texts", texts), None, top_k, batch_size)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, in the order of the model's outputs."""
        return self._fitted("labels").labels.names

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self._fitted("tokenizer").tokenizer

    @property
    def temperature(self) -> float:
        """Probabilities are those of the logits divided by it."""
        return self._fitted("temperature").temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self._fitted("temperature").temperature = value

    def _fitted(self, method: str) -> Predictor:
        found = self.__dict__.get("predictor_")
        if found is None:
            raise NotFitted(
                f"TextClassifier.{method}", "self", "a fitted classifier", "one without a model", "call fit first"
            )
        return found

    # --- what scikit-learn asks of an estimator

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor by name. deep: with each setting, such as settings__lora_rank."""
        found = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        settings = self.settings if deep and isinstance(self.settings, Mapping) else {}
        return {**found, **{f"settings__{name}": value for name, value in settings.items()}}

    def set_params(self, **params: Any) -> TextClassifier:
        """Sets arguments of the constructor, and entries of `settings` as settings__lora_rank=8. Returns itself. Raises ValueError for
        an unknown name."""
        known = self.get_params(deep=False)
        for name in sorted(params):  # `settings` before its entries
            outer, _, inner = name.partition("__")
            if outer == "settings" and inner:
                self.settings = {**(self.settings or {}), inner: params[name]}
                continue
            hint = f"if it is a setting of engine.train.fit, settings__{name} sets it"
            expected = f"one of {', '.join(known)}"
            require(name in known, "TextClassifier.set_params", name, expected, "an unknown name", hint)
            setattr(self, name, params[name])
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return "predictor_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags  # who calls this has it

        texts = InputTags(one_d_array=True, two_d_array=False, string=True)
        labels, target = ClassifierTags(multi_label=True), TargetTags(required=True)
        return Tags("classifier", target, classifier_tags=labels, input_tags=texts)

    def __repr__(self) -> str:
        defaults = {name: each.default for name, each in inspect.signature(type(self)).parameters.items()}
        changed = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if value is not defaults[name] and value != defaults[name]
        }
        return f"TextClassifier({', '.join(f'{name}={value!r}' for name, value in changed.items())})"


def _sets(op: str, y: Any) -> LabelSets | None:
    """The labels of texts that may have several; None: each text has one."""
    if not several_columns(y):
        first = next(iter(list_of(op, "y", y)), None)
        if not isinstance(first, (list, tuple, set, frozenset, np.ndarray)):
            return None
    return label_sets(op, "y", y)


def _check_kind(op: str, y: Any) -> None:
    """Raises ValueError for labels that are neither all strings nor all whole numbers."""
    values = [own(each) for each in list_of(op, "y", y)]
    expected = "strings or whole numbers"
    for row, value in enumerate(values):
        number = isinstance(value, (bool, int, float))
        hints = ["regression has engine.train.fit"] * number
        right = isinstance(value, str) or (number and value == value // 1)
        if not right or isinstance(value, str) != isinstance(values[0], str):
            got = f"{value!r} ({type(value).__name__}) in y[{row}]"
            raise BadValue(op, "y", f"one label for each text: {expected}", got, *hints)


def _sorted(labels: list[Any]) -> list[Any]:
    return sorted(labels) if len({isinstance(each, str) for each in labels}) == 1 else sorted(labels, key=str)


def _array(labels: list[Any], dtype: Any = None) -> np.ndarray:
    """Labels as an array of the dtype that the caller's array had, if it is one of NumPy's."""
    kept = dtype if isinstance(dtype, np.dtype) and dtype.kind in "biufU" else None
    mixed = len({isinstance(each, str) for each in labels}) > 1
    if kept is None and (mixed or (isinstance(dtype, np.dtype) and dtype.kind == "O")):
        kept = np.dtype(object)
    return np.array(labels, kept)
