"""Builds libcudasim.so, the stand-in CUDA driver that executes PTX on the CPU, and tells where it is.

ENGINE_CUDA_DRIVER=$(python tests/cudasim/build.py) python -m pytest tests
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent


def build(directory: str | os.PathLike | None = None) -> Path:
    """Builds the library (what changed of it) into a directory and returns its path.

    Without a directory it is CUDASIM_BUILD, or one in the temporary folder, so that later calls find it there."""
    default = Path(tempfile.gettempdir()) / f"cudasim-{os.getuid()}"
    out = Path(directory or os.environ.get("CUDASIM_BUILD") or default)
    library = out / "libcudasim.so"
    for command in (
        ["cmake", "-S", SOURCE, "-B", out, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"],
        ["cmake", "--build", out],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return library


if __name__ == "__main__":
    print(build(sys.argv[1] if len(sys.argv) > 1 else None))
