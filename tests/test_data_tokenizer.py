"""Tokenizer: training, BERT vocabularies, saving, English and Chinese, forks and missing libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import unicodedata
from pathlib import Path

import pytest

from engine.data import DataLoader
from engine.text import TextDataset, Tokenizer

pytest.importorskip("tokenizers")

ENGLISH = [
    "My card still hasn't arrived, when will it arrive?",
    "The card was declined at the café.",
    "How do I track the card you sent me?",
    "Why was my card payment declined?",
]
CHINESE = ["我的银行卡还没有到", "银行卡付款被拒绝了", "怎么查询我的银行卡？", "卡丢了,怎么办"]

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "card", "ar", "##riv", "##ed", "my", "?", "我", "卡", "的",
         "cafe", "café", "My", "##s", ",", "a"]  # fmt: skip


def vocab_file(folder: Path, tokens: list[str] | None = None, end: str = "\n") -> Path:
    path = folder / "vocab.txt"
    path.write_bytes("".join(token + end for token in tokens or VOCAB).encode())
    return path


def reference_wordpiece(text: str, vocab: dict[str, int], lowercase: bool) -> list[int]:
    """BERT's tokenization, written from the paper's description: an oracle that shares no code."""
    words, word = [], ""
    if lowercase:
        text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    for character in text + " ":
        alone = 0x4E00 <= ord(character) <= 0x9FFF or unicodedata.category(character).startswith("P")
        alone = alone or (character.isascii() and character.isprintable() and not character.isalnum())
        if character.isspace() or alone:
            words += [word] if word else []
            word = ""
            words += [character] if alone and not character.isspace() else []
        else:
            word += character
    ids = [vocab["[CLS]"]]
    for word in words:
        pieces, start = [], 0
        while start < len(word):
            for stop in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:stop]
                if piece in vocab:
                    pieces.append(vocab[piece])
                    start = stop
                    break
            else:
                pieces, start = [vocab["[UNK]"]], len(word)
        ids += pieces
    return [*ids, vocab["[SEP]"]]


# --- BERT vocabularies ---


def test_from_vocab_by_hand(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_vocab(vocab_file(tmp_path))
    ids = {token: number for number, token in enumerate(VOCAB)}

    def encode(*tokens: str) -> list[int]:
        return [ids[token] for token in ("[CLS]", *tokens, "[SEP]")]

    assert tokenizer.encode("My card ARRIVED?") == encode("my", "card", "ar", "##riv", "##ed", "?")
    assert tokenizer.encode("我的卡cards") == encode("我", "的", "卡", "card", "##s")
    assert tokenizer.encode("Café zebra") == encode("cafe", "[UNK]")
    assert tokenizer.encode("") == tokenizer.encode(" \n") == encode()
    assert tokenizer.vocab_size == len(tokenizer) == len(VOCAB)
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 1)
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id) == (2, 3, 4)
    cased = Tokenizer.from_vocab(tmp_path / "vocab.txt", lowercase=False)
    assert cased.encode("My café") == encode("My", "café")
    kept = Tokenizer.from_vocab(tmp_path / "vocab.txt", lowercase=True, strip_accents=False)
    assert kept.encode("MY Café") == encode("my", "café")


@pytest.mark.parametrize("lowercase", [True, False])
def test_encoding_against_an_independent_wordpiece(tmp_path: Path, lowercase: bool) -> None:
    trained = Tokenizer.train(ENGLISH + CHINESE, vocab_size=120, lowercase=lowercase, min_frequency=1)
    vocab = trained.backend.get_vocab()
    texts = [*ENGLISH, *CHINESE, "Cards!!  arrive—late, CAFÉ 查卡 zzz", "", "…"]
    assert trained.encode_batch(texts) == [reference_wordpiece(text, vocab, lowercase) for text in texts]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_vocab_lines(tmp_path: Path, end: str) -> None:
    tokens = [*VOCAB, "\u2028", "\x85x", "last"]
    tokenizer = Tokenizer.from_vocab(vocab_file(tmp_path, tokens, end))
    assert tokenizer.vocab_size == len(tokens)
    assert tokenizer.tokens([len(tokens) - 1, 0]) == ["last", "[PAD]"]


def test_vocab_errors(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"\[Tokenizer.from_vocab\] path: expected an existing file, got .*none"
    ):
        Tokenizer.from_vocab(tmp_path / "none")
    with pytest.raises(ValueError, match=r"'card' in lines 6 and 21 of .*vocab\.txt"):
        Tokenizer.from_vocab(vocab_file(tmp_path, [*VOCAB, "card"]))
    with pytest.raises(ValueError, match=r"got a file without \[CLS\], \[SEP\]"):
        Tokenizer.from_vocab(vocab_file(tmp_path, ["[PAD]", "[UNK]", "a"]))
    path = tmp_path / "latin.txt"
    path.write_bytes(b"[PAD]\ncaf\xe9\n")
    with pytest.raises(ValueError, match=r"UTF-8 in line 2 of .*, got byte 0xe9"):
        Tokenizer.from_vocab(path)


# --- encode and decode ---


def test_max_length_cuts_the_text_and_keeps_the_special_tokens(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_vocab(vocab_file(tmp_path))
    text = "my card card my a , ?"
    full = tokenizer.encode(text)
    assert len(full) == 9
    for length in range(3, 12):
        assert tokenizer.encode(text, max_length=length) == [*full[:-1][: length - 1], tokenizer.sep_token_id]
        assert tokenizer.encode_batch(["a", text], max_length=length)[1] == tokenizer.encode(text, max_length=length)
    assert tokenizer.encode(text) == full
    for length in (2, 0, -1):
        with pytest.raises(ValueError, match=rf"max_length: expected at least 3, got {length}"):
            tokenizer.encode(text, max_length=length)


@pytest.mark.parametrize("first", range(7))
@pytest.mark.parametrize("second", range(7))
def test_pairs(tmp_path: Path, first: int, second: int) -> None:
    tokenizer = Tokenizer.from_vocab(vocab_file(tmp_path))
    one, two = "card " * first, "my " * second
    card, my = VOCAB.index("card"), VOCAB.index("my")

    def layout(a: int, b: int) -> tuple[list[int], list[int]]:
        return [2] + [card] * a + [3] + [my] * b + [3], [0] * (a + 2) + [1] * (b + 1)

    assert tokenizer.encode(one, two) == layout(first, second)[0]
    for length in range(5, 17):
        a, b = first, second
        # The longer is cut first; of two equal ones the one that was shorter, or the first. (What the library does.)
        while a + b + 3 > length:
            a, b = (a - 1, b) if a > b or (a == b and first <= second) else (a, b - 1)
        ids, types = tokenizer.encode_pairs([one], [two], max_length=length)
        assert (ids[0], types[0]) == layout(a, b)
        assert tokenizer.encode(one, two, length) == ids[0]


def test_pair_errors(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_vocab(vocab_file(tmp_path))
    with pytest.raises(ValueError, match=r"\[Tokenizer.encode_pairs\] pairs: expected 2, one for each text, got 1"):
        tokenizer.encode_pairs(["a", "b"], ["c"])
    with pytest.raises(ValueError, match="max_length: expected at least 5, got 4"):
        tokenizer.encode("a", "b", max_length=4)


def test_bad_texts(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_vocab(vocab_file(tmp_path))
    assert tokenizer.encode_batch([]) == []
    assert tokenizer.encode_batch(text for text in ["a"]) == [[2, VOCAB.index("a"), 3]]
    with pytest.raises(TypeError, match=r"texts: expected strings, got None \(NoneType\) in texts\[1\]"):
        tokenizer.encode_batch(["a", None])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a list of strings, got one str"):
        tokenizer.encode_batch("abc")
    with pytest.raises(ValueError, match=r"half of a surrogate pair in texts\[1\] .*clean_text"):
        tokenizer.encode_batch(["a", "\udc00"])


def test_decode(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_vocab(vocab_file(tmp_path))
    ids = tokenizer.encode("My card arrived?")
    assert tokenizer.decode(ids) == "my card arrived?"
    assert tokenizer.decode(ids, skip_special_tokens=False) == "[CLS] my card arrived? [SEP]"
    for number in (-1, len(VOCAB)):
        with pytest.raises(IndexError, match=rf"decode\] ids: expected values in \[0, {len(VOCAB)}\), got {number}"):
            tokenizer.decode([number])
    for call in (tokenizer.decode, tokenizer.tokens):
        with pytest.raises(TypeError, match=r"\] ids: expected an integer, got 5.9"):
            call([5.9])  # type: ignore[list-item]


# --- training ---


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
@pytest.mark.parametrize("texts", [ENGLISH, CHINESE, ENGLISH + CHINESE])
def test_training_round_trip(tmp_path: Path, kind: str, texts: list[str]) -> None:
    tokenizer = Tokenizer.train(texts, vocab_size=400, kind=kind, min_frequency=1)  # type: ignore[arg-type]
    assert tokenizer.vocab_size <= 400
    assert tokenizer.pad_token_id == 0
    encoded = tokenizer.encode_batch(texts)
    for text, ids in zip(texts, encoded, strict=True):
        assert ids[0] == tokenizer.cls_token_id and ids[-1] == tokenizer.sep_token_id
        assert tokenizer.unk_token_id not in ids
        plain = text.lower() if kind == "bpe" else text.lower().replace("é", "e")
        assert tokenizer.decode(ids).replace(" ", "") == plain.replace(" ", "")
        if kind == "bpe":
            assert tokenizer.decode(ids) == plain
    tokenizer.save(tmp_path / "deep" / "er")
    assert sorted(os.listdir(tmp_path / "deep" / "er")) == ["tokenizer.json", "tokenizer_config.json"]
    for again in (
        Tokenizer.from_pretrained(tmp_path / "deep" / "er"),
        Tokenizer.from_file(tmp_path / "deep" / "er" / "tokenizer.json"),
    ):
        assert again.encode_batch(texts) == encoded
        assert again.special_tokens == tokenizer.special_tokens
        assert again.vocab_size == tokenizer.vocab_size


def test_wordpiece_splits_chinese_characters_and_bpe_knows_every_character() -> None:
    wordpiece = Tokenizer.train(CHINESE, vocab_size=100, min_frequency=1)
    assert len(wordpiece.encode("银行卡")) == 5
    assert not any(token and token.startswith("##") for token in wordpiece.tokens(range(wordpiece.vocab_size)))
    assert wordpiece.unk_token_id in wordpiece.encode("狗")
    bpe = Tokenizer.train(CHINESE, vocab_size=300, kind="bpe")
    assert bpe.decode(bpe.encode("狗 🐶 ñ")) == "狗 🐶 ñ"
    assert len(bpe.encode("银行卡")) < 2 + 9  # merged, not nine bytes


def test_a_small_vocabulary_leaves_out_the_rarest_characters() -> None:
    texts = ["aaa bbb", "aa bb", "a c", "a zzz"]
    for size in range(6, 20):
        assert Tokenizer.train(texts, vocab_size=size, min_frequency=1).vocab_size <= size
    tokenizer = Tokenizer.train(texts, vocab_size=9, min_frequency=1)
    assert set(tokenizer.tokens(range(5, 9))) == {"a", "##a", "b", "##b"}
    assert tokenizer.encode("ab c") == [2, *tokenizer.encode("ab")[1:-1], 1, 3]


def test_lowercase_is_a_choice() -> None:
    for kind in ("wordpiece", "bpe"):
        cased = Tokenizer.train(["Card card"], vocab_size=300, kind=kind, lowercase=False)  # type: ignore[arg-type]
        assert cased.encode("Card") != cased.encode("card")
        folded = Tokenizer.train(["Card card"], vocab_size=300, kind=kind)  # type: ignore[arg-type]
        assert folded.encode("Card") == folded.encode("card")


def test_training_errors() -> None:
    with pytest.raises(ValueError, match="kind: expected 'wordpiece' or 'bpe', got 'char'"):
        Tokenizer.train(["a"], kind="char")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="vocab_size: expected at least 261 for 'bpe', got 260"):
        Tokenizer.train(["a"], vocab_size=260, kind="bpe")
    for texts in ([], ["", "  "]):
        with pytest.raises(ValueError, match="texts: expected at least one text that is not blank"):
            Tokenizer.train(texts)
    with pytest.raises(TypeError, match="one str"):
        Tokenizer.train("abc")


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**env, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_training_gives_the_same_bits_in_every_process(kind: str) -> None:
    code = f"""
        import random
        from engine.text import Tokenizer
        rng = random.Random(0)
        words = ["".join(rng.choice("abcdefghij") for _ in range(rng.randrange(2, 9))) for _ in range(400)]
        texts = [" ".join(rng.choices(words, k=8)) + "银行卡付款"[rng.randrange(5):] for _ in range(300)]
        print(Tokenizer.train(texts, vocab_size=700, kind={kind!r}).backend.to_str())
    """
    results = [run(code) for _ in range(3)]
    assert results[0].returncode == 0, results[0].stderr
    vocabularies = [json.loads(result.stdout)["model"] for result in results]
    assert len(vocabularies[0]["vocab"]) > 400
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]


# --- files of other libraries ---


def test_from_pretrained_reads_a_bert_folder(tmp_path: Path) -> None:
    vocab_file(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "mask_token": {"content": "card"}}')
    tokenizer = Tokenizer.from_pretrained(tmp_path)
    assert tokenizer.encode("My") == [2, VOCAB.index("My"), 3]
    assert tokenizer.mask_token_id == VOCAB.index("card")


def test_tokens_beside_a_vocabulary_have_one_id_each(tmp_path: Path) -> None:
    vocab_file(tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"[E1]": 40, "card": 5}')
    tokenizer = Tokenizer.from_pretrained(tmp_path)
    assert tokenizer.encode("my[E1]card") == [2, *tokenizer.encode("my")[1:-1], len(VOCAB), VOCAB.index("card"), 3]
    assert tokenizer.vocab_size == len(VOCAB) + 1
    (tmp_path / "tokenizer_config.json").write_text('{"added_tokens_decoder": {"x": {"content": "[E1]"}}}')
    with pytest.raises(ValueError, match="numbers and contents of added tokens"):
        Tokenizer.from_pretrained(tmp_path)


def test_a_folder_of_byte_pairs(tmp_path: Path) -> None:
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "Ġ", "ab", "Ġab"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    merges = tmp_path / "merges.txt"
    with pytest.raises(
        FileNotFoundError, match=r"expected a folder with tokenizer\.json or vocab\.txt, or with vocab\.json"
    ):
        Tokenizer.from_pretrained(tmp_path)
    merges.write_text("#version: 0.2\na b\nĠ ab\n")
    tokenizer = Tokenizer.from_pretrained(tmp_path)
    assert tokenizer.encode("ab ab") == [0, 7, 8, 2] and tokenizer.encode("a", "b") == [0, 4, 2, 2, 5, 2]
    (tmp_path / "tokenizer_config.json").write_text('{"add_prefix_space": true}')
    assert Tokenizer.from_pretrained(tmp_path).encode("ab") == [0, 8, 2]
    for text, message in (("a b c", "two tokens with a space"), ("a z", "expected tokens of vocab.json in line 1")):
        merges.write_text(text)
        with pytest.raises(ValueError, match=message):
            Tokenizer.from_pretrained(tmp_path)
    merges.write_text("")
    (tmp_path / "vocab.json").write_text('{"<s>": 0}')
    with pytest.raises(ValueError, match="without <pad>, </s>"):
        Tokenizer.from_pretrained(tmp_path)


def test_a_model_of_sentencepiece_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"spiece\.model is of SentencePiece"):
        Tokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("kind, lower", [("BertTokenizer", True), ("PreTrainedTokenizerFast", False), (None, False)])
def test_the_class_decides_whether_its_defaults_count(tmp_path: Path, kind: str | None, lower: bool) -> None:
    Tokenizer.from_vocab(vocab_file(tmp_path), lowercase=False).save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind} if kind else {}))
    assert (Tokenizer.from_pretrained(tmp_path).encode("CARD") == [2, VOCAB.index("card"), 3]) == lower


def test_from_pretrained_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"directory: expected a folder with tokenizer.json or vocab.txt"):
        Tokenizer.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"expected an existing folder, got .*none"):
        Tokenizer.from_pretrained(tmp_path / "none")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"expected a tokenizer\.json, got .*tokenizer\.json"):
        Tokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"directory: expected JSON, got .*tokenizer_config\.json"):
        Tokenizer.from_pretrained(tmp_path)


def test_padding_and_truncation_in_the_file_are_switched_off(tmp_path: Path) -> None:
    backend = Tokenizer.train(ENGLISH, vocab_size=100).backend
    backend.enable_padding(length=64)
    backend.enable_truncation(5)
    backend.save(str(tmp_path / "tokenizer.json"))
    ids = Tokenizer.from_file(tmp_path / "tokenizer.json").encode_batch([ENGLISH[0], "card"])
    assert len(ids[0]) > 8 and len(ids[1]) < 10


def test_special_tokens_of_another_family() -> None:
    import tokenizers

    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<pad>": 0, "<s>": 1, "</s>": 2, "x": 9}, "<pad>"))
    tokenizer = Tokenizer(backend, {"mask": "x"})
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id) == (0, 1, 2)
    assert tokenizer.unk_token_id is None and tokenizer.mask_token_id == 9
    assert tokenizer.vocab_size == 10  # ids have a gap; an embedding needs ten rows
    with pytest.raises(ValueError, match="roles pad, unk, cls, sep, mask, got 'bos'"):
        Tokenizer(backend, {"bos": "x"})
    with pytest.raises(ValueError, match="token of the vocabulary, got 'y'"):
        Tokenizer(backend, {"mask": "y"})


def test_saving_over_an_old_file_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer.train(ENGLISH, vocab_size=100)
    tokenizer.save(tmp_path)
    before = (tmp_path / "tokenizer.json").read_bytes()

    def fail(*arguments: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        Tokenizer.train(CHINESE, vocab_size=100).save(tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["tokenizer.json", "tokenizer_config.json"]


# --- threads, forks, a missing library ---


def test_threads_with_different_lengths_do_not_disturb_each_other() -> None:
    tokenizer = Tokenizer.train(ENGLISH, vocab_size=100)
    texts = ENGLISH * 20
    expected = {length: tokenizer.encode_batch(texts, length) for length in (4, 7, 10)}
    wrong: list[int] = []

    def work(length: int) -> None:
        for _ in range(10):
            if tokenizer.encode_batch(texts, length) != expected[length]:
                wrong.append(length)

    threads = [threading.Thread(target=work, args=(length,)) for length in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


FORK = """
    import os, sys
    from engine.text import Tokenizer
    tokenizer = Tokenizer.train(["my card arrived"] * 50, vocab_size=60)
    texts = ["my card"] * 200
    expected = tokenizer.encode_batch(texts)
    for _ in range(2):
        child = os.fork()
        if child == 0:
            good = tokenizer.encode_batch(texts) == expected
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(0 if tokenizer.encode_batch(texts) == expected else 1)
            good = good and os.waitpid(grandchild, 0)[1] == 0
            good = good and os.environ["TOKENIZERS_PARALLELISM"] == "false"
            os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0
        print(os.environ.get("TOKENIZERS_PARALLELISM"))
        assert tokenizer.encode_batch(texts) == expected
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forked_children_encode_without_a_warning() -> None:
    result = run(FORK)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["None", "None"]  # the parent's choice is left open


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_the_users_choice_of_parallelism_is_kept() -> None:
    result = run(FORK, TOKENIZERS_PARALLELISM="false")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["false", "false"]


def test_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = vocab_file(tmp_path)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"pip install 'engine\[text\]'"):
        Tokenizer.from_vocab(path)
    with pytest.raises(ImportError, match=r"pip install 'engine\[text\]'"):
        Tokenizer.train(["a"])


def test_importing_the_data_layer_does_not_import_the_library() -> None:
    result = run("import sys, engine.data; print('tokenizers' in sys.modules)")
    assert result.stdout.strip() == "False", result.stderr


# --- together ---


def test_from_texts_to_batches() -> None:
    texts = [*ENGLISH, *CHINESE, ""]
    tokenizer = Tokenizer.train(texts, vocab_size=200, min_frequency=1)
    data = TextDataset.from_texts(texts, tokenizer, labels=range(9), max_length=12)  # type: ignore[arg-type]
    assert data.lengths.max() == 12 and data.lengths[-1] == 2
    for batch in DataLoader(data, 4, shuffle=True):
        for start, stop, label in zip(
            batch.cu_seqlens.numpy(), batch.cu_seqlens.numpy()[1:], batch.labels.numpy(), strict=False
        ):
            ids = batch.input_ids.numpy()[start:stop].tolist()
            assert ids == tokenizer.encode(texts[label], max_length=12)
    pairs = TextDataset.from_texts(ENGLISH, tokenizer, pairs=CHINESE)
    (batch,) = DataLoader(pairs)
    assert batch.token_type_ids is not None and set(batch.token_type_ids.numpy().tolist()) == {0, 1}
