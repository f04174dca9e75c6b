"""Builds libcudasim.so, the stand-in CUDA driver that executes PTX on the CPU, and tells where it is.

ENGINE_CUDA_DRIVER=$(python tests/cudasim/build.py) python -m pytest tests
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent


def default_directory() -> Path:
    """CUDASIM_BUILD, or one of this source tree's own in the temporary folder, so that later calls find it there."""
    if given := os.environ.get("CUDASIM_BUILD"):
        return Path(given)
    tree = hashlib.sha256(str(SOURCE).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"cudasim-{os.getuid()}-{tree}"


def build(directory: str | os.PathLike | None = None) -> Path:
    """Builds the library (what changed of it) into a directory, by default the one above, and returns its path."""
    out = Path(directory or default_directory())
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "lock", "w") as lock:  # other processes may want it at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build(out)


def _build(out: Path) -> Path:
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
