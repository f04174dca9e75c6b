"""PyTorch's switches of libraries and devices: `engine.backends.cudnn`, `.cuda`, `.mps`, `.mkldnn`, `.mkl`, `.openmp`.

engine has its own kernels. A switch that has a meaning for them acts; another one may be set, and engine says once that it changes
nothing. Reading a switch tells what holds.
"""

from engine.backends import cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
