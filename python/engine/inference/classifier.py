"""TextClassifier: a classifier of texts with the methods of scikit-learn's estimators. scikit-learn itself is not needed."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.errors import BadAttribute, BadValue, require
from engine.inference.predictor import Predictor
from engine.metrics import softmax
from engine.text import Tokenizer
from engine.text.lists import list_of, strings_of

__all__ = ["TextClassifier"]


class NotFitted(BadValue, BadAttribute):
    """A classifier that was not fitted yet. It is a ValueError and an AttributeError, as scikit-learn's NotFittedError is."""


class TextClassifier:
    """Gives each text one label. It follows scikit-learn: `cross_val_score`, `GridSearchCV` and `Pipeline` take it.

        >>> classifier = TextClassifier(init="MiniLM").fit(texts, labels)
        >>> classifier.predict(["My card has not arrived yet"])
        array(['card_arrival'], dtype='<U12')
        >>> TextClassifier.from_pretrained("runs/banking77").predict_proba(["My card has not arrived yet"])

    Texts are a list, a NumPy array (n,) or (n, 1), or a column of pandas, polars or `datasets`; labels are strings or whole numbers.

    Args:
        init: a published encoder to start from: a folder, or a name on the Hugging Face hub; None: a new model.
        epochs: passes over the texts; lr: the highest learning rate; None: the defaults of `engine train`.
        batch_size: the most texts in a batch. max_length: the most tokens in a text; None: 128, or fewer if the model takes fewer.
        validation_fraction: the share of the texts that is held out to choose the best epoch; 0: the last epoch is kept; None: 0.1, or 0
            if the texts are too few.
        seed: decides all random draws. device: where the model runs; None: the CPU.
        settings: further settings by name, as in `engine.train.fit`, such as {"lora_rank": 8}.

    Attributes:
        classes_: the labels, sorted, (num_labels,): the columns of `predict_proba`. After `from_pretrained` they are strings.
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

    def fit(self, X: Any, y: Any) -> TextClassifier:
        """Trains a new model on n texts X and n labels y. Returns itself. Raises the errors of `engine.train.fit`."""
        from engine.runs.fitting import fit  # made of rooms above this one

        labels = np.asarray(list_of("TextClassifier.fit", "y", y))
        whole = labels.ndim == 1 and labels.dtype.kind in "biuUO"
        if labels.ndim == 1 and labels.dtype.kind == "f":  # 1.0 is a name for 1, but 0.5 is a number to be predicted
            whole = bool((labels == np.floor(labels)).all())
        expected = "one label for each text: strings or whole numbers"
        require(
            whole,
            "TextClassifier.fit",
            "y",
            expected,
            f"{labels.dtype} of shape {tuple(labels.shape)}",
            "regression has engine.train.fit",
        )
        names = ("epochs", "lr", "max_length", "device", "validation_fraction")
        options = {name: getattr(self, name) for name in names}
        given = {name: value for name, value in options.items() if value is not None} | dict(self.settings or {})
        predictor = fit(X, labels, init=self.init, batch_size=self.batch_size, seed=self.seed, **given)
        return self._with(
            predictor, np.unique(labels) if labels.dtype != object else np.array(sorted(set(labels)), object)
        )

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str], *, device: Any = None) -> TextClassifier:
        """Opens the folder of a training run, or one of a published classifier.

        Raises:
            FileNotFoundError: if the folder or a file in it is missing.
            ValueError: if a file is damaged, or the model does not give each text one label.
        """
        predictor = Predictor.from_pretrained(directory, device=device)
        task = predictor.task
        expected, got = "a model that gives each text one label", f"one for {task.name}"
        require(task.stratified, cls.__name__, "model", expected, got, "Predictor opens it")
        return cls(device=None if device is None else str(device))._with(predictor, np.array(sorted(task.labels.names)))

    def _with(self, predictor: Predictor, classes: np.ndarray) -> TextClassifier:
        columns = {str(each).strip(): column for column, each in enumerate(classes)}
        names = predictor.labels.names
        known = len(columns) == len(classes) and columns.keys() == set(names)
        require(known, "TextClassifier", "y", "labels with distinct names", ", ".join(map(repr, classes.tolist())))
        self.predictor_, self.classes_ = predictor, classes
        self._order = np.argsort([columns[name] for name in names])  # from the model's outputs to the classes
        return self

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Writes config.json, model.safetensors and the tokenizer's files into a folder."""
        self._fitted("save_pretrained").save_pretrained(directory)

    # --- answers

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probabilities (n, num_labels), float64, in the order of `classes_`. Each row sums to 1."""
        predictor = self._fitted("predict_proba")
        return softmax(self.logits(X).astype(np.float64)[:, self._order] / predictor.temperature)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each of n texts, (n,), of the dtype of `classes_`."""
        self._fitted("predict")
        return self.classes_[self.logits(X)[:, self._order].argmax(-1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy: the share of the n texts whose label is predicted. sample_weight: how much each text counts, (n,)."""
        found, labels = self.predict(X), list_of("TextClassifier.score", "y", y)
        require(len(labels) == len(found), "TextClassifier.score", "y", f"{len(found)}, one for each text", len(labels))
        known = set(self.classes_.tolist())
        some = not labels or any(each in known for each in labels)
        require(
            some,
            "TextClassifier.score",
            "y",
            "labels of `classes_`",
            f"none of them, but {labels[0] if labels else ''!r}",
        )
        right = np.array([a == b for a, b in zip(found.tolist(), labels)])
        return float(np.average(right, weights=sample_weight))

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
        """The arguments of the constructor by name. deep: changes nothing, as no argument is an estimator."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> TextClassifier:
        """Sets arguments of the constructor. Returns itself. Raises ValueError for an unknown name."""
        known = self.get_params()
        for name, value in params.items():
            require(name in known, "TextClassifier.set_params", name, f"one of {', '.join(known)}", "an unknown name")
            setattr(self, name, value)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return "predictor_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags  # who calls this has it

        texts = InputTags(one_d_array=True, two_d_array=False, string=True)
        return Tags("classifier", TargetTags(required=True), classifier_tags=ClassifierTags(), input_tags=texts)

    def __repr__(self) -> str:
        defaults = {name: each.default for name, each in inspect.signature(type(self)).parameters.items()}
        changed = {
            name: value
            for name, value in self.get_params().items()
            if value is not defaults[name] and value != defaults[name]
        }
        return f"TextClassifier({', '.join(f'{name}={value!r}' for name, value in changed.items())})"
