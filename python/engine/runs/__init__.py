"""Runs: a run folder from its settings to its report. Begin a run, resume it, search for its settings."""

from engine.runs import fitting, folder, hyperparameters, plan, pretraining, resuming, run, start, text, textdata
from engine.runs.fitting import *
from engine.runs.folder import *
from engine.runs.hyperparameters import *
from engine.runs.plan import *
from engine.runs.pretraining import *
from engine.runs.resuming import *
from engine.runs.run import *
from engine.runs.start import *
from engine.runs.text import *
from engine.runs.textdata import *

__all__ = [
    *fitting.__all__, *folder.__all__, *hyperparameters.__all__, *plan.__all__, *pretraining.__all__, *resuming.__all__, *run.__all__,
    *start.__all__,
    *text.__all__, *textdata.__all__,
]  # fmt: skip
