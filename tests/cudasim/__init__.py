"""The CUDA simulator: how it is built, how kernels are launched on it, and what its tests launch."""
