"""The special tokens that tokenizer_config.json names beside a tokenizer.json: engine gives the ids of `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.text import Tokenizer

lib = pytest.importorskip("tokenizers")

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "[OTHER]", "[END]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "h", "e", "l", "o", "Ġ", "<other>", "<end>"]
ROLES = ("cls_token", "sep_token", "pad_token", "unk_token", "mask_token")
CHANGES: tuple[dict[str, Any], ...] = (
    {}, {"cls_token": 0}, {"sep_token": 1}, {"unk_token": 1}, {"cls_token": "<brandnew>"}, {"cls_token": 0, "sep_token": 0},
    {"cls_token": {"__type": "AddedToken", "content": 0, "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}},
)  # fmt: skip


def folder(path: Path, family: str, kind: str | None, change: dict[str, Any]) -> Path:
    if family == "bert":
        backend = lib.Tokenizer(lib.models.WordPiece({t: i for i, t in enumerate(BERT)}, unk_token="[UNK]"))
        backend.normalizer, backend.pre_tokenizer = (
            lib.normalizers.BertNormalizer(),
            lib.pre_tokenizers.BertPreTokenizer(),
        )
        around = {"single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B:1 [SEP]:1"}
        backend.post_processor = lib.processors.TemplateProcessing(
            **around, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        tokens, named, others = BERT[:5], [BERT[i] for i in (2, 3, 0, 1, 4)], BERT[-2:]
    else:
        backend = lib.Tokenizer(lib.models.BPE({t: i for i, t in enumerate(ROBERTA)}, [], unk_token="<unk>"))
        backend.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.post_processor = lib.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        tokens, named, others = ROBERTA[:5], [ROBERTA[i] for i in (0, 2, 1, 3, 4)], ROBERTA[-2:]
    backend.add_special_tokens(tokens)
    path.mkdir()
    backend.save(str(path / "tokenizer.json"))
    config: dict[str, Any] = dict(zip(ROLES, named))
    for role, value in change.items():
        content = value["content"] if isinstance(value, dict) else value
        token = others[content] if isinstance(content, int) else content
        config[role] = {**value, "content": token} if isinstance(value, dict) else token
    config |= {"tokenizer_class": kind} if kind else {}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    (path / "config.json").write_text(json.dumps({"model_type": family, "vocab_size": 40}))
    return path


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_they_have_the_precedence_of_transformers(family: str, tmp_path: Path) -> None:
    auto = pytest.importorskip("transformers").AutoTokenizer
    own = "BertTokenizerFast" if family == "bert" else "RobertaTokenizer"
    for number, (kind, change) in enumerate((k, c) for k in (own, None, "PreTrainedTokenizerFast") for c in CHANGES):
        path = folder(tmp_path / str(number), family, kind, change)
        theirs, ours = auto.from_pretrained(path), Tokenizer.from_pretrained(path)
        for text in ("hello", "hello hello", "hello zzz é"):
            assert ours.encode(text) == theirs(text)["input_ids"], (kind, change, text)
        ids, types = ours.encode_pairs(["hello"], ["world"])
        pair = theirs("hello", "world", return_token_type_ids=True)
        assert ids[0] == pair["input_ids"] and (family == "roberta" or types[0] == pair["token_type_ids"]), (
            kind,
            change,
        )
        roles = [ours.special_tokens[role.removesuffix("_token")] for role in ROLES]
        assert roles == [getattr(theirs, role) for role in ROLES]


def test_a_family_takes_them_and_a_general_class_does_not(tmp_path: Path) -> None:
    """The same without `transformers`."""
    change = {"cls_token": 0, "sep_token": 1, "unk_token": 1}
    family = Tokenizer.from_pretrained(folder(tmp_path / "a", "bert", "BertTokenizer", change))
    assert family.encode("hello zzz") == [7, 5, 8, 8] and family.encode_pairs(["hello"], ["world"])[0] == [
        [7, 5, 8, 6, 8]
    ]
    general = Tokenizer.from_pretrained(folder(tmp_path / "b", "bert", "PreTrainedTokenizerFast", change))
    assert general.encode("hello zzz") == [2, 5, 1, 3] and general.special_tokens["cls"] == "[OTHER]"
