"""A search for hostile files that coverage guides: of the files that were tried, those that reached a new line of engine are kept, and
mutated further. `tools/fuzz.py` runs it for hours; the smallest set of files that reaches the same lines is in `tests/data`.

Tracing every line would take most of the time. So a file is traced if its reader fails in a new way (another line raised the error, or
another chain of calls led there), and so is one of 50 of the others. The search depends on nothing but its seed: the n-th batch of files
is the same in each run of the same engine.
"""

from __future__ import annotations

import random
import sys
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import engine
from hostile_files import MEMORY, SECONDS, peak, peak_from_here, wrong_error
from hostile_mutations import mutated

__all__ = ["Search", "lines_of", "raised", "read_corpus", "smallest", "write_corpus"]

_SOURCE = str(Path(engine.__file__).parent)
_TRACED = 50
_LONGEST = 2**16  # bytes of a file that is kept
Lines = set[tuple[str, int]]


def lines_of(call: Callable[[], Any]) -> tuple[Lines, BaseException | None]:
    """The lines of engine that a call runs, and what it raises."""
    found: Lines = set()

    def line(frame: Any, event: str, argument: Any) -> Any:
        found.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    def enter(frame: Any, event: str, argument: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(_SOURCE) else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        return found, raised(call)
    finally:
        sys.settrace(before)


def raised(call: Callable[[], Any]) -> BaseException | None:
    try:
        call()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return error
    return None


def _way(error: BaseException | None) -> int:
    """A number for the lines that led to an error."""
    places, trace = [], error.__traceback__ if error is not None else None
    while trace is not None:
        places.append((trace.tb_frame.f_code.co_name, trace.tb_lineno))
        trace = trace.tb_next
    return hash((type(error).__name__, *places))


class Search:
    """What a reader gets in the place of a whole file.

    read: takes the contents. begun: contents to begin with, beside the whole ones. `batch` gives findings; `counts` says how many cases
    there were, how many of them were refused, and the longest time of one in milliseconds."""

    def __init__(
        self,
        name: str,
        file: str,
        whole: bytes,
        read: Callable[[bytes], Any],
        seed: int = 0,
        begun: Iterable[bytes] = (),
    ) -> None:
        self.name, self.file, self.whole, self.read, self.seed = name, file, whole, read, seed
        self.kept: list[bytes] = []
        self.lines: Lines = set()
        self.ways: set[int] = set()
        self.number = 0  # of the next batch
        self.counts = {"cases": 0, "refused": 0, "slowest": 0}
        self.seconds = 0.0
        for data in (whole, *begun):
            self._learn(data)
        read(whole)

    def batch(self, size: int = 400) -> list[tuple[str, bytes]]:
        """Tries as many cases: (what is wrong, the contents) of each finding. The reader gets the whole file at the end."""
        chance, findings = random.Random(f"{self.seed} {self.name} {self.file} {self.number}"), []
        self.number += 1
        cases = []
        started, before = time.process_time(), peak_from_here()
        for number in range(size):
            base = chance.choice(self.kept) if chance.random() < 0.7 else self.whole
            data = mutated(self.file, base, chance)
            cases.append(data)
            if said := self._try(data, traced=number % _TRACED == 0):
                findings.append((said, data))
        if peak() - before > MEMORY:  # one of them, or many together: each alone says which
            findings += [(said, data) for data in cases if (said := self._memory(data)) is not None]
        self.read(self.whole)
        self.seconds += time.process_time() - started
        return findings

    def _try(self, data: bytes, traced: bool) -> str | None:
        started = time.process_time()
        error = self._learn(data) if traced else raised(lambda: self.read(data))
        seconds = time.process_time() - started
        self.counts["cases"] += 1
        self.counts["refused"] += error is not None
        self.counts["slowest"] = max(self.counts["slowest"], round(1000 * seconds))
        if error is not None and not traced and (way := _way(error)) not in self.ways:
            self.ways.add(way)
            self._learn(data)
        said = wrong_error(error)
        if said is None and len(data) <= 2**20 and seconds > SECONDS:
            said = f"{seconds:.1f} s"
        return said

    def _learn(self, data: bytes) -> BaseException | None:
        """Reads a case, and keeps it if it reaches a new line."""
        lines, error = lines_of(lambda: self.read(data))
        if not self.kept or (len(data) <= _LONGEST and not lines <= self.lines):
            self.lines |= lines
            self.kept.append(data)
        return error

    def _memory(self, data: bytes) -> str | None:
        before = peak_from_here()
        raised(lambda: self.read(data))
        grown = peak() - before
        return f"{grown / 2**20:.0f} MiB of memory" if grown > MEMORY and len(data) <= 2**20 else None


# --- a small set of files that reaches the same lines -------------------------------------------------------------------------------


def smallest(search: Search) -> list[bytes]:
    """Of the files that were kept, those that together reach all lines: in each step the one that adds most of them for its length."""
    left = {data: lines_of(lambda data=data: search.read(data))[0] for data in search.kept}
    search.read(search.whole)
    chosen = []
    while left := {data: lines for data, lines in left.items() if lines}:
        best = max(left, key=lambda data: len(left[data]) / (200 + len(data)))
        chosen.append(best)
        reached = left.pop(best)
        left = {data: lines - reached for data, lines in left.items()}
    return chosen


def write_corpus(path: Path, cases: Iterable[tuple[str, str, bytes]]) -> None:
    """(reader, file, contents) in a zip, in their order."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, file, data) in enumerate(cases):
            entry = zipfile.ZipInfo(f"{name}/{file.replace('/', '~')}/{number}", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)


def read_corpus(path: Path) -> list[tuple[str, str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = [(entry, *entry.split("/")) for entry in archive.namelist()]
        return [(name, file.replace("~", "/"), archive.read(entry)) for entry, name, file, _ in names]
