"""Embedding a whole file: its texts are read, encoded a few at a time, and their vectors written to another file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np

from engine.errors import require
from engine.files import replace_file
from engine.inference.embedder import SentenceEncoder
from engine.text import TextTable, read_table

__all__ = ["embed_file"]


def embed_file(
    encoder: SentenceEncoder,
    source: str | os.PathLike[str] | IO[bytes] | IO[str] | TextTable,
    output: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    format: Any = None,
    encoding: str | None = None,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    quoting: bool | None = None,
    batch_size: int | None = None,
    normalize: bool | None = None,
    chunk: int = 4096,
    on_chunk: Callable[[int], None] | None = None,
) -> tuple[int, int]:
    """Write the vectors of a file's texts to another file, complete or not at all.

    A .npy file holds an array (n, d) float32, a .jsonl file one object for each text: {"text": ..., "embedding": [...]}. Row i
    belongs to row i of the source; empty lines of the source have a row as well. Vectors are written as soon as they are made,
    so they need not fit into memory.

    Args:
        encoder: makes the vectors.
        source: a file that `read_table` reads, a stream, or the table that it made of one.
        output: a file name that ends in .npy or .jsonl.
        text_column, format, encoding, columns, delimiter, quoting: as in `read_table`; a table was read by its own.
        batch_size, normalize: as in `SentenceEncoder.encode`.
        chunk: how many texts are encoded at a time.
        on_chunk: called with the number of texts that are done.

    Returns:
        (n, d).

    Raises:
        ValueError: if `output` has another ending, or `chunk` is below 1; otherwise as `read_table` and `SentenceEncoder.encode`.
    """
    name = os.fspath(output)
    kind = os.path.splitext(name)[1].lower()
    require(kind in (".npy", ".jsonl"), "embed_file", "output", "a file name that ends in .npy or .jsonl", name)
    require(chunk >= 1, "embed_file", "chunk", "at least 1", chunk)
    if isinstance(source, TextTable):
        table = source
    else:
        table = read_table(
            source, text_column, format=format, read_labels=False, encoding=encoding, skip_empty_lines=False,
            columns=columns, delimiter=delimiter, quoting=quoting,
        )  # fmt: skip
    shape = (len(table), encoder.dimension)

    def write(path: str) -> None:
        with open(path, "wb") as stream:
            if kind == ".npy":
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
            for start in range(0, len(table), chunk):
                texts = table.texts[start : start + chunk]
                vectors = encoder.encode(texts, batch_size, normalize)
                if kind == ".npy":
                    stream.write(vectors.astype("<f4", copy=False).tobytes())
                else:
                    stream.writelines(map(_json_line, texts, vectors))
                if on_chunk is not None:
                    on_chunk(start + len(texts))

    replace_file(name, write, "embed_file")
    return shape


def _json_line(text: str, vector: np.ndarray) -> bytes:
    numbers = ", ".join(map(str, vector))  # the shortest form of each that is read back as the same float32
    return f'{{"text": {json.dumps(text, ensure_ascii=False)}, "embedding": [{numbers}]}}\n'.encode()
