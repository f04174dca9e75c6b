"""All pairs of texts that are nearly equal.

The similarity of two texts is their resemblance (Broder, 1997): the number of runs of characters ("shingles") that both
have, divided by the number that at least one has. Not every text is compared with every other: two sets with enough members
in common have at least one of their few rarest members in common (prefix filtering: Chaudhuri et al., 2006; Bayardo et al.,
2007), so only texts with a common rare shingle are compared. Unlike MinHash this needs no random numbers and misses no pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from engine.errors import BadType, require
from engine.layout import ranges

__all__ = ["SimilarPairs", "similar_pairs"]

_CHUNK = 1 << 20  # pairs that are compared at a time; limits the memory
_BITS = 256  # of a sketch
_ONES = np.array([bin(number).count("1") for number in range(1 << 16)], np.uint8)
_SLACK = 1e-9  # so that rounding loses no pair on the threshold


class SimilarPairs(NamedTuple):
    """Pairs of texts, sorted: left[i] < right[i].

    left, right: int64 (pairs,), the numbers of the texts.
    similarity: float64 (pairs,), in (0, 1].
    """

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray


class _Sets(NamedTuple):
    """The shingles of each text, numbered from the rarest to the most frequent: those of text i are
    members[starts[i]:starts[i + 1]], ascending."""

    starts: np.ndarray
    members: np.ndarray
    vocabulary: int


def similar_pairs(
    texts: Sequence[str],
    threshold: float = 0.8,
    shingle: int = 3,
    *,
    seconds: Sequence[str] | None = None,
    first: int | None = None,
) -> SimilarPairs:
    """All pairs of texts whose sets of shingles have a Jaccard similarity of at least `threshold`.

    Args:
        texts: n strings, compared as they are. A text that is shorter than a shingle is one shingle.
        threshold: in (0, 1]; small values take long, because nearly all texts are compared.
        shingle: the number of characters in a shingle.
        seconds: n second texts, to compare pairs of texts. A shingle of a first text never equals one of a second text.
        first: find only pairs that have at least one of the first `first` texts; None: all pairs.

    Raises:
        ValueError: if `threshold` or `shingle` is out of range, or `seconds` has another length than `texts`.
        TypeError: if `texts` is one string.
    """
    op = "similar_pairs"
    require(not isinstance(texts, str), op, "texts", "a list of strings", "one string", error=BadType)
    require(0 < threshold <= 1, op, "threshold", "a number in (0, 1]", threshold)
    require(shingle >= 1, op, "shingle", "at least 1 character", shingle)
    if seconds is not None:
        require(len(seconds) == len(texts), op, "seconds", f"{len(texts)}, one for each text", len(seconds))
    first = len(texts) if first is None else first
    sets = _shingles([*texts, *(seconds or ())], len(texts), shingle)
    index = np.repeat(np.arange(len(texts)), np.diff(sets.starts)) * sets.vocabulary + sets.members
    sketches = _sketches(sets)
    keys, similarities = [np.zeros(0, np.int64)], [np.zeros(0)]
    for candidates in _candidates(sets, threshold, first, len(texts)):
        candidates = candidates[_may_be_alike(sets, sketches, threshold, *np.divmod(candidates, len(texts)))]
        left, right = np.divmod(candidates, len(texts))
        similarity = _jaccard(sets, index, left, right)
        alike = similarity >= threshold - _SLACK
        keys.append(candidates[alike])
        similarities.append(similarity[alike])
    pairs, at = np.unique(np.concatenate(keys), return_index=True)
    return SimilarPairs(*np.divmod(pairs, max(len(texts), 1)), np.concatenate(similarities)[at])


def _shingles(texts: Sequence[str], count: int, n: int) -> _Sets:
    """The sets of `count` items: item i has the shingles of texts[i], and those of texts[count + i] as different shingles."""
    padded = [text.ljust(n, "\0") for text in texts]
    characters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
    windows = np.fromiter(map(len, padded), np.int64, len(padded)) - (n - 1)
    begins = ranges(np.cumsum(windows + n - 1) - (windows + n - 1), windows)  # where each shingle begins
    hashes = np.zeros(begins.size, np.uint64)
    for offset in range(n):  # FNV-1a over characters, in 64 bits, so that different shingles have different hashes
        hashes = (hashes ^ characters[begins + offset].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    pieces = np.repeat(np.arange(windows.size), windows)
    hashes[pieces >= count] ^= np.uint64(0xD6E8FEB86659FD93)
    distinct, numbers = np.unique(hashes, return_inverse=True)
    keys = np.unique(pieces % max(count, 1) * distinct.size + numbers.reshape(-1))
    owners, numbers = np.divmod(keys, max(distinct.size, 1))
    rank = np.empty(distinct.size, np.int64)
    rank[np.argsort(np.bincount(numbers, minlength=distinct.size), kind="stable")] = np.arange(distinct.size)
    members = np.sort(owners * distinct.size + rank[numbers]) - owners * distinct.size
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=count), out=starts[1:])
    return _Sets(starts, members, distinct.size)


def _candidates(sets: _Sets, threshold: float, first: int, n: int) -> Iterator[np.ndarray]:
    """Pairs that may be alike, as left * n + right; each pair that is alike is among them."""
    sizes = np.diff(sets.starts)
    prefix = sizes - np.ceil(threshold * sizes - _SLACK).astype(np.int64) + 1
    owners = np.repeat(np.arange(n), prefix)
    places = ranges(np.zeros_like(prefix), prefix)
    members = sets.members[sets.starts[owners] + places]
    # Sorted by shingle, then by size: the partners of an entry are those after it that are not too large.
    order = np.lexsort((owners, sizes[owners], members))
    owners, places, members = owners[order], places[order], members[order]
    widest = int(sizes.max(initial=0)) + 1
    sorted_by = members * widest + sizes[owners]
    largest = np.minimum(np.floor(sizes[owners] / threshold + _SLACK).astype(np.int64), widest - 1)
    begin = np.arange(1, owners.size + 1)
    counts = np.searchsorted(sorted_by, members * widest + largest, side="right") - begin
    ends = np.cumsum(counts)
    at = 0
    while at < owners.size:
        done = int(ends[at - 1]) if at else 0
        stop = max(int(np.searchsorted(ends, done + _CHUNK, side="right")), at + 1)
        here = np.repeat(np.arange(at, stop), counts[at:stop])
        partner = ranges(begin[at:stop], counts[at:stop])
        a, b = owners[here], owners[partner]
        # The two can share at most the shingles from their first common one on. These must reach the threshold.
        room = np.minimum(sizes[a] - places[here], sizes[b] - places[partner])
        enough = room >= threshold / (1 + threshold) * (sizes[a] + sizes[b]) - _SLACK
        left, right = np.minimum(a, b)[enough], np.maximum(a, b)[enough]
        yield np.unique((left * n + right)[left < first])
        at = stop


def _sketches(sets: _Sets) -> np.ndarray:
    """_BITS bits for each text, each the parity of the number of shingles that are assigned to it: uint16 (n, _BITS / 16)."""
    n = sets.starts.size - 1
    sketches = np.zeros((n, _BITS // 16), np.uint16)
    for begin in range(0, n, 4096):
        starts = sets.starts[begin : begin + 4097]
        owners = np.repeat(np.arange(starts.size - 1), np.diff(starts))
        places = owners * _BITS + sets.members[starts[0] : starts[-1]] % _BITS
        parity = np.bincount(places, minlength=(starts.size - 1) * _BITS).astype(np.uint8) & 1
        sketches[begin : begin + 4096] = np.packbits(parity.reshape(-1, _BITS), axis=1).view(np.uint16)
    return sketches


def _may_be_alike(
    sets: _Sets, sketches: np.ndarray, threshold: float, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """False for pairs that cannot reach the threshold, bool (pairs,).

    A shingle that only one of the texts has changes one bit, so the texts differ in at least as many shingles as bits.
    """
    sizes = np.diff(sets.starts)
    differ = _ONES[sketches[left] ^ sketches[right]].sum(axis=1, dtype=np.int64)
    return differ <= (1 - threshold) / (1 + threshold) * (sizes[left] + sizes[right]) + _SLACK


def _jaccard(sets: _Sets, index: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """|intersection| / |union| of the sets of each pair, float64 (pairs,)."""
    sizes = np.diff(sets.starts)
    shared = np.zeros(left.size, np.int64)
    step = max(_CHUNK // max(int(sizes.max(initial=1)), 1), 1)
    for begin in range(0, left.size, step):
        a, b = left[begin : begin + step], right[begin : begin + step]
        counts = sizes[a]
        pair = np.repeat(np.arange(a.size), counts)
        members = sets.members[ranges(sets.starts[a], counts)]
        wanted = b[pair] * sets.vocabulary + members
        found = index[np.minimum(np.searchsorted(index, wanted), index.size - 1)] == wanted
        shared[begin : begin + step] = np.bincount(pair[found], minlength=a.size)
    return shared / np.maximum(sizes[left] + sizes[right] - shared, 1)
