"""Exported ONNX models: ONNX Runtime gives what the models give, for ragged texts with padding on either side, from one token on."""

from __future__ import annotations

import ast
import json
import re
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import engine
from cli_runs import run_engine
from engine.inference import Predictor, SentenceEncoder, export_onnx
from engine.inference.embedder import POOLING_MODES
from engine.inference.export import open_model
from engine.inference.onnx import graph
from engine.inference.onnx.network import ACTIVATIONS
from engine.models import (
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    TransformerClassifier,
    TransformerConfig,
    TransformerEncoderModel,
)
from engine.models.config import ACTIVATIONS as KNOWN_ACTIVATIONS
from engine.models.config import POOLING
from engine.models.families import FAMILIES, HEADS
from engine.text import Tokenizer

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TEXTS = ["My card has not arrived yet!", "Über café naïve", "你好 世界, and more", "card " * 40, "x"]
LENGTHS = [9, 1, 4, 7]
CLASSES = {
    "base": BertModel, "sequence": BertForSequenceClassification, "token": BertForTokenClassification,
    "masked": BertForMaskedLM,
}  # fmt: skip
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(TEXTS * 3, 120)


def written(folder, tokenizer, kind=TransformerClassifier, **changes):
    """A model with weights that make its outputs differ, in a folder with its tokenizer."""
    engine.manual_seed(3)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 24, "initializer_range": 0.3}
    config = TransformerConfig(
        tokenizer.vocab_size, **{**sizes, "num_labels": 3, "pad_token_id": tokenizer.pad_token_id, **changes}
    )
    model = kind(config).eval()
    for parameter in model.parameters():  # norms and biases, too, are not what they start as
        with engine.no_grad():
            parameter += engine.randn(*parameter.shape) * 0.1
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return model


def ragged(vocab_size, pad, left=(False,) * 4, types=2):
    """input_ids, attention_mask and token_type_ids, int64 (4, 9), of rows that are padded on the left or on the right."""
    rng = np.random.default_rng(0)
    ids = np.full((len(LENGTHS), max(LENGTHS)), pad)
    mask, kinds = np.zeros_like(ids), np.zeros_like(ids)
    for row, (length, first) in enumerate(zip(LENGTHS, left)):
        cells = slice(max(LENGTHS) - length, None) if first else slice(length)
        ids[row, cells], mask[row, cells] = rng.integers(5, vocab_size, length), 1
        kinds[row, cells] = rng.integers(0, types, length)
    return ids, mask, kinds


def session_of(folder):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


def answered(session, ids, mask, kinds):
    """The outputs by name."""
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": kinds}
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {each.name: given[each.name] for each in session.get_inputs()})))


def same_everywhere(model, session, vocab_size, pad, types):
    """Whether the model and the session agree on a rectangle: padding on the right, on the left, on both, none, and with holes."""
    sides = ([False] * 4, [True] * 4, [False, True, True, False])
    cases = [ragged(vocab_size, pad, left, max(types, 1)) for left in sides]
    cases += [tuple(array[:1] for array in cases[0]), tuple(array[1:2, :1] for array in cases[0])]  # one row; one token
    ids, mask, kinds = ragged(vocab_size, pad, sides[2], max(types, 1))
    cases.append(
        (ids, np.where(np.arange(mask.shape[1]) % 3 == 1, 0, mask) | (mask.sum(1, keepdims=True) == 1) * mask, kinds)
    )
    for ids, mask, kinds in cases:
        tensors = [engine.tensor(array) for array in ((ids, mask, kinds) if types > 1 else (ids, mask))]
        expected, found = model(*tensors), answered(session, ids, mask, kinds)
        expected = expected if isinstance(expected, tuple) else (expected,)
        expected = [each.detach().numpy() for each in expected if each is not None]
        assert len(found) == len(expected)
        for one, other in zip(found.values(), expected):
            assert one.dtype == np.float32 and one.shape == other.shape
            np.testing.assert_allclose(one, other, **CLOSE)


@pytest.mark.parametrize("family, head", list(product(FAMILIES, HEADS)))
def test_every_family_with_every_head(tmp_path, tokenizer, family, head):
    changes = {"embedding_size": 8} if "embedding_size" in FAMILIES[family].defaults else {}
    changes |= {"num_hidden_groups": 1} if "num_hidden_groups" in FAMILIES[family].defaults else {}
    changes |= {"position_offset": tokenizer.pad_token_id + 1} if FAMILIES[family].offset else {}
    types = 0 if "type_vocab_size" in FAMILIES[family].fixed else 2
    written(tmp_path / "run", tokenizer, CLASSES[head], model_type=family, type_vocab_size=types, **changes)
    found = export_onnx(tmp_path / "run", tmp_path / "out")
    model, session = open_model(tmp_path / "run"), session_of(found)
    assert len(session.get_inputs()) == (3 if types else 2)
    same_everywhere(model, session, tokenizer.vocab_size, tokenizer.pad_token_id, types)
    names = {each.name for each in onnx_of(found).graph.initializer}
    stored = {name.removesuffix(".T") for name in names if not name.startswith("constant_")}
    assert stored == set(engine.serialization.load_file(tmp_path / "run" / "model.safetensors"))


def onnx_of(folder):
    import onnx

    return onnx.load(folder / "model.onnx", load_external_data=False)


OWN = [
    *({"pooling": pooling, "pooler": pooler} for pooling, pooler in product(POOLING, (False, True))),
    *({"hidden_act": act, "pooler": True, "pooler_act": act} for act in KNOWN_ACTIVATIONS),
    {"norm_first": True},
    {"norm_first": True, "num_hidden_layers": 0, "pooling": "mean"},
    {"type_vocab_size": 1},
    {"type_vocab_size": 3},
    {"embedding_size": 8, "num_hidden_layers": 3, "num_hidden_groups": 2},
    {"position_offset": 2},
    {"position_offset": 2, "pad_token_id": None},
    {"layer_norm_eps": 0.5, "num_labels": 1, "num_attention_heads": 4},
]


@pytest.mark.parametrize("changes", OWN, ids=lambda changes: "-".join(f"{k}={v}" for k, v in changes.items()))
def test_models_of_our_own(tmp_path, tokenizer, changes):
    for kind in (TransformerClassifier, TransformerEncoderModel):
        folder = tmp_path / kind.__name__
        written(folder, tokenizer, kind, **changes)
        session = session_of(export_onnx(folder, tmp_path / f"{kind.__name__}-onnx"))
        model = open_model(folder)
        whole = model
        if kind is TransformerEncoderModel and model.pooler is not None:  # its forward leaves out what the pooler gives

            def whole(*tensors, model=model):
                x = model.inputs(*tensors)
                return model(*tensors), model.encode_pooled(x)

        pad = tokenizer.pad_token_id
        same_everywhere(whole, session, tokenizer.vocab_size, pad, changes.get("type_vocab_size", 0))


def test_all_activations_have_a_rule():
    assert ACTIVATIONS.keys() == set(KNOWN_ACTIVATIONS)


# ---- sentences


def pooled(hidden, real, mode):
    """The vector of one row in float64."""
    rows, n = hidden[real].astype(np.float64), int(real.sum())
    weights = np.arange(1, n + 1)[:, None]
    return {
        "cls": rows[0], "mean": rows.mean(0), "max": rows.max(0), "mean_sqrt_len_tokens": rows.sum(0) / np.sqrt(n),
        "weightedmean": (rows * weights).sum(0) / weights.sum(), "lasttoken": rows[-1],
    }[mode]  # fmt: skip


@pytest.mark.parametrize("modes", [(mode,) for mode in POOLING_MODES] + [("max", "cls")], ids="+".join)
@pytest.mark.parametrize("normalize", [False, True])
def test_sentences(tmp_path, tokenizer, modes, normalize):
    model = written(tmp_path / "run", tokenizer, BertModel, model_type="bert", type_vocab_size=2)
    encoder = SentenceEncoder(model, tokenizer, modes, normalize=normalize, max_length=9)
    encoder.save_pretrained(tmp_path / "sentences")
    session = session_of(export_onnx(tmp_path / "sentences", tmp_path / "out"))
    for left in (False, True):
        ids, mask, kinds = ragged(tokenizer.vocab_size, tokenizer.pad_token_id, [left] * 4)
        hidden = model(*map(engine.tensor, (ids, mask, kinds))).last_hidden_state.detach().numpy()
        expected = np.stack(
            [np.concatenate([pooled(h, m.astype(bool), mode) for mode in modes]) for h, m in zip(hidden, mask)]
        )
        if normalize:
            expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(answered(session, ids, mask, kinds)["sentence_embedding"], expected, **CLOSE)


# ---- the folder


FILES = {
    "model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
    "README.md",
}  # fmt: skip


def program_of(folder):
    return re.search(r"^```python\n(.*?)^```$", (folder / "README.md").read_text("utf-8"), re.M | re.S)[1]


def run_program(folder, monkeypatch, texts, hidden=("engine",)):
    """What the program of a README.md leaves behind, with other texts, where engine cannot be imported."""
    program = program_of(folder).replace('["a first text", "another text"]', repr(texts))
    for name in hidden:
        assert not re.search(rf"^(import|from) {name}\b", program, re.M)
    monkeypatch.chdir(folder)
    found = {}
    exec(compile(program, "README.md", "exec"), found)
    return found


DIRTY = [
    "My card\u200b  has not\tarrived yet!",
    "Über cafe\u0301 na\u00efve",
    "你好\n世界, and more",
    "card " * 40,
    "x",
]


@pytest.mark.parametrize(
    "kind, changes, shown",
    [
        (TransformerClassifier, {"pooling": "mean"}, "LABEL_"),
        (BertForSequenceClassification, {"problem_type": "multi_label_classification"}, "{"),
        (BertForSequenceClassification, {"problem_type": "regression", "num_labels": 1}, "LABEL_0"),
        (BertForTokenClassification, {}, "LABEL_"),
    ],
)
def test_the_program_in_the_readme_gives_the_predictors_logits(
    tmp_path, tokenizer, monkeypatch, capsys, kind, changes, shown
):
    written(tmp_path / "run", tokenizer, kind, max_position_embeddings=30, **changes)
    folder = export_onnx(tmp_path / "run", tmp_path / "deep" / "out", max_length=20)
    assert {path.name for path in folder.iterdir()} == FILES and len(list(folder.parent.iterdir())) == 1
    found = run_program(folder, monkeypatch, DIRTY)
    assert shown in capsys.readouterr().out
    predictor = Predictor.from_pretrained(tmp_path / "run")
    batch = engine.text.PackedBatch.from_sequences(
        [predictor.tokenizer.encode(engine.text.clean_text(text), max_length=20) for text in DIRTY]
    )
    expected, logits = predictor.model(batch).detach().numpy(), found["outputs"]["logits"]
    if logits.ndim == 3:
        logits = logits[found["inputs"]["attention_mask"] == 1]
    np.testing.assert_allclose(logits, expected, **CLOSE)
    assert "library_name: onnx" in (folder / "README.md").read_text("utf-8")


def test_the_program_for_sentences(tmp_path, tokenizer, monkeypatch):
    model = written(tmp_path / "run", tokenizer, BertModel, model_type="bert", type_vocab_size=2)
    for number, options in enumerate(
        ({"lowercase": True, "prompt": "Query: "}, {"normalize": True}, {"pooling": ("cls", "max")})
    ):
        SentenceEncoder(model, tokenizer, max_length=12, **options).save_pretrained(tmp_path / f"sentences{number}")
        folder = export_onnx(tmp_path / f"sentences{number}", tmp_path / f"out{number}")
        found = run_program(folder, monkeypatch, TEXTS)
        expected = SentenceEncoder.from_pretrained(tmp_path / f"sentences{number}").encode(TEXTS)
        np.testing.assert_allclose(found["vectors"], expected, **CLOSE)
        assert "pipeline_tag: sentence-similarity" in (folder / "README.md").read_text("utf-8")


def test_the_program_for_tags_prints_words(tmp_path, tokenizer, monkeypatch, capsys):
    written(tmp_path / "run", tokenizer, BertForTokenClassification)
    predictor = Predictor.from_pretrained(tmp_path / "run")
    predictor.tokenizer.model_max_length = 20
    folder = export_onnx(tmp_path / "run", tmp_path / "out", max_length=20)
    run_program(folder, monkeypatch, DIRTY)
    printed = [ast.literal_eval(line) for line in capsys.readouterr().out.splitlines()]
    answers = predictor.answer([engine.text.clean_text(text) for text in DIRTY])
    assert printed == [[*zip(answer["words"], answer["tags"])] for answer in answers]
    assert printed[2][0][0] == "你好" and printed[3][-1] == ("card", None)


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM, TransformerEncoderModel])
def test_the_program_for_other_heads_runs(tmp_path, tokenizer, monkeypatch, kind):
    written(tmp_path / "run", tokenizer, kind)
    assert run_program(export_onnx(tmp_path / "run", tmp_path / "out"), monkeypatch, TEXTS)["outputs"]


def test_large_weights_are_in_a_file_of_their_own(tmp_path, tokenizer, monkeypatch):
    written(tmp_path / "run", tokenizer, model_type="bert", kind=BertForSequenceClassification)
    small = export_onnx(tmp_path / "run", tmp_path / "small")
    monkeypatch.setattr(graph, "INLINE_BYTES", 1000)
    large = export_onnx(tmp_path / "run", tmp_path / "large")
    assert {path.name for path in large.iterdir()} == FILES | {"model.onnx.data"}
    assert (large / "model.onnx").stat().st_size < (small / "model.onnx").stat().st_size / 2
    batch = ragged(tokenizer.vocab_size, tokenizer.pad_token_id)
    one, other = (answered(session_of(folder), *batch)["logits"] for folder in (small, large))
    assert one.tolist() == other.tolist()


def test_opset_and_names(tmp_path, tokenizer):
    written(tmp_path / "run", tokenizer)
    found = onnx_of(export_onnx(tmp_path / "run", tmp_path / "out", card=False))
    assert [(each.domain, each.version) for each in found.opset_import] == [("", 17)] and found.ir_version == 8
    assert found.producer_name == "engine" and not (tmp_path / "out" / "README.md").exists()
    shapes = {
        each.name: [axis.dim_param or axis.dim_value for axis in each.type.tensor_type.shape.dim]
        for each in (*found.graph.input, *found.graph.output)
    }
    rectangle = ["batch", "length"]
    assert shapes == {"input_ids": rectangle, "attention_mask": rectangle, "logits": ["batch", 3]}


def test_what_is_refused(tmp_path, tokenizer, monkeypatch):
    written(tmp_path / "run", tokenizer)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    for source, target, options, error, message in [
        ("none", "out", {}, FileNotFoundError, "run_folder: expected an existing folder"),
        ("run", "full", {}, FileExistsError, "output: expected a new or empty folder"),
        ("run", "out", {"max_length": 25}, ValueError, "max_length: expected 1 to 24 tokens, got 25"),
    ]:
        with pytest.raises(error, match=rf"\[export\] {message}"):
            export_onnx(tmp_path / source, tmp_path / target, **options)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'engine\[onnx\]'"):
        export_onnx(tmp_path / "run", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "run"]


def test_the_command(tmp_path, tokenizer):
    written(tmp_path / "run", tokenizer)
    assert "model.onnx" in run_engine("export", tmp_path / "run", tmp_path / "out", "--format", "onnx")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"] == ["TransformerClassifier"]
    error = run_engine("export", tmp_path / "run", tmp_path / "o", "--format", "onnx", "--dtype", "float16", code=2)
    assert "the weights of an ONNX file are float32" in error


def test_the_name_of_pytorch_says_the_way():
    with pytest.raises(NotImplementedError, match=r"engine.inference.export_onnx\(folder, output\)"):
        engine.onnx.export(engine.nn.Linear(2, 2), engine.zeros(1, 2), "model.onnx")


def test_golden_weights_give_what_transformers_gave(tmp_path, tokenizer):
    """The outputs that `transformers` computed, of the models in tests/golden."""
    golden = Path(__file__).parent / "golden"
    cases = sorted(path.parent for path in golden.glob("*/*/config.json"))
    assert len(cases) >= 18
    for number, folder in enumerate(cases):
        source = tmp_path / f"case{number}"
        source.mkdir()
        for path in folder.iterdir():
            (source / path.name).write_bytes(path.read_bytes())
        small = Tokenizer.train(["a b"], 12)  # fits into each model's vocabulary
        small.save(source)
        session = session_of(export_onnx(source, tmp_path / f"out{number}"))
        expected = engine.serialization.load_file(folder / "expected.safetensors")
        ids, mask = expected["input_ids"].numpy(), expected["attention_mask"].numpy()
        kinds = expected["token_type_ids"].numpy() if "token_type_ids" in expected else np.zeros_like(ids)
        for name, found in answered(session, ids, mask, kinds).items():
            if name in expected:
                other = expected[name].numpy()
                cells = mask.astype(bool) if found.ndim == 3 else slice(None)
                np.testing.assert_allclose(found[cells], other[cells], rtol=2e-5, atol=1e-5)
