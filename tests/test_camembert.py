"""CamemBERT: RoBERTa with other names, and SentencePiece's pieces with tokens of its own, as `transformers` writes and reads them."""

from __future__ import annotations

import numpy as np
import pytest

from cli_runs import run_engine, write_texts
from engine.inference import Predictor
from engine.text import Tokenizer

pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

PIECES = [
    "▁le", "▁la", "▁carte", "▁n", "▁est", "▁pas", "▁arriv", "ée", "é", "e", "▁", "a", "b", "c", "l", "n", "s", "t", "r", "i", "'", "▁J",
]  # fmt: skip
OWN = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED")
TEXTS = ["la carte n'est pas arrivée", "J'ai le <mask> b.", "", "  zut\talors é", "<s>NOTUSED a"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("camembert") / "model"
    vocab = [(token, 0.0) for token in OWN] + [(piece, -2.0 - i / 10) for i, piece in enumerate(PIECES)]
    tokenizer = transformers.CamembertTokenizer(vocab=[*vocab, ("<mask>", 0.0)])
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "type_vocab_size": 1,
    }
    names = {0: "ham", 1: "spam"}
    config = transformers.CamembertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=40,
        id2label=names,
        label2id={v: k for k, v in names.items()},
        **sizes,
    )
    torch.manual_seed(0)
    model = transformers.CamembertForSequenceClassification(config)
    for p in model.parameters():
        torch.nn.init.uniform_(p, -0.5, 0.5)
    model.eval().save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def test_the_same_ids_and_answers(folder):
    theirs, ours = transformers.AutoTokenizer.from_pretrained(folder), Tokenizer.from_pretrained(folder)
    assert type(theirs).__name__ == "CamembertTokenizer"
    for text in TEXTS:
        assert list(ours.encode(text)) == theirs(text)["input_ids"]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(**theirs(TEXTS, return_tensors="pt", padding=True)).logits
    answers = Predictor.from_pretrained(folder).answer(TEXTS)
    probabilities, labels = logits.softmax(-1).max(-1)
    assert [answer["label"] for answer in answers] == [model.config.id2label[i] for i in labels.tolist()]
    np.testing.assert_allclose([answer["probability"] for answer in answers], probabilities.numpy(), atol=1e-5)


def test_it_is_fine_tuned_and_exported(folder, tmp_path):
    data = write_texts(tmp_path / "a.csv")
    settings = ("--epochs", "1", "--batch-size", "8", "--max-length", "32", "--pooling", "pooler", "--no-progress")
    run_engine("train", data, "--init", folder, *settings, "-o", tmp_path / "run")
    run_engine("export", tmp_path / "run", tmp_path / "out")
    pipeline = transformers.pipeline("text-classification", str(tmp_path / "out"))
    assert type(pipeline.model).__name__ == "CamembertForSequenceClassification"
    found = Predictor.from_pretrained(tmp_path / "run").answer(["la carte"])[0]
    said = pipeline("la carte")[0]
    assert said["label"] == found["label"] and abs(said["score"] - found["probability"]) < 1e-5
