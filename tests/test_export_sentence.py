"""Exports of classifiers that `transformers` cannot hold, and exports that replace an earlier one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine.inference.export
from cli_runs import SCRATCH, TUNED, notes_of, read_json, run_engine, texts, write_encoder, write_texts
from engine.inference import Predictor
from engine.inference.export import export
from engine.inference.sentence_classifier import export_sentence_classifier
from engine.serialization import load_file
from test_export import NAMES, TEXTS, logits, run_folder, tokenizer_of

KINDS: list[dict[str, Any]] = [
    {"pooling": "max"}, {"pooling": "mean"}, {"pooling": "mean", "type_vocab_size": 2}, {"pooling": "first"},
    {"pooling": "mean", "pooler": True},
]  # fmt: skip


def by_hand(folder: Path, texts: list[str]) -> np.ndarray:
    """The logits that the files of a folder describe, computed from the hidden states of its encoder in NumPy."""
    from engine.inference import SentenceEncoder

    modules = json.loads((folder / "modules.json").read_text())
    assert [module["type"].rsplit(".", 1)[1] for module in modules][:2] == ["Transformer", "Pooling"]
    mode = next(key for key, value in read_json(folder / "1_Pooling/config.json").items() if value is True)
    pooling = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_max_tokens": "max"}[
        mode
    ]
    x = SentenceEncoder.from_pretrained(folder / "0_Transformer", pooling=pooling, normalize=False).encode(texts)
    for module in modules[2:]:
        config = read_json(folder / module["path"] / "config.json")
        weights = load_file(folder / module["path"] / "model.safetensors")
        x = x @ weights["linear.weight"].numpy().T + weights["linear.bias"].numpy()
        assert x.shape[1] == config["out_features"]
        x = np.tanh(x) if config["activation_function"].endswith(".Tanh") else x
    return x


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_the_modules_compute_the_same_logits(tmp_path, changes):
    tokenizer = tokenizer_of()
    model = run_folder(tmp_path / "run", tokenizer, **changes)
    folder = export_sentence_classifier(tmp_path / "run", tmp_path / "out")
    np.testing.assert_allclose(by_hand(folder, TEXTS), logits(model, tokenizer), atol=1e-5)
    assert read_json(folder / "0_Transformer/config.json")["id2label"] == {str(n): name for n, name in NAMES.items()}
    assert "from sentence_transformers import" in (folder / "README.md").read_text()
    assert not (folder / "config.json").exists()  # `transformers` would open it with a new head


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_sentence_transformers_gives_the_same_logits_and_opens_in_silence(tmp_path, changes, caplog):
    library = pytest.importorskip("sentence_transformers")
    loggers = pytest.importorskip("transformers").utils.logging
    tokenizer = tokenizer_of()
    model = run_folder(tmp_path / "run", tokenizer, **changes)
    folder = export_sentence_classifier(tmp_path / "run", tmp_path / "out")
    caplog.clear()
    loggers.enable_propagation()
    try:
        found = library.SentenceTransformer(str(folder), device="cpu")
    finally:
        loggers.disable_propagation()
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []
    np.testing.assert_allclose(found.encode(TEXTS), logits(model, tokenizer), atol=1e-4)


def test_a_run_from_scratch_is_exported_without_a_word_beforehand(tmp_path):
    data = write_texts(tmp_path / "train.csv")
    run_engine("train", data, "-o", tmp_path / "run", *SCRATCH)
    (note,) = notes_of("export", tmp_path / "run", tmp_path / "out")
    assert "reads the maximum of all tokens" in note and "--pooling pooler" in note and "sentence-transformers" in note
    words = [text for text, _ in texts(1)]
    logits = by_hand(tmp_path / "out", words)
    own = Predictor.from_pretrained(tmp_path / "run").answer(words)
    names = read_json(tmp_path / "out/0_Transformer/config.json")["id2label"]
    assert [names[str(best)] for best in logits.argmax(1)] == [answer["label"] for answer in own]
    error = run_engine("export", tmp_path / "run", tmp_path / "other", "--format", "transformers", code=2)
    assert "--format sentence-transformers" in error and not (tmp_path / "other").exists()


def test_a_tuned_run_that_reads_the_mean_is_exported(tmp_path):
    data, encoder = write_texts(tmp_path / "train.csv"), write_encoder(tmp_path / "encoder")
    run_engine("train", data, "-o", tmp_path / "run", "--init", encoder, *TUNED, "--pooling", "mean")
    run_engine("export", tmp_path / "run", tmp_path / "out", "--dtype", "bfloat16")
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"modules.json", "0_Transformer", "2_Dense"}
    run_engine("train", data, "-o", tmp_path / "first", "--init", encoder, *TUNED, "--pooling", "pooler")
    assert notes_of("export", tmp_path / "first", tmp_path / "hub") == []
    assert (tmp_path / "hub/config.json").exists()


def test_what_neither_can_hold_is_refused(tmp_path):
    run_folder(tmp_path / "run", tokenizer_of(), pooling="max", norm_first=True)
    with pytest.raises(ValueError, match="it normalises before each part"):
        export_sentence_classifier(tmp_path / "run", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


# ---- replacing


def test_an_earlier_export_is_replaced_only_if_asked(tmp_path, monkeypatch):
    tokenizer = tokenizer_of()
    run_folder(tmp_path / "one", tokenizer, model_type="bert")
    run_folder(tmp_path / "two", tokenizer, model_type="bert", hidden_act="relu")
    out = tmp_path / "out"
    export(tmp_path / "one", out)
    assert "(replace it with --overwrite)" in run_engine("export", tmp_path / "two", out, code=2)
    assert read_json(out / "config.json")["hidden_act"] == "gelu"

    def fails(*arguments: Any, **options: Any) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(engine.inference.export, "model_card", fails)
        with pytest.raises(OSError, match="no space"):
            export(tmp_path / "two", out, overwrite=True)
    assert read_json(out / "config.json")["hidden_act"] == "gelu" and len(list(tmp_path.iterdir())) == 3
    run_engine("export", tmp_path / "two", out, "--overwrite", "--no-card")
    assert read_json(out / "config.json")["hidden_act"] == "relu" and not (out / "README.md").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "out", "two"]


def test_what_is_no_export_is_never_replaced(tmp_path):
    run_folder(tmp_path / "run", tokenizer_of(), model_type="bert")
    for name in ("notes.txt", "run.json", ".git"):
        other = tmp_path / f"with-{name}"
        export(tmp_path / "run", other)
        (other / name).write_text("mine")
        with pytest.raises(FileExistsError, match=rf"output: expected a new or empty folder, got .* with {name} in it"):
            export(tmp_path / "run", other, overwrite=True)
        assert (other / name).read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="expected a folder, got the file"):
        export(tmp_path / "run", tmp_path / "file", overwrite=True)


def test_a_link_stays_a_link(tmp_path):
    run_folder(tmp_path / "run", tokenizer_of(), model_type="bert")
    export(tmp_path / "run", tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    export(tmp_path / "run", tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real/config.json").is_file()


def test_a_classifier_alone_goes_to_sentence_transformers(tmp_path):
    from engine.models import BertModel, TransformerConfig

    tokenizer = tokenizer_of()
    config = TransformerConfig(tokenizer.vocab_size, hidden_size=16, max_position_embeddings=24, model_type="bert")
    run_folder(tmp_path / "run", tokenizer, BertModel(config))
    with pytest.raises(ValueError, match="run_folder: expected a classifier of texts, got BertModel"):
        export_sentence_classifier(tmp_path / "run", tmp_path / "out")
