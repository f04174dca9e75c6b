"""Tasks: what a training minimises, measures and answers, a file each."""

from engine.tasks import base, classification, config, masked_lm, multilabel, registry, regression, tagging, text
from engine.tasks.base import *
from engine.tasks.classification import *
from engine.tasks.config import *
from engine.tasks.masked_lm import *
from engine.tasks.multilabel import *
from engine.tasks.registry import *
from engine.tasks.regression import *
from engine.tasks.tagging import *
from engine.tasks.text import *

__all__ = [
    *base.__all__, *classification.__all__, *config.__all__, *masked_lm.__all__, *multilabel.__all__, *registry.__all__,
    *regression.__all__, *tagging.__all__, *text.__all__,
]  # fmt: skip
