"""Metrics: pure functions in NumPy float64, with scikit-learn's names and argument order where it has them.

A ratio whose denominator is zero is 0. Classes are integers 0 … num_classes-1.
"""

from engine.metrics import calibration, classification, groups, multilabel, regression, spans
from engine.metrics import evaluation as _evaluation  # the module; `evaluation` is its function
from engine.metrics.calibration import *
from engine.metrics.classification import *
from engine.metrics.evaluation import *
from engine.metrics.groups import *
from engine.metrics.multilabel import *
from engine.metrics.regression import *
from engine.metrics.spans import *

__all__ = [
    *calibration.__all__, *classification.__all__, *_evaluation.__all__, *groups.__all__, *multilabel.__all__,
    *regression.__all__, *spans.__all__,
]  # fmt: skip
