"""Whole architectures, with readers and writers of their checkpoints."""

from engine.models.config import TransformerConfig
from engine.models.transformer import TransformerClassifier, TransformerEncoderModel

__all__ = ["TransformerClassifier", "TransformerConfig", "TransformerEncoderModel"]
