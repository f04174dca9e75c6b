"""Inference: predictions, embeddings, explanations and export of trained models."""

from engine.inference.classifier import *
from engine.inference.embedder import *
from engine.inference.embedding_files import *
from engine.inference.explain import *
from engine.inference.onnx import *
from engine.inference.prediction_files import *
from engine.inference.predictor import *
