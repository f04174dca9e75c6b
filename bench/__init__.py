"""Benchmarks of engine against the machine's limit and, if it is installed, PyTorch. `python -m bench --help`."""
