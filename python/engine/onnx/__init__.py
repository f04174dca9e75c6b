"""`torch.onnx`'s names. `engine.inference.export_onnx` exports models to ONNX."""

from typing import Any, NoReturn

from engine.errors import NotDefined
from engine.onnx import operators

__all__ = ["export", "is_in_onnx_export", "operators"]


def export(model: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises NotImplementedError, which says the way: engine exports the folder of a model with its tokenizer, and runs no example."""
    got = f"{type(model).__name__} and an example of its input"
    hint = "save_pretrained writes a folder; then engine.inference.export_onnx(folder, output) or `engine export --format onnx`"
    raise NotDefined("onnx.export", "model", "the folder of a model of engine.models", got, hint)


def is_in_onnx_export() -> bool:
    """False: engine exports a model without running it."""
    return False
