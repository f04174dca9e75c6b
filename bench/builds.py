"""Where engine's names are in the build that this process imports: with `--against`, one of the workers has another build. Tasks
get names that have moved from here. No other file of the benchmark knows that builds differ.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

# The modules in which a name is or was, the newest first.
HOMES = {
    "Labels": ("engine.text", "engine.data"),
    "PackedBatch": ("engine.text", "engine.data"),
    "Tokenizer": ("engine.text", "engine.data"),
    "read_table": ("engine.text", "engine.data"),
}


def find(name: str) -> Any:
    """The class or function of that name. Raises ImportError if this build has it in none of the known places."""
    for home in HOMES[name]:
        if find_spec(home) and hasattr(module := import_module(home), name):
            return getattr(module, name)
    raise ImportError(f"{name}: expected in one of {', '.join(HOMES[name])}, got {import_module('engine').__file__}")
