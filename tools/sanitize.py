"""Builds the extension with sanitizers and runs tests with it: what they find ends the tests with an error.

    python tools/sanitize.py address [--isas 'baseline;avx2;avx512'] [-- TESTS...]      # AddressSanitizer and UndefinedBehaviorSanitizer
    python tools/sanitize.py thread [-- TESTS...]                                       # ThreadSanitizer

TESTS are arguments of pytest; without them, the tests of kernels (or those of threads) run. It needs g++ with its sanitizers and the
packages of `make dev`. The build stays in build/sanitize-address or build/sanitize-thread, and the one in the source tree is left alone.
Python itself is not instrumented: memory that NumPy or Python's own code misuses is seen only where engine's code touches it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SANITIZERS = {"address": "address,undefined", "thread": "thread"}
TESTS = {
    "address": ["tests/test_specs.py", "tests/test_array.py", "tests/test_runtime.py", "tests/test_refusals.py", "tests/test_concurrency.py"],
    "thread": ["tests/test_concurrency.py", "tests/test_runtime.py", "tests/test_loader_workers.py", "tests/test_data_prefetch.py"],
}  # fmt: skip
# Python keeps objects until its end, so that leaks are no findings. Errors end the process.
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:detect_odr_violation=0",
    "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": f"halt_on_error=1:exitcode=66:suppressions={ROOT / 'tools' / 'tsan.txt'}",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=SANITIZERS)
    parser.add_argument("--isas", default="baseline;avx2;avx512")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("tests", nargs="*")
    given = parser.parse_args()
    package = built(given.kind, given.isas)
    if given.build_only:
        return 0
    library = subprocess.run(
        [os.environ.get("CXX", "g++"), f"-print-file-name=lib{given.kind[0]}san.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    stdlib = library.replace(
        Path(library).name, "libstdc++.so"
    )  # the sanitizer looks for __cxa_throw when it is loaded
    environment = {
        **os.environ, **OPTIONS, "LD_PRELOAD": f"{library} {stdlib}", "PYTHONPATH": str(package), "PYTHONMALLOC": "malloc",
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        *(given.tests or TESTS[given.kind]),
    ]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def built(kind: str, isas: str) -> Path:
    """A folder for PYTHONPATH: the package with the sanitized extension, and links to everything else."""
    build = ROOT / "build" / f"sanitize-{kind}"
    pybind = subprocess.run(
        [sys.executable, "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=True
    )
    options = {
        "ENGINE_SANITIZE": SANITIZERS[kind], "ENGINE_ISAS": isas, "ENGINE_CUDA": "OFF", "SKBUILD": "ON",
        "pybind11_DIR": pybind.stdout.strip(), "Python_EXECUTABLE": sys.executable,
    }  # fmt: skip
    if shutil.which("ccache"):
        options["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
    defined = [f"-D{name}={value}" for name, value in options.items()]
    subprocess.run(["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", *defined], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build], check=True)
    package = build / "python"
    shutil.rmtree(package, ignore_errors=True)
    (package / "engine").mkdir(parents=True)
    for entry in (ROOT / "python" / "engine").iterdir():
        if entry.suffix != ".so" and entry.name != "__pycache__":
            (package / "engine" / entry.name).symlink_to(entry)
    subprocess.run(["cmake", "--install", build, "--prefix", package], check=True, stdout=subprocess.DEVNULL)
    return package


if __name__ == "__main__":
    sys.exit(main())
