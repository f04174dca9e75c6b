"""Other paths to what engine has elsewhere, where PyTorch has it: `engine.utils.data`, `engine.utils.checkpoint`."""

from engine.utils import checkpoint, data, hooks

__all__ = ["checkpoint", "data", "hooks"]
