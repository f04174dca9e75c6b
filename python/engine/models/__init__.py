"""Whole architectures, with readers and writers of their checkpoints."""

from engine.models.bert import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    EncoderOutput,
)
from engine.models.config import TransformerConfig
from engine.models.pretrained import LoadingInfo
from engine.models.transformer import TransformerClassifier, TransformerEncoderModel

__all__ = [
    "AutoModel",
    "AutoModelForMaskedLM",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "BertForMaskedLM",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
    "EncoderOutput",
    "LoadingInfo",
    "TransformerClassifier",
    "TransformerConfig",
    "TransformerEncoderModel",
]
