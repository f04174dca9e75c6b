"""`torch.onnx`'s names that models ask. `engine.inference` exports models to ONNX."""

from engine.onnx import operators

__all__ = ["is_in_onnx_export", "operators"]


def is_in_onnx_export() -> bool:
    """False: engine exports a model without running it."""
    return False
