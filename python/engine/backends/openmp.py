"""`torch.backends.openmp`: engine has its own threads (`engine.set_num_threads`) and no OpenMP."""

__all__ = ["is_available"]


def is_available() -> bool:
    """False."""
    return False
