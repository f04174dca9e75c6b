"""Metrics: pure functions in NumPy float64, with scikit-learn's names and argument order where it has them.

Where a ratio has denominator zero its value is 0. Classes are integers 0 … num_classes-1.
"""

from engine.metrics.calibration import Reliability as Reliability
from engine.metrics.calibration import brier_score as brier_score
from engine.metrics.calibration import calibration_figures as calibration_figures
from engine.metrics.calibration import expected_calibration_error as expected_calibration_error
from engine.metrics.calibration import fit_temperature as fit_temperature
from engine.metrics.calibration import reliability as reliability
from engine.metrics.classification import ClassScores as ClassScores
from engine.metrics.classification import Confusion as Confusion
from engine.metrics.classification import accuracy_score as accuracy_score
from engine.metrics.classification import classification_metrics as classification_metrics
from engine.metrics.classification import condense_confusion as condense_confusion
from engine.metrics.classification import confusion_matrix as confusion_matrix
from engine.metrics.classification import f1_score as f1_score
from engine.metrics.classification import log_loss as log_loss
from engine.metrics.classification import matthews_corrcoef as matthews_corrcoef
from engine.metrics.classification import most_confused as most_confused
from engine.metrics.classification import precision_recall_fscore_support as precision_recall_fscore_support
from engine.metrics.classification import softmax as softmax
from engine.metrics.evaluation import evaluation as evaluation
from engine.metrics.evaluation import multilabel_evaluation as multilabel_evaluation
from engine.metrics.evaluation import regression_evaluation as regression_evaluation
from engine.metrics.evaluation import worst_examples as worst_examples
from engine.metrics.groups import Gap as Gap
from engine.metrics.groups import GroupScores as GroupScores
from engine.metrics.groups import group_figures as group_figures
from engine.metrics.groups import group_gaps as group_gaps
from engine.metrics.groups import group_metrics as group_metrics
from engine.metrics.groups import wilson_interval as wilson_interval
from engine.metrics.multilabel import average_precision as average_precision
from engine.metrics.multilabel import multilabel_decisions as multilabel_decisions
from engine.metrics.multilabel import multilabel_metrics as multilabel_metrics
from engine.metrics.multilabel import multilabel_scores as multilabel_scores
from engine.metrics.regression import pearson_correlation as pearson_correlation
from engine.metrics.regression import regression_metrics as regression_metrics
from engine.metrics.regression import spearman_correlation as spearman_correlation
from engine.metrics.spans import Span as Span
from engine.metrics.spans import SpanScores as SpanScores
from engine.metrics.spans import TypeScores as TypeScores
from engine.metrics.spans import span_scores as span_scores
from engine.metrics.spans import tag_spans as tag_spans
