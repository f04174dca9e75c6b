"""What `test_hostile_files.py` and `tools/fuzz.py` share: the readers of files, whole files for them, and what a reader may do with a
damaged file. Mutations are in `hostile_mutations.py`, the search that coverage guides in `hostile_guided.py`.

A reader gets a folder in which one file was replaced. It may give anything, or raise an error of `engine.errors` that is a ValueError,
an OSError or a MemoryError. Everything else is a finding, and so is memory far beyond the size of the file.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors

import engine
from engine import nn
from engine.commands.common import flat
from engine.entries import as_kind, parse_json
from engine.errors import ArgumentError, BadType, BadValue
from engine.inference.sentence_folder import read_modules
from engine.models import AutoModelForSequenceClassification, BertForSequenceClassification, TransformerConfig
from engine.nn.lora import LoRAConfig, add_lora, load_lora, save_lora
from engine.runs import SearchSpace
from engine.runs.folder import _Run, read_run, read_temperature, recorded_model
from engine.runs.toml import read_toml
from engine.serialization import _check_header, load_file, save_file
from engine.text import Tokenizer, read_table, read_tagged
from engine.text.tokenizer_checks import check_tokenizer
from engine.train.callbacks import read_log
from engine.train.checkpoint import load_checkpoint, save_checkpoint

MEMORY = 64 * 2**20  # bytes beyond the process, for files of up to 1 MB
SECONDS = 1.0  # of the processor, for such files
TEXTS = ["a cat sat", "the dog ran", "a bird", "cats and dogs", "birds sing songs"] * 4


@dataclass(frozen=True)
class Reader:
    """build: writes a whole folder. files: those that are replaced, one at a time. read: reads the folder."""

    build: Callable[[Path], Any]
    files: tuple[str, ...]
    read: Callable[[Path], Any]


# --- whole folders -------------------------------------------------------------------------------------------------------------------


def _config() -> TransformerConfig:
    return TransformerConfig(
        40, 8, 1, 2, 16, 12, 2, model_type="bert", pooler=True, id2label={0: "no", 1: "yes"}, num_labels=2
    )


def _model(folder: Path) -> None:
    BertForSequenceClassification(_config()).save_pretrained(folder)


def _shards(folder: Path) -> None:
    _model(folder)
    weights = load_file(folder / "model.safetensors")
    halves = {"model-1.safetensors": list(weights)[::2], "model-2.safetensors": list(weights)[1::2]}
    for name, keys in halves.items():
        save_file({key: weights[key] for key in keys}, folder / name)
    places = {key: name for name, keys in halves.items() for key in keys}
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def _tokenizer(folder: Path) -> None:
    words = Tokenizer.train(TEXTS, 40)
    words.save(folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {
        "do_lower_case": True,
        "model_max_length": 12,
        "added_tokens_decoder": {"0": {"content": "[PAD]", "special": True}},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def _old_tokenizer(folder: Path) -> None:
    vocabulary = Tokenizer.train(TEXTS, 40).backend.get_vocab()
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.get)))
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"unk_token": "[UNK]", "cls_token": {"content": "[CLS]"}})
    )
    (folder / "added_tokens.json").write_text(json.dumps({"<new>": len(vocabulary)}))


def _bpe(folder: Path) -> None:
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "ab", "Ġ"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\na b\n")


def _modules(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    kinds = ["Transformer", "Pooling", "Normalize"]
    listed = [
        {"idx": i, "name": str(i), "path": f"{i}_{k}" if i else "", "type": f"sentence_transformers.models.{k}"}
        for i, k in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling/config.json").write_text(
        json.dumps({"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True})
    )
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 12, "do_lower_case": False}))
    prompts = {"prompts": {"query": "q: "}, "default_prompt_name": "query", "similarity_fn_name": "cosine"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))


def _small() -> nn.Module:
    return BertForSequenceClassification(_config())


def _adapter(folder: Path) -> None:
    model = _small()
    add_lora(model, LoRAConfig(2, 4.0))
    save_lora(model, folder)


def _run(folder: Path) -> None:
    model = BertForSequenceClassification(_config())
    record = {
        "format": 2, "kind": "text", "seed": 0, "task": {"name": "classification", "label_separator": "|"},
        "data": {"train": ["a.csv"], "text_column": None, "sha256": {"a.csv": "0"}, "absolute": {"a.csv": "/a.csv"}},
        "start": {"init": None, "sizes": {}}, "model": {"architectures": ["x"], **model.config.to_dict()}, "tensorboard": False,
        "trainer": {"lr": 0.1}, "environment": {"versions": {"engine": "0.2"}},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "report.json").write_text(json.dumps({"held_out": {"loss": 1.0, "calibration": {"temperature": 1.5}}}))
    (folder / "log.jsonl").write_text('{"event": "train", "step": 1, "loss": 0.5}\n{"event": "end", "step": 2}\n')
    state = {
        "format": 2, "config": {"lr": 0.1}, "model": model.state_dict(), "trainer": {"epoch": 1, "best_metric": float("nan")},
        "optimizer": {"state": {"0": {"exp_avg": engine.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}, "log_bytes": 3,
    }  # fmt: skip
    save_checkpoint(folder / "checkpoints", 1, state)


def _read_run(folder: Path) -> None:
    record = read_run(folder)
    read_temperature(folder)
    recorded_model(record, folder)


def _toml(folder: Path) -> None:
    (folder / "x.toml").write_text(
        'lr = { low = 1e-5, high = 5e-4, log = true }\nepochs = [3, 4]\n[model]\npooler = true\n"a-b" = "c"\n'
    )


def _read_toml(folder: Path) -> None:
    values = read_toml(folder / "x.toml")
    SearchSpace(values)
    flat(values)


def _read_model(folder: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    model.eval()


def _read_tokenizer(folder: Path) -> None:
    words = Tokenizer.from_pretrained(folder)
    words.encode_pairs(["a cat", ""], ["the dog", "𝔸 zebra"], 8)


TABLE = "text,label\na cat,x\n\"the, dog\",y\n'b',x\nlast one,y\n"
RECORDS = [{"text": f"text {i}", "label": "xy"[i % 2], "n": i, "f": 0.5} for i in range(6)]


def _write(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data)  # type: ignore[return-value]


def _zstandard(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def _excel(folder: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (["text", "label"], ["a cat", "x"], ["a dog", "y"], [3.5, True]):
        book.active.append(row)
    book.save(folder / "x.xlsx")


def _arrow(ending: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        import pyarrow
        import pyarrow.feather
        import pyarrow.parquet

        table = pyarrow.Table.from_pylist(RECORDS)
        if ending == "parquet":
            pyarrow.parquet.write_table(table, folder / "x.parquet")
        else:
            pyarrow.feather.write_feather(table, folder / "x.arrow", compression="uncompressed")

    return build


def _table(name: str) -> Callable[[Path], Any]:
    return lambda folder: read_table(folder / name)


def _pt(folder: Path) -> None:
    engine.save(_objects(), folder / "x.pt")


def _legacy(folder: Path) -> None:
    engine.save(_objects(), folder / "x.bin", _use_new_zipfile_serialization=False)


def _objects() -> dict[str, Any]:
    weight = nn.Parameter(engine.zeros(3, 2))
    plain = [
        engine.ones(2, dtype=engine.bool),
        1,
        "x",
        (None, True),
        {"y"},
        2.5,
        1j,
        b"z",
        engine.float32,
        engine.Size((2,)),
    ]
    return {"a": weight, "b": plain, "c": nn.Linear(2, 2).state_dict(), "d": {3: 2**70, (1, "k"): engine.device("cpu")}}


LINES = b"".join(json.dumps(each).encode() + b"\n" for each in RECORDS)
CONLL = b"EU B-ORG\nrejects O\nGerman B-MISC\n\ncall O\nPeter B-PER\n"
CHECKPOINT = "checkpoints/step-00000001"

READERS: dict[str, Reader] = {
    "safetensors": Reader(lambda f: save_file({"a": engine.zeros(3, 2), "b": engine.ones(2, dtype=engine.bool)}, f / "x.safetensors"),
                          ("x.safetensors",), lambda f: load_file(f / "x.safetensors")),
    "pt": Reader(_pt, ("x.pt",), lambda f: engine.load(f / "x.pt")),
    "legacy": Reader(_legacy, ("x.bin",), lambda f: engine.load(f / "x.bin")),
    "model": Reader(_model, ("config.json", "model.safetensors"), _read_model),
    "shards": Reader(_shards, ("model.safetensors.index.json", "model-1.safetensors"), _read_model),
    "tokenizer": Reader(_tokenizer, ("tokenizer.json", "tokenizer_config.json"), _read_tokenizer),
    "vocab": Reader(_old_tokenizer, ("vocab.txt", "special_tokens_map.json", "added_tokens.json"), _read_tokenizer),
    "bpe": Reader(_bpe, ("vocab.json", "merges.txt"), _read_tokenizer),
    "modules": Reader(_modules, ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
                                 "config_sentence_transformers.json"), lambda f: read_modules(f, "read_modules")),
    "adapter": Reader(_adapter, ("adapter_config.json", "adapter_model.safetensors"), lambda f: load_lora(_small(), f)),
    "run": Reader(_run, ("run.json", "report.json", f"{CHECKPOINT}/model.safetensors"), _read_run),
    "checkpoint": Reader(_run, (f"{CHECKPOINT}/state.json", f"{CHECKPOINT}/model.safetensors"),
                         lambda f: load_checkpoint(f / CHECKPOINT)),
    "log": Reader(_run, ("log.jsonl",), lambda f: read_log(f / "log.jsonl")),
    "toml": Reader(_toml, ("x.toml",), _read_toml),
    "csv": Reader(_write("x.csv", TABLE.encode()), ("x.csv",), _table("x.csv")),
    "tsv": Reader(_write("x.tsv", b"text\tlabel\na cat\tx\nthe dog\ty\nlast one\tx\n"), ("x.tsv",), _table("x.tsv")),
    "jsonl": Reader(_write("x.jsonl", LINES), ("x.jsonl",), _table("x.jsonl")),
    "json": Reader(_write("x.json", json.dumps(RECORDS).encode()), ("x.json",), _table("x.json")),
    "conll": Reader(_write("x.conll", CONLL), ("x.conll",), lambda f: read_tagged(f / "x.conll")),
    "gz": Reader(_write("x.csv.gz", gzip.compress(TABLE.encode(), mtime=0)), ("x.csv.gz",), _table("x.csv.gz")),
    "bz2": Reader(_write("x.csv.bz2", bz2.compress(TABLE.encode())), ("x.csv.bz2",), _table("x.csv.bz2")),
    "xz": Reader(_write("x.csv.xz", lzma.compress(TABLE.encode())), ("x.csv.xz",), _table("x.csv.xz")),
    "zst": Reader(lambda f: (f / "x.csv.zst").write_bytes(_zstandard(TABLE.encode())), ("x.csv.zst",), _table("x.csv.zst")),
    "xlsx": Reader(_excel, ("x.xlsx",), _table("x.xlsx")),
    "parquet": Reader(_arrow("parquet"), ("x.parquet",), _table("x.parquet")),
    "arrow": Reader(_arrow("arrow"), ("x.arrow",), _table("x.arrow")),
}  # fmt: skip


# --- what readers do with bytes in memory: without a file, thousands of cases a second ------------------------------------------------


@dataclass(frozen=True)
class Core:
    """of, file: the reader whose file this is. read: takes its contents."""

    of: str
    file: str
    read: Callable[[bytes], Any]


def _strict(data: bytes) -> Any:
    try:
        return parse_json(data)
    except ValueError as error:
        raise BadValue("parse_json", "text", "JSON", "another text", str(error)) from None


def _weights(data: bytes) -> None:
    _check_header("load_file", "filename", "x", data[:8], lambda size: data[8 : 8 + size])
    try:
        safetensors.deserialize(data)
    except safetensors.SafetensorError as error:  # as `load_file` does
        raise BadValue("load_file", "filename", "a safetensors file", "x", str(error)) from None


CORES: dict[str, Core] = {
    "bytes: JSON": Core("model", "config.json", _strict),
    "bytes: config": Core("model", "config.json", lambda data: TransformerConfig.from_dict(_strict(data))),
    "bytes: run": Core("run", "run.json", lambda data: as_kind(_strict(data), _Run, "x", "run", "folder")),
    "bytes: tokenizer": Core("tokenizer", "tokenizer.json", lambda data: check_tokenizer(_strict(data), "x", "read")),
    "bytes: safetensors": Core("safetensors", "x.safetensors", _weights),
    "bytes: pt": Core("pt", "x.pt", lambda data: engine.load(io.BytesIO(data))),
    "bytes: legacy": Core("legacy", "x.bin", lambda data: engine.load(io.BytesIO(data))),
}  # fmt: skip


# --- files of one megabyte ------------------------------------------------------------------------------------------------------------


def megabytes() -> dict[str, tuple[str, str, bytes]]:
    """By name: (reader, file, a file of 1 MB that makes as much work as it can)."""
    size = 10**6

    def many(piece: str, begin: str = "", end: str = "") -> bytes:
        return (begin + piece * ((size - len(begin) - len(end)) // len(piece))).rstrip(",").encode() + end.encode()

    tokens = "".join(f'"{i:x}":{i},' for i in range(75_000)).rstrip(",")
    header = "".join(f'"{i:x}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},' for i in range(18_000)).rstrip(",")
    safetensors = struct.pack("<Q", len(header) + 2) + b"{" + header.encode() + b"}"
    blocks = (b"\x02\x00\x10a" * (size // 4))[: size // 4 * 4]  # of Zstandard: 128 KB of one byte each
    pickled = {
        "sets": b"\x80\x04](" + b"\x8f" * size + b"e.",
        "lists": b"\x80\x04](" + b"]" * size + b"e.",
        "deep": b"]" * (size // 2) + b"a" * (size // 2 - 1) + b".",
    }
    found = {
        "JSON of objects": ("model", "config.json", many('{"a":0},', '{"a":[', "]}")),
        "JSON of lists": ("model", "config.json", many("[],", '{"a":[', "]}")),
        "JSON of levels": ("model", "config.json", many("[")),
        "labels": ("model", "config.json", ('{"vocab_size":9,"id2label":{' + tokens.replace(":", ':"a').replace(",", '",') + '"}}').encode()),
        "tokens": ("tokenizer", "tokenizer.json", ('{"model":{"type":"WordLevel","unk_token":"0","vocab":{' + tokens + "}}}").encode()),
        "tensors": ("safetensors", "x.safetensors", safetensors),
        "levels of TOML": ("toml", "x.toml", many("[", "a = ")),
        "a key of TOML": ("toml", "x.toml", many("a.", "", "a = 1")),
        "keys of TOML": ("toml", "x.toml", "\n".join(f"{'a.' * 90}b{i} = 1" for i in range(5000)).encode()),
        "rows of CSV": ("csv", "x.csv", many("a,x\n", "text,label\n")),
        "columns of CSV": ("csv", "x.csv", many(",a") + b"\n" + b"x"),
        "rows of JSON": ("jsonl", "x.jsonl", many('{"text":"a","label":"x"}\n')),
        "words": ("conll", "x.conll", many("a O\n")),
        "Zstandard": ("zst", "x.csv.zst", b"\x28\xb5\x2f\xfd\x00\x58" + blocks),
        "gzip": ("gz", "x.csv.gz", gzip.compress(b"text,label\n" + b"a,x\n" * 2**28, 9)[:size]),
    }  # fmt: skip
    for name, data in pickled.items():
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("x/data.pkl", data)
        found[f"{name} in a pickle"] = ("pt", "x.pt", out.getvalue())
    return found


# --- what is allowed -----------------------------------------------------------------------------------------------------------------


def finding(reader: Reader, folder: Path, name: str, data: bytes, whole: bytes) -> tuple[str | None, bool]:
    """(what is wrong with how a reader takes a file; None: nothing), and whether it refused the file. The whole file is put back.

    The processor's time is in the finding, too: who asserts it decides by the machine."""
    place = folder / name
    place.write_bytes(data)
    before, started = peak_from_here(), time.process_time()
    error: BaseException | None = None
    try:
        reader.read(folder)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as raised:
        error = raised
    seconds, grown = time.process_time() - started, peak() - before
    place.write_bytes(whole)
    said = wrong_error(error)
    if said is None and len(data) <= 2**20 and grown > MEMORY:
        said = f"{grown / 2**20:.0f} MiB of memory"
    if said is None and len(data) <= 2**20 and seconds > SECONDS:
        said = f"{seconds:.1f} s"
    return said, error is not None


def wrong_error(error: BaseException | None) -> str | None:
    """Why a reader may not raise this; None: it may."""
    if error is None:
        return None
    if isinstance(error, ArgumentError):
        if not isinstance(error, (ValueError, OSError, MemoryError)) and not isinstance(error, BadType):
            return f"the class {type(error).__name__}: {error}"
        return None if len(str(error)) <= 10_000 else f"a message of {len(str(error))} characters"
    return f"{type(error).__name__}: {str(error)[:300]}"


def peak() -> int:
    """The largest memory of this process, in bytes. `getrusage` would count what the process that it was forked from had, too."""
    with open("/proc/self/status", encoding="ascii") as stream:
        return 1024 * next(int(line.split()[1]) for line in stream if line.startswith("VmHWM:"))


def peak_from_here() -> int:
    """The same, counted anew from now on: a process that once was large would hide what a reader takes."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as stream:
        stream.write("5")
    return peak()
