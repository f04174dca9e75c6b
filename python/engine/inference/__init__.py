"""Inference: predictions, embeddings, explanations and export of trained models."""

from engine.inference.classifier import Prediction as Prediction
from engine.inference.classifier import TextClassifier as TextClassifier
from engine.inference.embedder import SentenceEncoder as SentenceEncoder
from engine.inference.embedder import similarity as similarity
from engine.inference.embedding_files import embed_file as embed_file
from engine.inference.explain import Attribution as Attribution
from engine.inference.explain import attention_maps as attention_maps
from engine.inference.explain import attention_of as attention_of
from engine.inference.explain import explain_examples as explain_examples
from engine.inference.explain import integrated_gradients as integrated_gradients
from engine.inference.predictor import Predictor as Predictor

__all__ = [
    "Attribution",
    "Prediction",
    "Predictor",
    "SentenceEncoder",
    "TextClassifier",
    "attention_maps",
    "attention_of",
    "embed_file",
    "explain_examples",
    "integrated_gradients",
    "similarity",
]
