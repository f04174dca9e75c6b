"""Benchmarks of engine against the machine's own limit and, where it is installed, PyTorch. `python -m bench --help`."""
