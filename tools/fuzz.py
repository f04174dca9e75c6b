"""Fuzzes the readers of files: damaged and hostile files must give an error by the rule, within a second and 64 MiB.

    python tools/fuzz.py --seconds 600 --seed 1 [--cases 10000000] [--state FOLDER] [--reader safetensors ...] [--keep FOLDER]

Each reader gets the same time. Files that reach new lines of engine are mutated further (tests/hostile_guided.py). Prints a line for each
finding, and a table of cases at the end. The files behind the findings lie in FOLDER/findings, or where `--keep` says. The exit code is
1 if there are findings. With `--state` the search goes on where it was ended, also behind a crash of the process, which is a finding.
With `--smallest FILE` nothing is tried: of the files in FOLDER, the fewest that reach the same lines are written, for the tests.
With `--large`, files of 1 MB that make as much work as they can; what is within the limits, and what is beyond, is printed.
With `--calls`, the public functions of `engine`, `engine.nn.functional` and `Tensor` get arguments that nobody expects; `--function`
takes only those of that name, and with PyTorch installed the answers are compared. The calls run in processes of their own.
With `--atheris`, coverage of the Python code guides the mutations of one reader (pip install atheris).
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parent.parent
LIES = ROOT / "tests" / "hostile"
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests")]
if TYPE_CHECKING:
    from hostile_guided import Search


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append")
    parser.add_argument("--cases", type=int, default=10**12)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--smallest", type=Path)
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
    return _files(given)


def _searches(given: argparse.Namespace, place: Path, kept: list[tuple[str, str, bytes]]) -> dict[str, Search]:
    """A search for each file of each reader, and for what works in memory. `kept` is what earlier runs found."""
    from hostile_files import CORES, READERS
    from hostile_guided import Search

    searches: dict[str, Search] = {}

    def add(name: str, of: str, file: str, whole: bytes, read: Callable[[bytes], Any]) -> None:
        begun = [data for by, at, data in kept if (by, at) == (name, file)]
        if not begun:
            lies = sorted((LIES / of / file.replace("/", "~")).glob("*"))
            begun = [path.read_bytes() for path in lies if "unpacks" not in path.name]  # these take long
        searches[f"{name}/{file}"] = Search(name, file, whole, read, given.seed, begun)

    for name in given.reader or [*READERS, *CORES]:
        of = CORES[name].of if name in CORES else name
        folder, reader = place / name, READERS[of]
        folder.mkdir()
        reader.build(folder)
        reader.read(folder)  # what is loaded once is loaded
        if name in CORES:
            add(name, of, CORES[name].file, (folder / CORES[name].file).read_bytes(), CORES[name].read)
            continue
        for file in reader.files:

            def read(data: bytes, path: Path = folder / file, reader: Any = reader, folder: Path = folder) -> None:
                path.write_bytes(data)
                reader.read(folder)

            add(name, name, file, (folder / file).read_bytes(), read)
    return searches


def _files(given: argparse.Namespace) -> int:
    from hostile_guided import read_corpus, smallest, write_corpus

    state = given.state or Path(tempfile.mkdtemp(prefix="fuzz-"))
    state.mkdir(parents=True, exist_ok=True)
    known = json.loads((state / "state.json").read_text()) if (state / "state.json").exists() else {}
    # A file system on a disk takes most of the time, to cut files and to fill them again.
    place = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    print(f"files in {place}, what is kept in {state}", flush=True)
    searches = _searches(given, place, read_corpus(state / "kept.zip") if known else [])
    for key in searches.keys() & known.keys():
        for name in ("number", "seconds", "counts"):
            setattr(searches[key], name, known[key][name])
    if given.smallest:
        write_corpus(given.smallest, ((s.name, s.file, data) for s in searches.values() for data in smallest(s)))
        print(f"{given.smallest}: {given.smallest.stat().st_size:,} bytes of {len(read_corpus(given.smallest))} files")
        shutil.rmtree(place)
        return 0
    at, seen = state / "at.json", Counter[str](known.get("findings", {}))
    if at.exists():  # the process that wrote it ended while it tried this batch
        ended = json.loads(at.read_text())
        print(
            f"{ended['search']}: the process ended in batch {ended['number']}; files, the last one, too, are in {ended['place']}",
            flush=True,
        )
        seen[f"{ended['search']}: a crash"] += 1
        searches[ended["search"]].number = ended["number"] + 1

    def save() -> None:
        write_corpus(state / "new.zip", ((s.name, s.file, data) for s in searches.values() for data in s.kept))
        facts = {key: {"number": s.number, "seconds": s.seconds, "counts": s.counts} for key, s in searches.items()}
        (state / "new.json").write_text(json.dumps({**facts, "findings": seen}))
        (state / "new.zip").replace(state / "kept.zip")
        (state / "new.json").replace(state / "state.json")

    def cases() -> int:
        return sum(s.counts["cases"] for s in searches.values())

    began = saved = said_last = time.monotonic()
    while (now := time.monotonic()) - began < given.seconds and cases() < given.cases:
        seconds = Counter[str]()
        for s in searches.values():
            seconds[s.name] += s.seconds
        key, search = min(searches.items(), key=lambda each: (seconds[each[1].name], each[1].seconds))
        at.write_text(json.dumps({"search": key, "number": search.number, "place": str(place)}))
        faulthandler.dump_traceback_later(900, exit=True)
        for said, data in search.batch():
            kind = f"{key}: {said.split(' at 0x')[0][:90]}"
            seen[kind] += 1
            if seen[kind] == 1:
                digest = hashlib.sha256(data).hexdigest()[:8]
                print(f"{key}: {said} ({digest})", flush=True)
                folder = given.keep or state / "findings"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{key.replace('/', '~')}--{digest}").write_bytes(data)
        if now - saved > 60:
            save()
            saved = now
        if now - said_last > 600:
            print(f"{now - began:.0f} s: {cases():,} cases, {len(seen)} findings", flush=True)
            said_last = now
    faulthandler.cancel_dump_traceback_later()
    at.unlink(missing_ok=True)
    save()
    shutil.rmtree(place)
    print(f"\n{'reader and file':<42}{'cases':>11}{'refused':>11}{'slowest':>10}{'kept':>6}{'lines':>7}")
    for key, s in searches.items():
        count = s.counts
        print(
            f"{key:<42}{count['cases']:>11,}{count['refused']:>11,}{count['slowest']:>7} ms{len(s.kept):>6}{len(s.lines):>7}"
        )
    refused = sum(s.counts["refused"] for s in searches.values())
    used = sum(s.seconds for s in searches.values())
    print(
        f"{'all':<42}{cases():>11,}{refused:>11,}\n{len(seen)} findings, {used:,.0f} s of processor, seed {given.seed}"
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
