"""TextClassifier: scikit-learn's methods, and scikit-learn's own tools that take it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from cli_runs import texts
from engine.inference import Predictor, TextClassifier

TEXTS, LABELS = map(list, zip(*texts(3)))
RUNS = Path(__file__).parent / "runs-0.1"
SETTINGS = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}


def small(**options) -> TextClassifier:
    return TextClassifier(epochs=options.pop("epochs", 2), batch_size=8, max_length=16, settings=SETTINGS, **options)


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    return small(epochs=6).fit(TEXTS, LABELS)


def test_predictions_are_arrays_of_labels(fitted):
    assert fitted.classes_.tolist() == sorted(set(LABELS))
    found, probabilities = fitted.predict(TEXTS), fitted.predict_proba(TEXTS)
    assert found.shape == (len(TEXTS),) and found.dtype == fitted.classes_.dtype
    assert probabilities.shape == (len(TEXTS), 3) and probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert (fitted.classes_[probabilities.argmax(1)] == found).all()
    assert fitted.score(TEXTS, LABELS) == np.mean(found == np.array(LABELS)) > 1 / 3
    right = (found == np.array(LABELS)).astype(float)
    assert fitted.score(TEXTS, LABELS, sample_weight=right + 0.5) == np.average(right, weights=right + 0.5)
    answer = fitted.answer(["the card"], top_k=2)[0]
    assert answer["label"] == fitted.predict(["the card"])[0] and len(answer["top"]) == 2
    assert answer["probability"] == pytest.approx(fitted.predict_proba(["the card"]).max(), abs=2e-6)
    for one in (np.array(["the card"]), np.array([["the card"]]), ("the card",)):
        assert fitted.predict(one).shape == (1,)
    with pytest.raises(ValueError, match=r"y: expected labels of `classes_`, got none of them, but 7"):
        fitted.score(["the card"], [7])


@pytest.mark.parametrize("numbers", [[10, -2, 9], [True, False, False], [1.0, 2.0, 11.0]])
def test_classes_keep_their_type(numbers):
    names = sorted(set(LABELS))
    y = np.array([numbers[names.index(label)] for label in LABELS])
    classifier = small(epochs=6).fit(np.array(TEXTS), y)
    assert classifier.classes_.dtype == y.dtype and classifier.classes_.tolist() == sorted(set(numbers))
    found = classifier.predict(TEXTS)
    assert found.dtype == y.dtype and classifier.score(TEXTS, y) == np.mean(found == y) > 0.6
    assert (classifier.classes_[classifier.predict_proba(TEXTS).argmax(1)] == found).all()


def test_the_same_seed_gives_the_same_classifier(fitted, tmp_path):
    again = small(epochs=6).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    other = small(epochs=6, seed=1).fit(TEXTS, LABELS)
    assert not np.array_equal(other.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    fitted.save_pretrained(tmp_path)
    opened = TextClassifier.from_pretrained(tmp_path)
    np.testing.assert_array_equal(opened.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    assert opened.predict(TEXTS).tolist() == fitted.predict(TEXTS).tolist()
    pickled = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(pickled.predict_proba(TEXTS), fitted.predict_proba(TEXTS))


def test_one_string_and_other_mistakes(fitted):
    for call in (fitted.predict, fitted.predict_proba, fitted.logits, fitted.answer):
        with pytest.raises(TypeError, match="texts: expected a list of values, one for each sample, got one string"):
            call("my card")
    with pytest.raises(TypeError, match="expected strings, got 1 "):
        fitted.predict([1])
    for y, error, message in (
        ("abc", TypeError, "y: expected a list of values"),
        (["a"], ValueError, "y: expected 2, one for each text, got 1"),
        ([0.5, 1.5], ValueError, "strings or whole numbers"),
        (["a", None], ValueError, r"y: expected a label for each text, got None in y.1."),
        (["a", "a"], ValueError, "at least two different labels"),
    ):
        with pytest.raises(error, match=message):
            small().fit(["one text", "two texts"], y)


@pytest.mark.parametrize("labels", [["x", "y"], list("abcdef")])
def test_few_texts_need_no_setting(labels, caplog):
    texts = [f"text of {label}" for label in labels]
    classifier = small(epochs=1).fit(texts, labels)
    assert classifier.predict(texts).shape == (len(labels),)
    assert f"nothing is held out of {len(labels)} texts" in caplog.text
    with pytest.raises(ValueError, match="validation_fraction: expected two parts"):
        small(validation_fraction=0.1).fit(texts, labels)


def test_before_it_is_fitted():
    classifier = TextClassifier()
    for method in (classifier.predict, classifier.predict_proba, classifier.answer):
        for error in (ValueError, AttributeError):
            with pytest.raises(error, match="expected a fitted classifier, got one without a model"):
                method(["a"])
    assert not hasattr(classifier, "classes_") and not hasattr(classifier, "temperature")


def test_parameters():
    classifier = TextClassifier("folder", lr=1e-3)
    assert classifier.get_params() == {
        "init": "folder", "epochs": None, "lr": 1e-3, "batch_size": 32, "max_length": None, "validation_fraction": None, "seed": 0,
        "device": None, "settings": None,
    }  # fmt: skip
    assert repr(classifier) == "TextClassifier(init='folder', lr=0.001)"
    assert (
        classifier.set_params(lr=None, seed=3) is classifier
        and repr(classifier) == "TextClassifier(init='folder', seed=3)"
    )
    with pytest.raises(ValueError, match=r"learning_rate: expected one of init, epochs"):
        classifier.set_params(learning_rate=1)


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="model: expected a model that gives texts labels, got one for tagging"):
        TextClassifier.from_pretrained(RUNS / "tagging")


def test_calibrated_probabilities():
    classifier = TextClassifier.from_pretrained(RUNS / "classification")
    classifier.temperature = 100.0
    np.testing.assert_allclose(classifier.predict_proba(["my card"]), 1 / len(classifier.labels), rtol=0.1)
    assert Predictor.from_pretrained(RUNS / "classification").labels.names == classifier.labels


# ---- scikit-learn


def test_scikit_learn_is_not_needed():
    code = "import sys; sys.modules['sklearn'] = None; from engine.inference import TextClassifier; TextClassifier().get_params()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scikit_learns_tools():
    sklearn = pytest.importorskip("sklearn")
    from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    copy = sklearn.clone(small(seed=4))
    assert copy.get_params() == small(seed=4).get_params()
    scores = cross_val_score(small(epochs=1), TEXTS, LABELS, cv=2)
    assert scores.shape == (2,) and (scores >= 0).all()
    assert cross_val_score(small(epochs=1), np.array(TEXTS), np.array(LABELS), cv=2, scoring="f1_macro").shape == (2,)
    assert cross_val_predict(small(epochs=1), TEXTS, LABELS, cv=2, method="predict_proba").shape == (len(TEXTS), 3)
    search = GridSearchCV(small(), {"epochs": [1, 6]}, cv=2, scoring="accuracy").fit(TEXTS, LABELS)
    assert search.best_params_["epochs"] in (1, 6) and search.predict(["my card"]).shape == (1,)
    lower = FunctionTransformer(lambda rows: [row.lower() for row in rows])
    pipeline = Pipeline([("lower", lower), ("model", small(epochs=6))]).set_params(model__seed=2).fit(TEXTS, LABELS)
    assert pipeline.score(TEXTS, LABELS) > 0.6 and pipeline.predict_proba(TEXTS[:2]).shape == (2, 3)
    assert pipeline.classes_.tolist() == sorted(set(LABELS))


# Checks that hand numbers to `fit` and `predict`, and so cannot be met by texts.
OF_NUMBERS = {
    "check_fit_score_takes_y", "check_estimators_overwrite_params", "check_dont_overwrite_parameters", "check_estimators_fit_returns_self",
    "check_readonly_memmap_input", "check_estimators_unfitted", "check_n_features_in_after_fitting", "check_positive_only_tag_during_fit",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_the_checks_of_scikit_learn():
    """`check_estimator` itself runs few of its checks for estimators of texts, so they are called one by one, too."""
    pytest.importorskip("sklearn", minversion="1.6")
    from sklearn.base import is_classifier
    from sklearn.utils import estimator_checks, get_tags
    from sklearn.utils.validation import check_is_fitted

    classifier = small()
    assert (
        is_classifier(classifier)
        and get_tags(classifier).input_tags.string
        and get_tags(classifier).target_tags.required
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = estimator_checks.check_estimator(classifier, on_fail=None)
    assert results and all(each["status"] in ("passed", "skipped") for each in results)
    ran = {each["check_name"] for each in results if each["status"] == "passed"}
    for check in estimator_checks._yield_api_checks(classifier):
        name = getattr(check, "__name__", None) or check.func.__name__
        if name not in OF_NUMBERS:
            check("TextClassifier", classifier)
            ran.add(name)
    assert {"check_estimator_cloneable", "check_estimator_repr", "check_no_attributes_set_in_init"} <= ran
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(classifier)
    check_is_fitted(classifier.fit(TEXTS, LABELS))


def test_settings_are_parameters_and_weights_of_texts_are_refused():
    one = TextClassifier(epochs=1, settings={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2})
    assert one.get_params()["settings__hidden_size"] == 16 and "settings__hidden_size" not in one.get_params(deep=False)
    before = one.settings
    assert one.set_params(settings__hidden_size=32, epochs=2) is one and (one.settings["hidden_size"], one.epochs) == (
        32,
        2,
    )
    assert before["hidden_size"] == 16  # a clone may hold the same dict
    assert one.set_params(settings__lora_rank=2, settings=None).settings == {"lora_rank": 2}
    with pytest.raises(ValueError, match=r"hidden_size: expected one of init.*\(if .* settings__hidden_size sets it\)"):
        one.set_params(hidden_size=3)
    with pytest.raises(TypeError, match=r"fit\] sample_weight: expected no such argument.*'class_weights': 'balanced'"):
        one.fit(TEXTS, LABELS, sample_weight=np.ones(len(TEXTS)))
    with pytest.raises(TypeError, match=r"fit\] groups: expected X and y, got list"):
        one.fit(TEXTS, LABELS, groups=[])


def test_a_grid_of_sizes():
    selection = pytest.importorskip("sklearn.model_selection")
    one = TextClassifier(epochs=1, settings={"num_hidden_layers": 1, "num_attention_heads": 2})
    grid = selection.GridSearchCV(one, {"settings__hidden_size": [8, 16]}, cv=2, error_score="raise").fit(TEXTS, LABELS)
    best = grid.best_estimator_
    assert best.predictor_.model.config.hidden_size == grid.best_params_["settings__hidden_size"]
    assert one.settings == {"num_hidden_layers": 1, "num_attention_heads": 2}
