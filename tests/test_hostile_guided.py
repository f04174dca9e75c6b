"""The search that coverage guides finds what it is made for, and the readers take all files that an earlier long search kept."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

import hostile_guided
from engine.errors import BadValue
from hostile_files import CORES, READERS, finding, wrong_error
from hostile_guided import Search, raised, read_corpus, smallest, write_corpus

CORPUS = read_corpus(Path(__file__).parent / "data" / "hostile_corpus.zip")


WHOLE = b"a plain text"


def _deep(data: bytes) -> None:
    """Fails like a reader with a fault behind three checks: hardly any single change passes them all."""
    if data == WHOLE:
        return
    if not data.startswith(b"["):
        raise BadValue("read", "path", "a list", "another text")
    if b"]]" not in data:
        raise BadValue("read", "path", "two ends", "another text")
    if data.count(b"{") < 2:
        raise BadValue("read", "path", "two objects", "another text")
    raise KeyError("found")


def test_a_search_goes_on_from_what_reached_a_new_line(monkeypatch):
    monkeypatch.setattr(hostile_guided, "_SOURCE", __file__)
    search = Search("deep", "x.txt", WHOLE, _deep)
    found = [said for _ in range(20) for said, _ in search.batch(200)]
    assert set(found) == {"KeyError: 'found'"}
    assert (
        search.counts["cases"] == 4000 and len(search.kept) == len(smallest(search)) == 5
    )  # each has a line of its own
    again = Search("deep", "x.txt", WHOLE, _deep)
    assert [said for _ in range(20) for said, _ in again.batch(200)] == found and again.kept == search.kept


def test_a_search_sees_memory_and_goes_on(monkeypatch):
    def wasteful(data: bytes) -> None:
        _ = bytearray(2**27) if data.count(b"\0") > 2 else None

    search = Search("wasteful", "x.txt", b"a" * 9, wasteful)
    found = [said for _ in range(4) for said, _ in search.batch(100)]
    assert found and all(said.endswith("MiB of memory") for said in found)


def test_a_corpus_is_read_as_it_was_written(tmp_path):
    cases = [("b", "a/x.json", b"2"), ("a", "x.pt", b""), ("b", "a/x.json", b"1")]
    write_corpus(tmp_path / "x.zip", cases)
    assert read_corpus(tmp_path / "x.zip") == cases


@pytest.mark.parametrize("name", [*READERS, *CORES])
def test_what_a_long_search_kept_is_an_error_or_an_answer(tmp_path, name):
    """Of 25 readers and more, the fewest files that reach all lines which a search of hours reached."""
    of = defaultdict(list)
    for reader, file, data in CORPUS:
        if reader == name:
            of[file].append(data)
    assert of
    if name in CORES:
        core = CORES[name]
        assert of.keys() == {core.file}
        for data in of[core.file]:
            assert wrong_error(raised(lambda data=data: core.read(data))) is None, data[:500]
        return
    READERS[name].build(tmp_path)
    READERS[name].read(tmp_path)
    assert of.keys() == set(READERS[name].files)
    for file, cases in of.items():
        whole = (tmp_path / file).read_bytes()
        for data in cases:
            said, _ = finding(READERS[name], tmp_path, file, data, whole)
            assert said is None or said.endswith(" s"), (said, data[:500])  # no test asserts times
