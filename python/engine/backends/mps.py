"""`torch.backends.mps`: engine does not compute on Apple's GPUs."""

__all__ = ["is_available", "is_built", "is_macos_or_newer"]


def is_available() -> bool:
    """False."""
    return False


def is_built() -> bool:
    """False."""
    return False


def is_macos_or_newer(major: int, minor: int) -> bool:
    """False: it is asked only for Apple's GPUs."""
    return False
