"""Runs: from files to a run folder with a model, its figures and a report."""

from engine.runs.pretraining import format_pretraining as format_pretraining
from engine.runs.pretraining import pretrain as pretrain
from engine.runs.pretraining import resume_pretraining as resume_pretraining
from engine.runs.start import StartConfig as StartConfig
from engine.runs.text import TextData as TextData
from engine.runs.text import resume_text_classifier as resume_text_classifier
from engine.runs.text import train_text_classifier as train_text_classifier

__all__ = [
    "StartConfig",
    "TextData",
    "format_pretraining",
    "pretrain",
    "resume_pretraining",
    "resume_text_classifier",
    "train_text_classifier",
]
