"""Runs PyTorch's own test inputs, and small scripts in PyTorch's style, through engine, and compares with PyTorch.

`python -m tests.parity` says how. It needs `torch`; nothing in engine does.
"""
