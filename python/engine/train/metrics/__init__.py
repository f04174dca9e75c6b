"""Metrics: pure functions in NumPy float64, with scikit-learn's names and argument order where it has them.

Where a ratio has denominator zero its value is 0. Classes are integers 0 … num_classes-1.
"""

from engine.train.metrics.calibration import Reliability as Reliability
from engine.train.metrics.calibration import brier_score as brier_score
from engine.train.metrics.calibration import calibration_figures as calibration_figures
from engine.train.metrics.calibration import expected_calibration_error as expected_calibration_error
from engine.train.metrics.calibration import fit_temperature as fit_temperature
from engine.train.metrics.calibration import reliability as reliability
from engine.train.metrics.classification import ClassScores as ClassScores
from engine.train.metrics.classification import Confusion as Confusion
from engine.train.metrics.classification import accuracy_score as accuracy_score
from engine.train.metrics.classification import classification_metrics as classification_metrics
from engine.train.metrics.classification import condense_confusion as condense_confusion
from engine.train.metrics.classification import confusion_matrix as confusion_matrix
from engine.train.metrics.classification import f1_score as f1_score
from engine.train.metrics.classification import log_loss as log_loss
from engine.train.metrics.classification import matthews_corrcoef as matthews_corrcoef
from engine.train.metrics.classification import most_confused as most_confused
from engine.train.metrics.classification import precision_recall_fscore_support as precision_recall_fscore_support
from engine.train.metrics.classification import softmax as softmax
from engine.train.metrics.groups import Gap as Gap
from engine.train.metrics.groups import GroupScores as GroupScores
from engine.train.metrics.groups import group_figures as group_figures
from engine.train.metrics.groups import group_gaps as group_gaps
from engine.train.metrics.groups import group_metrics as group_metrics
from engine.train.metrics.groups import wilson_interval as wilson_interval
from engine.train.metrics.multilabel import average_precision as average_precision
from engine.train.metrics.multilabel import multilabel_decisions as multilabel_decisions
from engine.train.metrics.multilabel import multilabel_metrics as multilabel_metrics
from engine.train.metrics.multilabel import multilabel_scores as multilabel_scores
from engine.train.metrics.regression import pearson_correlation as pearson_correlation
from engine.train.metrics.regression import regression_metrics as regression_metrics
from engine.train.metrics.regression import spearman_correlation as spearman_correlation
