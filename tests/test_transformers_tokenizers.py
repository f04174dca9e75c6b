"""Random folders of tokenizers, as they lie on the hub, and random texts: engine gives the ids of `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.text import Tokenizer
from engine.text._tokenizer_backend import bert, finish, roberta

lib = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

PIECES = [
    "hello", "Hello", "HELLO", "world", "naïve", "naive", "café", "cafe\u0301", "Straße", "İstanbul", "unbelievable", "a", "b", "ab",
    "中国", "银行卡", "日本語テキスト", "한국어", "😀", "👨\u200d👩\u200d👧", "\u200b", "\x00", "\x07", "\t", "\r\n", "\u00a0", "\u2028", "…", "—",
    "!", "?", "##a", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "<s>", "</s>", "<mask>", "[FOO]", "[foo]", "<ent>", "<ENT>", "émoji",
    "Émoji", "x" * 101, "1234", "１２", "ﬁ", "$5", "don't", "‮",
]  # fmt: skip
ADDED = ["[FOO]", "<ent>", "émoji", "ab", "中国", "Straße", "new token"]
WORDPIECES = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "Hello", "world", "naive", "na", "##ï", "##ve", "##i", "cafe", "café", "##s",
    "stra", "##ß", "##e", "Stra", "a", "b", "##a", "##b", "中", "国", "##国", "中国", "银", "行", "卡", "한", "##국", "##어", "😀", "!", "?", "[",
    "]", "foo", "FOO", "<", ">", "ent", "e", "##m", "##o", "##j", "é", "É", "1", "##2", "##3", "##4", "don", "'", "t", "$", "5", "#", "ab",
]  # fmt: skip
CLASSES = (
    None,
    "BertTokenizer",
    "BertTokenizerFast",
    "DistilBertTokenizer",
    "ElectraTokenizerFast",
    "PreTrainedTokenizerFast",
)


def random_texts(rng: np.random.Generator) -> list[str]:
    texts = ["", " ", "hello[FOO]world a<ent>b"]
    for _ in range(12):
        glue = rng.choice(["", " "], size=9)
        texts.append("".join(piece + space for piece, space in zip(rng.choice(PIECES, size=9), glue)))
    return texts


def random_settings(rng: np.random.Generator, names: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    return {name: values[rng.integers(len(values))] for name, values in names.items() if rng.integers(2)}


def random_token(content: str, rng: np.random.Generator) -> dict[str, Any]:
    flags = {name: bool(rng.integers(2)) for name in ("lstrip", "rstrip", "normalized", "single_word", "special")}
    return {"content": content, **flags}


def random_added(rng: np.random.Generator, vocab: dict[str, int]) -> dict[str, Any]:
    """Files and entries that add tokens: of the newer kind, of the older one, or none. The special tokens are among them."""
    tokens = list(dict.fromkeys(rng.choice(ADDED, size=rng.integers(1, 5)).tolist()))
    new = [token for token in tokens if token not in vocab]
    ids = {token: vocab.get(token, len(vocab) + new.index(token) if token in new else 0) for token in tokens}
    kind = rng.integers(4)
    if kind == 0:
        return {"config": {}}
    if kind == 1:
        return {"config": {"added_tokens_decoder": {str(n): random_token(token, rng) for token, n in ids.items()}}}
    files: dict[str, Any] = {"added_tokens.json": ids, "config": {}}
    if kind == 3:
        special = {"additional_special_tokens": tokens[:1]}
        if rng.integers(2):
            special["mask_token"] = {"content": "[MASK]", "lstrip": True, "rstrip": False, "normalized": False}
        files["special_tokens_map.json"] = special
    if rng.integers(2):
        files["config"] = {str(rng.choice(["extra_special_tokens", "additional_special_tokens"])): tokens[-1:]}
    return files


def compare(folder: Path, files: dict[str, Any], rng: np.random.Generator) -> None:
    folder.mkdir()
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        (folder / name).write_text(text, encoding="utf-8")
    theirs, ours = transformers.AutoTokenizer.from_pretrained(folder), Tokenizer.from_pretrained(folder)
    about = {
        name: content for name, content in files.items() if name not in ("tokenizer.json", "vocab.txt", "vocab.json")
    }
    for text in random_texts(rng):
        assert ours.encode(text) == theirs(text)["input_ids"], (text, about)
    assert ours.vocab_size == max(theirs.get_vocab().values()) + 1, about
    for role in ("pad", "unk", "cls", "sep", "mask"):
        number = getattr(theirs, f"{role}_token_id")
        if number is not None:  # engine looks for the usual tokens where the files name none
            assert getattr(ours, f"{role}_token_id") == number, (role, about)
    pair = theirs("hello", "world ab")
    assert ours.encode("hello", "world ab") == pair["input_ids"], about
    ours.save(folder / "again")
    again = Tokenizer.from_pretrained(folder / "again")
    assert all(again.encode(text) == ours.encode(text) for text in random_texts(rng))


@pytest.mark.parametrize("seed", range(40))
def test_bert_folders(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    vocab = {token: number for number, token in enumerate(WORDPIECES)}
    files = random_added(rng, vocab)
    settings = {
        "do_lower_case": (True, False), "strip_accents": (None, True, False), "tokenize_chinese_chars": (True, False),
    }  # fmt: skip
    config = {**random_settings(rng, settings), **files.pop("config")}
    if kind := CLASSES[rng.integers(len(CLASSES))]:
        config["tokenizer_class"] = kind
    if config:
        files["tokenizer_config.json"] = config
    files["config.json"] = {"model_type": str(rng.choice(["bert", "distilbert", "electra"]))}
    whole = rng.integers(2)
    if whole or kind == "PreTrainedTokenizerFast":
        flags = [None if n == 2 else bool(n) for n in rng.integers(3, size=3)]
        backend = bert(vocab, lowercase=bool(flags[0]), strip_accents=flags[1], split_chinese=bool(flags[2]))
        finish(backend)
        if "added_tokens.json" in files:  # the files of one tokenizer agree
            backend.add_tokens(list(files["added_tokens.json"]))
        backend.enable_truncation(7)
        backend.enable_padding(length=9)
        files["tokenizer.json"] = backend.to_str()
    if not whole or rng.integers(2):
        files["vocab.txt"] = "\n".join(WORDPIECES) + "\n" * int(rng.integers(2))
    compare(tmp_path / "folder", files, rng)


@pytest.mark.parametrize("seed", range(15))
def test_roberta_folders(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    letters = sorted(lib.pre_tokenizers.ByteLevel.alphabet())
    merges = [
        ("h", "e"),
        ("l", "l"),
        ("he", "ll"),
        ("hell", "o"),
        ("Ġ", "hello"),
        ("Ġ", "w"),
        ("Ġw", "o"),
        ("a", "b"),
        ("#", "#"),
    ]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(a + b for a, b in merges), "<mask>"]
    vocab = {token: number for number, token in enumerate(tokens)}
    files = random_added(rng, vocab)
    files.get("special_tokens_map.json", {}).pop("mask_token", None)
    config = {
        **random_settings(rng, {"add_prefix_space": (True, False), "trim_offsets": (True, False)}),
        **files.pop("config"),
    }
    if rng.integers(2):
        config["tokenizer_class"] = str(rng.choice(["RobertaTokenizer", "RobertaTokenizerFast"]))
    files["tokenizer_config.json"], files["config.json"] = config, {"model_type": "roberta"}
    if rng.integers(2):
        backend = roberta(vocab, merges, prefix_space=bool(rng.integers(2)))
        backend.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
        backend.post_processor = lib.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        if "added_tokens.json" in files:
            backend.add_tokens(list(files["added_tokens.json"]))
        files["tokenizer.json"] = backend.to_str()
    else:
        files["vocab.json"] = vocab
        files["merges.txt"] = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges)
    compare(tmp_path / "folder", files, rng)


@pytest.mark.parametrize("seed", range(12))
def test_albert_folders(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    letters = sorted({*"▁abcdefghijklmnopqrstuvwxyzHELOÉéïïßİ中国1234!?$'[]<>", "\u0301"})
    pieces = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "▁hello", "▁Hello", "▁naive", "▁café", "▁cafe", *letters]
    backend = lib.Tokenizer(lib.models.Unigram([(piece, -float(len(piece) < 2)) for piece in pieces], 1, False))
    steps = [lib.normalizers.Replace("``", '"'), lib.normalizers.Replace("''", '"')]
    if rng.integers(2):
        steps += [lib.normalizers.NFKD(), lib.normalizers.StripAccents()]
    if rng.integers(2):
        steps.append(lib.normalizers.Lowercase())
    backend.normalizer = lib.normalizers.Sequence(steps)
    words = [lib.pre_tokenizers.WhitespaceSplit(), lib.pre_tokenizers.Metaspace(prepend_scheme="always")]
    backend.pre_tokenizer = lib.pre_tokenizers.Sequence(words)
    backend.add_special_tokens(pieces[:5])
    finish(backend)
    config = random_settings(rng, {"do_lower_case": (True, False), "keep_accents": (True, False)})
    config |= (
        {"tokenizer_class": ("AlbertTokenizer", "AlbertTokenizerFast")[rng.integers(2)]} if rng.integers(2) else {}
    )
    files = {
        "tokenizer.json": backend.to_str(),
        "tokenizer_config.json": config,
        "config.json": {"model_type": "albert"},
    }
    compare(tmp_path / "folder", files, rng)
