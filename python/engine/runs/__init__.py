"""Runs: a run folder from settings to report. Begin a run, go on with it, search for its settings."""

from engine.runs.folder import read_run as read_run
from engine.runs.hyperparameters import SearchResult as SearchResult
from engine.runs.hyperparameters import SearchSpace as SearchSpace
from engine.runs.hyperparameters import TrialRecord as TrialRecord
from engine.runs.hyperparameters import search as search
from engine.runs.pretraining import CorpusData as CorpusData
from engine.runs.pretraining import PretrainingRun as PretrainingRun
from engine.runs.pretraining import pretrain as pretrain
from engine.runs.resuming import resume as resume
from engine.runs.run import Run as Run
from engine.runs.start import StartConfig as StartConfig
from engine.runs.text import TextRun as TextRun
from engine.runs.text import train_text as train_text
from engine.runs.textdata import TextData as TextData

__all__ = [
    "CorpusData",
    "PretrainingRun",
    "Run",
    "SearchResult",
    "SearchSpace",
    "StartConfig",
    "TextData",
    "TextRun",
    "TrialRecord",
    "pretrain",
    "read_run",
    "resume",
    "search",
    "train_text",
]
