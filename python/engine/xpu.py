"""What scripts ask of `torch.xpu` before they use it: engine has no Intel GPUs."""

__all__ = ["device_count", "is_available"]


def is_available() -> bool:
    """False: engine has no Intel GPUs."""
    return False


def device_count() -> int:
    """0: engine has no Intel GPUs."""
    return 0
