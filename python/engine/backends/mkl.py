"""`torch.backends.mkl`: engine has its own kernels and no MKL."""

__all__ = ["is_available"]


def is_available() -> bool:
    """False."""
    return False
