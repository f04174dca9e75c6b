"""Damaged and hostile files: an error by the rule or an answer, in little memory; never a crash, a leaked exception or a lie believed.

`tests/hostile` holds a file for each class of lie, by reader and by the file that it takes the place of. `tools/fuzz.py` is the long form.
"""

import bz2
import gzip
import json
import lzma
import os
import random
import zipfile
from pathlib import Path
from typing import Annotated, TypedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.entries import as_kind, inside, parse_json, read_json
from engine.errors import BadFile, BadValue, FileMissing, IsFolder, NotFinite
from engine.inference import Predictor, SentenceEncoder
from engine.inference.export import export
from engine.models import AutoModelForSequenceClassification, BertForSequenceClassification, TransformerConfig
from engine.settings import Between, checked
from engine.text import Tokenizer, conll_files, label_columns, labels, read_table, read_tagged, tagged_files
from engine.text.files import TextFile
from hostile_files import READERS, Reader, finding
from hostile_mutations import mutated

CORPUS = Path(__file__).parent / "hostile"
CASES = sorted(path for path in CORPUS.glob("*/*/*") if path.is_file())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """place(reader): its whole folder, which has been read once."""
    made = {}

    def folder_of(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            READERS[name].build(made[name])
            READERS[name].read(made[name])
        return made[name]

    return folder_of


@pytest.mark.parametrize("path", CASES, ids=lambda path: "-".join(path.relative_to(CORPUS).parts))
def test_a_lie_is_refused(place, path):
    name, file = path.parent.parent.name, path.parent.name.replace("~", "/")
    folder = place(name)
    whole = (folder / file).read_bytes()
    said, refused = finding(READERS[name], folder, file, path.read_bytes(), whole)
    assert refused and (said is None or said.endswith(" s")), said  # no test asserts times


def test_the_corpus_is_small_and_knows_every_reader():
    assert sum(path.stat().st_size for path in CASES) < 250_000
    assert {path.parent.parent.name for path in CASES} == set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_mutated_files_are_errors_or_answers(place, name):
    folder, chance = place(name), random.Random(name)
    for file in READERS[name].files:
        whole = (folder / file).read_bytes()
        for _ in range(25):
            hostile = mutated(file, whole, chance)
            said, _ = finding(READERS[name], folder, file, hostile, whole)
            assert said is None or said.endswith(" s"), (said, hostile[:2000])


# Faults that other engines had, and the files here that try the same.
KNOWN = {
    "ggml-org/llama.cpp#14595, the sum of the sizes of tensors overflows": ["safetensors/x.safetensors/sum-of-sizes-overflows", "pt/x.pt/product-overflows"],
    "ggml-org/llama.cpp#19856, lengths of strings and lists beyond the file": ["pt/x.pt/string-beyond-the-file", "legacy/x.bin/count-2-to-62", "arrow/x.arrow/offsets-beyond"],
    "ggml-org/llama.cpp#27188, shapes and steps whose product overflows": ["safetensors/x.safetensors/product-overflows", "safetensors/x.safetensors/product-overflows-to-size", "pt/x.pt/stride-overflows"],
    "ml-explore/mlx#4245, a size cut to 32 bits": ["safetensors/x.safetensors/length-cut-to-32-bits", "legacy/x.bin/count-cut-to-32-bits", "legacy/x.bin/product-overflows"],
    "ml-explore/mlx#4213, a read beyond the file": ["safetensors/x.safetensors/length-beyond-the-file", "safetensors/x.safetensors/offset-beyond", "pt/x.pt/beyond-storage"],
    "ml-explore/mlx#3363 to #3365, offsets that do not fit the shape": ["safetensors/x.safetensors/shape-too-small", "safetensors/x.safetensors/one-offset", "safetensors/x.safetensors/offsets-reversed", "safetensors/x.safetensors/nine-dimensions"],
    "keras CVE-2025-1550, a config that names code": ["modules/modules.json/module-unknown", "model/config.json/type-unknown", "pt/x.pt/runs-code", "legacy/x.bin/runs-code"],
    "keras CVE-2026-0897, a shape that fills the memory": ["model/model.safetensors/a-shape-too-large", "model/config.json/hidden-2-to-31", "parquet/x.parquet/two-million-rows"],
    "onnx CVE-2026-27489, a path that leaves the folder": ["shards/model.safetensors.index.json/leaves-the-folder", "shards/model.safetensors.index.json/absolute", "modules/modules.json/path-leaves", "checkpoint/checkpoints~step-00000001~state.json/name-leaves"],
    "safetensors#762, a header that is no strict JSON": ["safetensors/x.safetensors/key-twice", "safetensors/x.safetensors/deep", "safetensors/x.safetensors/same-bytes-twice"],
    "tokenizers#2094 and #2060, panics": ["tokenizer/tokenizer.json/id-2-to-31", "tokenizer/tokenizer.json/template-of-unknown-token", "tokenizer/tokenizer.json/charsmap-damaged"],
}  # fmt: skip


@pytest.mark.parametrize("fault", KNOWN)
def test_known_faults_have_their_files(fault):
    """That these files are refused is `test_a_lie_is_refused`."""
    assert {CORPUS / name for name in KNOWN[fault]} <= set(CASES)


def test_names_that_are_one_when_normalised_are_not_guessed(tmp_path):
    (tmp_path / "x.csv").write_text("text,é,e\u0301\na,x,1\nb,y,2\n")
    with pytest.raises(BadValue, match=r"expected one column 'é' in .*x.csv, got 2"):
        read_table(tmp_path / "x.csv", label_column="é")


def test_more_dimensions_than_engine_has_name_the_file(tmp_path):
    path = CORPUS / "safetensors/x.safetensors/nine-dimensions"
    with pytest.raises(BadValue, match=r"at most 8 dimensions, got 9 of 'a' in .*nine-dimensions"):
        engine.serialization.load_file(path)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (conll_files._UNIVERSAL, "\n" * 100_000 + "x"), (conll_files._UNIVERSAL, " \n" * 50_000 + "1\t"), (tagged_files._TAG_LIST, "(" + "," * 100_000),
        (label_columns._LIST, "(" + "," * 100_000), (label_columns._BARE_DIGITS, "0" + " " * 100_000 + "x"), (labels._NUMBER, "1" * 100_000 + "x"),
    ],
)  # fmt: skip
def test_a_pattern_takes_no_more_than_the_length_of_a_text(pattern, text):
    """With two ways to match the same characters these take minutes, or for ever: the guided search found the first of them."""
    assert pattern.fullmatch(text) is None


def test_a_file_of_empty_lines_before_a_word_is_read_at_once(tmp_path):
    (tmp_path / "x.conll").write_text("\n" * 1000 + "EU B-ORG\n")
    assert len(read_tagged(tmp_path / "x.conll")) == 1


def test_a_switch_that_is_null_is_not_given(tmp_path):
    Tokenizer.train(["a Cat", "a dog"], 30).save(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    for values in ({"tokenizer_class": "BertTokenizer"}, {}):
        path.write_text(json.dumps(values))
        whole = Tokenizer.from_pretrained(tmp_path).backend.to_str()
        path.write_text(
            json.dumps({**values, "do_lower_case": None, "strip_accents": None, "tokenize_chinese_chars": None})
        )
        assert Tokenizer.from_pretrained(tmp_path).backend.to_str() == whole


def test_the_judge_of_readers_finds_faults(tmp_path, place):
    """A reader that lets something else out, and one that takes memory."""

    def fails(folder):
        raise KeyError("x")

    (tmp_path / "a").write_bytes(b"")
    assert finding(Reader(fails, ("a",), fails), tmp_path, "a", b"", b"") == ("KeyError: 'x'", True)
    np.ones(2**26)  # a process that was larger once: its peak would hide the next one
    held = []
    wasteful = Reader(fails, ("a",), lambda folder: held.append(np.ones(2**24)))
    said, refused = finding(wasteful, tmp_path, "a", b"", b"")
    assert said.endswith("MiB of memory") and not refused


# --- JSON ----------------------------------------------------------------------------------------------------------------------------

TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(TREES)
def test_strict_json_is_read_as_python_reads_it(tree):
    for text in (json.dumps(tree), json.dumps(tree, ensure_ascii=False).encode()):
        assert parse_json(text) == json.loads(text) == tree


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": NaN}', "NaN"), ('{"a": -Infinity}', "-Infinity"), ('{"a": 1e999}', "too large"), ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('[{"b": {"c": 1, "d": 2, "c": 1}}]', "'c' is there twice"), ("[" * 101 + "]" * 101, "100 levels"),
        ("[" * 100_000, "levels"), ('{"a":' * 5000 + "1" + "}" * 5000, "levels"), (r'"\ud800"', "surrogate"), (r'{"\uDC00": 1}', "surrogate"),
        (b"\xff", "UTF-8"), ("1" * 5000, "limit"), ("{", "Expecting"), ("", "Expecting"),
    ],
)  # fmt: skip
def test_what_is_no_strict_json(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_hundred_levels_and_pairs_of_surrogates_are_right():
    assert parse_json("[" * 100 + "]" * 100)
    assert parse_json(r'["\ud83d\ude00"]') == ["😀"]


class _Inner(TypedDict, total=False):
    n: Annotated[int, Between(1, 8)]


class _Sample(TypedDict):
    name: str
    inner: list[_Inner]
    words: dict[str, str] | None
    share: Annotated[float, Between(0)]


def test_each_entry_is_checked_by_its_kind(tmp_path):
    good = {"name": "a", "inner": [{"n": 8, "other": []}], "words": {"x": "y"}, "share": 0, "more": None}
    path = tmp_path / "x.json"
    for change, message in [
        ({}, None), ({"words": None}, None), ({"inner": []}, None), ({"share": 2.5}, None),
        ({"name": 1}, "expected a string as 'name' in .*x.json, got 1"), ({"inner": {}}, "expected a list as 'inner'"),
        ({"inner": [{}, {"n": 9}]}, r"expected a number from 1 to 8 as 'inner\[1\].n' in .*, got 9"),
        ({"inner": [{"n": 1.0}]}, r"expected an integer as 'inner\[0\].n' in .*, got 1.0"), ({"inner": [{"n": True}]}, "an integer"),
        ({"inner": [3]}, r"expected an object as 'inner\[0\]'"), ({"words": {"x": 1}}, "expected a string as 'words.x'"),
        ({"words": []}, "expected None or an object as 'words'"), ({"share": -1}, "a number >= 0 as 'share'"),
        ({"share": "1"}, "a number as 'share'"), ({"share": 10**400}, "a number as 'share'"), ({"name": "x" * 10_000, "share": None}, "a number"),
    ]:  # fmt: skip
        path.write_text(json.dumps({**good, **change}))
        if message is None:
            assert read_json(path, "op", "path", _Sample) == {**good, **change}
            continue
        with pytest.raises(BadValue, match=message) as caught:
            read_json(path, "op", "path", _Sample)
        assert len(str(caught.value)) < 600
    path.write_text('{"name": "a"}')
    with pytest.raises(BadValue, match="got no such entry"):
        read_json(path, "op", "path", _Sample)
    with pytest.raises(BadValue, match=r"expected a number >= 1 as '\[0\]'"):
        as_kind([0], list[Annotated[int, Between(1)]], "x", "op", "path")
    assert checked("op", "x", tuple[str, ...], ["a"]) == ("a",)


def test_links_are_followed_to_files_only(tmp_path):
    (tmp_path / "blob").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "blob")
    assert read_json(tmp_path / "link.json") == {}
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "round.json").symlink_to(tmp_path / "round.json")
    for name, error in [
        ("endless", BadFile),
        ("pipe", BadFile),
        ("folder", IsFolder),
        ("none", FileMissing),
        ("round", OSError),
    ]:
        for read in (read_json, engine.load, engine.serialization.load_file):
            with pytest.raises(error, match=name):
                read(tmp_path / f"{name}.json")
    with pytest.raises(BadFile, match="too long"):
        read_json(tmp_path / ("x" * 300))
    assert inside("a.b") and not any(map(inside, ["x" * 256, "", ".", "..", "a/b", "/a", "../a", "a\\b", "a\0"]))


# --- compressed files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zst"])
def test_what_unpacks_to_too_much_is_refused(tmp_path, ending):
    def zst(data):
        import zstandard

        return zstandard.ZstdCompressor().compress(data)

    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zst}[ending]
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(pack(b"text,label\n" + b"a,x\n" * 2**20))
    assert len(TextFile("read", path).read_bytes()) == 11 + 2**22
    path.write_bytes(pack(b"text,label\n" + b"a,x\n" * (3 * 2**20)))
    with pytest.raises(
        BadValue,
        match=r"expected at most \d+,\d{3},\d{3} bytes out of .* in .*a\.csv.* \(if that is right, unpack it first\)",
    ):
        read_table(path)


def test_an_excel_file_that_unpacks_to_too_much_is_refused(tmp_path):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", " " * 2**25)
    with pytest.raises(BadValue, match="unpack it first"):
        read_table(path)


# --- sizes that files only claim -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lie",
    [
        {"num_labels": 2**31 - 1, "id2label": {"0": "a"}}, {"num_hidden_layers": 0, "hidden_size": 2**20, "num_attention_heads": 1},
        {"num_hidden_layers": 2**31}, {"num_hidden_layers": 4096, "hidden_size": 1, "intermediate_size": 1, "num_attention_heads": 1},
        {"vocab_size": 2**30}, {"num_hidden_layers": 0, "embedding_size": 1, "hidden_size": 2**31 - 1, "num_attention_heads": 1},
        {"num_hidden_layers": 4000, "num_hidden_groups": 4000},
    ],
)  # fmt: skip
def test_a_config_is_believed_only_as_far_as_its_weights(place, lie):
    folder = place("model")
    whole = (folder / "config.json").read_bytes()
    values = {key: value for key, value in json.loads(whole).items() if key not in ("model_type", "id2label")}
    reader = READERS["model"]
    for kind in ("bert", "albert", None):
        names = (
            {"model_type": kind, "architectures": ["BertForSequenceClassification"]}
            if kind
            else {"architectures": ["x"]}
        )
        data = json.dumps({**values, **names, **lie}).encode()
        said, refused = finding(reader, folder, "config.json", data, whole)
        assert refused and (said is None or said.endswith(" s")), said


# --- weights that are NaN ------------------------------------------------------------------------------------------------------------


def test_weights_with_nan_give_no_answer(tmp_path):
    words = Tokenizer.train(["a cat", "a dog"], 30)
    config = TransformerConfig(words.vocab_size, 8, 1, 2, 16, 16, 2, model_type="bert", id2label={0: "no", 1: "yes"})
    model = BertForSequenceClassification(config)
    predictor = Predictor(model.eval(), words)
    assert predictor.answer(["a cat"])[0]["label"] in ("no", "yes")
    model.classifier.bias.data[1] = float("nan")
    predictor.save_pretrained(tmp_path / "model")
    again = Predictor.from_pretrained(tmp_path / "model")
    with pytest.raises(NotFinite, match="expected finite outputs, got NaN or infinity"):
        again.answer(["a cat"])
    with pytest.raises(NotFinite, match=r"export.* finite weights, got NaN or infinity in classifier\.bias"):
        export(tmp_path / "model", tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
    model.bert.embeddings.word_embeddings.weight.data[:] = float("inf")
    with pytest.raises(NotFinite, match="finite vectors"):
        SentenceEncoder(model.bert, words).encode(["a cat"])


def test_a_large_view_of_few_weights_is_no_weight(tmp_path, place):
    """A view that repeats one number claims as many elements as it likes."""
    folder = tmp_path / "m"
    READERS["model"].build(folder)
    (folder / "model.safetensors").unlink()
    engine.save({"x": engine.zeros(1).expand(2**40)}, folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 2**24}))
    with pytest.raises(BadValue, match="weights with "):
        AutoModelForSequenceClassification.from_pretrained(folder)


def test_the_command_says_what_is_wrong(tmp_path):
    from cli_runs import run_engine

    (tmp_path / "x.toml").write_text("a = " + "[" * 5000)
    assert "levels" in run_engine("train", "--config", tmp_path / "x.toml", "a.csv", code=2)
