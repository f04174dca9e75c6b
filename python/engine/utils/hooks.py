"""`RemovableHandle`: what the registration of a hook returns."""

from engine.tensor import RemovableHandle

__all__ = ["RemovableHandle"]
