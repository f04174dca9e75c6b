"""ONNX: a trained model as a file that other programs run, without engine and without Python."""

from engine.inference.onnx.write import *
