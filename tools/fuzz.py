"""Fuzzes the readers of files: damaged and hostile files must give an error by the rule, within a second and 64 MiB.

    python tools/fuzz.py --seconds 600 --seed 1 [--reader safetensors ...] [--keep FOLDER]

Prints a line for each finding, and a table of cases at the end. `--keep` writes the files behind the findings into a folder, named by
their reader. The exit code is 1 if there are findings. A crash of the process leaves the last file in the folder that is printed first.
With `--large`, files of 1 MB that make as much work as they can; what is within the limits, and what is beyond, is printed.
With `--calls`, the public functions of `engine`, `engine.nn.functional` and `Tensor` get arguments that nobody expects; `--function`
takes only those of that name, and with PyTorch installed the answers are compared. The calls run in processes of their own.
With `--atheris`, coverage of the Python code guides the mutations of one reader (pip install atheris).
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--atheris", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--calls", action="store_true")
    parser.add_argument("--function")
    given = parser.parse_args()
    faulthandler.enable()
    if given.atheris:
        return _atheris(given)
    if given.large:
        return _large()
    if given.calls:
        return _calls(given)
    from hostile_files import READERS, finding, mutated

    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    print(f"files in {place}", flush=True)
    names = given.reader or list(READERS)
    whole = {}
    for name in names:
        folder = place / name
        folder.mkdir()
        READERS[name].build(folder)
        READERS[name].read(folder)  # a whole folder is read, and what is loaded once is loaded
        whole |= {(name, file): (folder / file).read_bytes() for file in READERS[name].files}
    chance, cases, refused = random.Random(given.seed), Counter[str](), Counter[str]()
    seen, began, slowest = Counter[str](), time.monotonic(), Counter[str]()
    while time.monotonic() - began < given.seconds:
        for (name, file), data in whole.items():
            hostile = mutated(file, data, chance)
            started = time.process_time()
            said, error = finding(READERS[name], place / name, file, hostile, data)
            slowest[name] = max(slowest[name], round(1000 * (time.process_time() - started)))
            cases[name] += 1
            refused[name] += error
            if said is not None:
                key = f"{name}/{file}: {said.split(' at 0x')[0][:90]}"
                seen[key] += 1
                if seen[key] == 1:
                    print(f"{name}/{file}: {said}", flush=True)
                    if given.keep:
                        given.keep.mkdir(parents=True, exist_ok=True)
                        digest = hashlib.sha256(hostile).hexdigest()[:8]
                        (given.keep / f"{name}--{file.replace('/', '~')}--{digest}").write_bytes(hostile)
    print(f"\n{'reader':<14}{'cases':>10}{'refused':>10}{'slowest':>10}")
    for name in names:
        print(f"{name:<14}{cases[name]:>10,}{refused[name]:>10,}{slowest[name]:>7} ms")
    seconds = time.monotonic() - began
    print(
        f"{'all':<14}{cases.total():>10,}{refused.total():>10,}\n{len(seen)} findings in {seconds:.0f} s, seed {given.seed}"
    )
    return 1 if seen else 0


def _calls(given: argparse.Namespace) -> int:
    from importlib.util import find_spec

    from hostile_calls import explore

    began = time.monotonic()
    compare = find_spec("torch") is not None
    counts, findings = explore(given.seed, 10**12, given.function, compare, deadline=time.monotonic() + given.seconds)
    kinds = Counter((name, said.split(" at 0x")[0][:90]) for _, name, said, _ in findings)
    for number, name, said, arguments in findings:
        if times := kinds.pop((name, said.split(" at 0x")[0][:90]), 0):
            print(f"{number} ({times} times) {name}: {said}\n    {arguments[:300]}")
    calls = sum(counts.values()) - counts["crashed"]
    print(
        f"{calls:,} calls in {time.monotonic() - began:.0f} s, seed {given.seed}: {dict(counts)}, {len(findings)} findings"
    )
    return 1 if findings else 0


def _large() -> int:
    """Each file in a process of its own, because the largest memory of a process does not go back."""
    from hostile_files import READERS, megabytes, peak, wrong_error

    print(f"{'file of 1 MB':<22}{'memory':>10}{'processor':>12}  outcome")
    for name, (reader, file, data) in megabytes().items():
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        READERS[reader].build(folder)
        READERS[reader].read(folder)
        (folder / file).write_bytes(data)
        sys.stdout.flush()
        if os.fork() == 0:
            before, started, outcome = peak(), time.process_time(), "an answer"
            try:
                READERS[reader].read(folder)
            except BaseException as error:
                outcome = wrong_error(error) or str(error).replace(str(folder), "")[:110]
            seconds = time.process_time() - started
            print(f"{name:<22}{(peak() - before) / 2**20:>6.0f} MiB{seconds:>10.2f} s  {outcome}", flush=True)
            os._exit(0)
        os.wait()
    return 0


def _atheris(given: argparse.Namespace) -> int:
    import atheris

    with atheris.instrument_imports(include=["engine"]):
        from hostile_files import READERS, wrong_error
    name = given.reader[0]
    reader, folder = READERS[name], Path(tempfile.mkdtemp(prefix="fuzz-"))
    reader.build(folder)
    corpus = folder / "corpus"
    corpus.mkdir()
    file = reader.files[0]
    (corpus / "whole").write_bytes((folder / file).read_bytes())

    def one(data: bytes) -> None:
        (folder / file).write_bytes(data)
        try:
            reader.read(folder)
        except BaseException as error:
            if wrong_error(error) is not None:
                raise

    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={int(given.seconds)}", f"-seed={given.seed + 1}"], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
