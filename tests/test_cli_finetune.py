"""The way around a fine-tuning: pretrain, check, adapters, search, and everything that a stranger gets wrong."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, TUNED, read_json, run_engine, texts, write_conll, write_encoder, write_rows, write_texts
from engine.serialization import load_file


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    write_texts(folder / "train.csv", 3)
    write_texts(folder / "test.csv", 1)
    write_encoder(folder / "encoder")
    write_conll(folder / "tags.conll")
    return folder


# ---- adapters


def test_adapters_are_merged_and_kept(place, tmp_path):
    """model.safetensors is weight + alpha / r * B A of the adapters beside it; all else is as it was published."""
    run = tmp_path / "run"
    options = ("--lora-rank", 2, "--lora-alpha", 8, "--lora-targets", "query, value", "--epochs", 2)
    run_engine("train", place / "train.csv", "-o", run, "--init", place / "encoder", *TUNED, *options)
    published = load_file(place / "encoder/model.safetensors")
    merged, adapters = load_file(run / "model.safetensors"), load_file(run / "adapter/adapter_model.safetensors")
    moved = 0
    for name, tensor in published.items():
        expected = tensor.numpy().astype(np.float64)
        layer = f"base_model.model.bert.{name.removesuffix('.weight')}"
        if name.endswith((".query.weight", ".value.weight")):
            a, b = (adapters[f"{layer}.lora_{half}.weight"].numpy().astype(np.float64) for half in "AB")
            expected = expected + 8 / 2 * (b @ a)
            moved += 1
        got = merged.get(f"bert.{name}")
        if "pooler" not in name:
            np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)
    assert moved == 4 and np.abs(merged["classifier.weight"].numpy()).max() > 0
    about = read_json(run / "adapter/adapter_config.json")
    assert (about["r"], about["lora_alpha"], about["base_model_name_or_path"]) == (2, 8, str(place / "encoder"))
    evaluated = json.loads(run_engine("evaluate", run, place / "test.csv", "--json"))
    assert 0 <= evaluated["accuracy"] <= 1


@pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers, of its own names, when peft asks
def test_peft_opens_the_adapters(place, tmp_path):
    peft = pytest.importorskip("peft")
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    run = tmp_path / "run"
    run_engine("train", place / "train.csv", "-o", run, "--init", place / "encoder", *TUNED, "--lora-rank", 2)
    names = read_json(run / "config.json")["id2label"]
    base = transformers.AutoModelForSequenceClassification.from_pretrained(place / "encoder", num_labels=len(names))
    adapted = peft.PeftModel.from_pretrained(base, run / "adapter").eval()
    merged = transformers.AutoModelForSequenceClassification.from_pretrained(run).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(run)("the card is late", return_tensors="pt")
    assert not hasattr(merged, "peft_config")  # transformers adds adapters that lie beside the weights, once more
    with torch.no_grad():
        torch.testing.assert_close(adapted(**tokens).logits, merged(**tokens).logits, atol=1e-5, rtol=0)


def test_frozen_parts_stay_as_published(place, tmp_path):
    run = tmp_path / "run"
    options = ("--freeze-embeddings", "--freeze-layers", 1, "--pooling", "pooler")
    run_engine("train", place / "train.csv", "-o", run, "--init", place / "encoder", *TUNED, *options)
    published, tuned = load_file(place / "encoder/model.safetensors"), load_file(run / "model.safetensors")
    for name, tensor in published.items():
        same = np.array_equal(tensor.numpy(), tuned[f"bert.{name}"].numpy())
        frozen = name.startswith(("embeddings.", "encoder.layer.0."))
        assert same or not frozen, name
        assert not same or frozen or name.endswith("key.bias"), name


# ---- check, pretrain, search


def test_check_finds_removes_and_writes_and_train_cleans(place, tmp_path):
    rows = [
        *texts(2),
        texts(2)[0],
        ("where is the new card, hello", "money"),
        ("<b>bold</b> card", "card"),
        ("", "card"),
    ]
    rows.append((texts(1)[5][0], "money"))
    dirty = write_rows(tmp_path / "dirty.csv", ("text", "intent"), rows)
    test = write_rows(tmp_path / "test.csv", ("text", "intent"), texts(1)[4:6])
    report = json.loads(run_engine("check", dirty, "--test", test, "--json"))
    found = json.dumps(report)
    for kind in ("duplicate", "label_conflict", "leak", "markup", "empty"):
        assert kind in found
    before = dirty.read_bytes()
    kinds = "duplicate,label_conflict,leak,empty"
    out = run_engine("check", dirty, "--test", test, "--remove", kinds, "-o", tmp_path / "clean.csv")
    assert "rows removed" in out and dirty.read_bytes() == before
    again = json.loads(run_engine("check", tmp_path / "clean.csv", "--test", test, "--json"))
    left = (tmp_path / "clean.csv").read_text().splitlines()
    assert len(left) < len(rows) + 1 and len(set(left)) == len(left) and again != report
    run = tmp_path / "run"
    run_engine("train", dirty, "--test", test, "-o", run, *SCRATCH, "--clean", f"{kinds},markup")
    cleaning = read_json(run / "report.json")["data"]["cleaning"]
    assert cleaning["markup"] == 1 and cleaning["leak"] >= 2 and cleaning["rows_removed"] >= 4
    assert read_json(run / "run.json")["cleaning"] == cleaning


def test_a_cleaned_copy_has_all_columns(tmp_path):
    rows = [(str(i), text, "mail" if i % 2 else "chat", label) for i, (text, label) in enumerate(texts(2))]
    data = write_rows(tmp_path / "data.csv", ("id", "text", "channel", "intent"), [*rows, rows[0]])
    run_engine("check", data, "--remove", "duplicate", "-o", tmp_path / "clean.csv")
    with open(tmp_path / "clean.csv", encoding="utf-8", newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [(r["id"], r["text"], r["channel"], r["intent"]) for r in found] == rows


def test_a_column_of_empty_texts_is_named(place, tmp_path):
    data = write_rows(tmp_path / "data.csv", ("text", "message", "label"), [("", t, n) for t, n in texts(2)])
    for options in (SCRATCH, ("--init", place / "encoder", *TUNED)):
        error = run_engine("train", data, "-o", tmp_path / "run", *options, code=2)
        assert "--text-column: expected texts in the column 'text'" in error and not (tmp_path / "run").exists()
    run_engine("train", data, "-o", tmp_path / "run", *SCRATCH, "--text-column", "message")


def test_a_metric_that_is_asked_for_is_the_one(tmp_path):
    data = write_rows(tmp_path / "data.csv", ("text", "label"), [(t, str(i % 5)) for i, (t, _) in enumerate(texts(3))])
    error = run_engine(
        "train", data, "-o", tmp_path / "a", *SCRATCH, "--task", "regression", "--metric", "accuracy", code=2
    )
    assert "--metric: expected one of" in error
    run_engine("train", data, "-o", tmp_path / "b", *SCRATCH, "--task", "regression", "--metric", "rmse")


def test_texts_are_cut_where_a_short_model_ends(place, tmp_path):
    encoder = write_encoder(tmp_path / "short", max_position_embeddings=12)
    run_engine("train", place / "train.csv", "-o", tmp_path / "run", "--init", encoder, "--epochs", 1, "--no-progress")
    assert read_json(tmp_path / "run/run.json")["data"]["max_length"] == 12


def test_a_classifier_from_scratch_that_pools_as_bert_is_exported(place, tmp_path):
    run_engine("train", place / "train.csv", "-o", tmp_path / "run", *SCRATCH, "--pooling", "pooler")
    run_engine("export", tmp_path / "run", tmp_path / "hub")
    about = read_json(tmp_path / "hub/config.json")
    assert about["architectures"] == ["BertForSequenceClassification"] and about["model_type"] == "bert"
    answers = [
        run_engine("predict", folder, "my card is late", "--json") for folder in (tmp_path / "run", tmp_path / "hub")
    ]
    assert json.loads(answers[0]) == json.loads(answers[1])


def test_pretrain_then_train(place, tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(f"{text}\n" for text, _ in texts(6)))
    sizes = ("--layers", 1, "--dim", 16, "--heads", 2, "--max-length", 24, "--vocab-size", 300)
    options = ("--document", "line", "--epochs", 1, "--max-tokens", 256, "--no-progress")
    run_engine("pretrain", corpus, "-o", tmp_path / "pretrained", *sizes, *options)
    run_engine("train", place / "train.csv", "-o", tmp_path / "run", "--init", tmp_path / "pretrained", *TUNED)
    assert read_json(tmp_path / "run/report.json")["model"]["hidden_size"] == 16
    adapted = ("--init", place / "encoder", "--max-length", 24, *options)
    run_engine("pretrain", corpus, "-o", tmp_path / "adapted", *adapted)
    run_engine("train", place / "tags.conll", "--task", "tagging", "-o", tmp_path / "tags", "--init",
               tmp_path / "adapted", *TUNED)  # fmt: skip
    assert "expected a model trained for a task" in run_engine("predict", tmp_path / "adapted", "text", code=2)


def test_search_then_train_with_the_best(place, tmp_path):
    pytest.importorskip("optuna")
    pytest.importorskip("tomli_w")
    space = tmp_path / "space.toml"
    space.write_text('lr = { low = 1e-3, high = 2e-2, log = true }\nepochs = [1, 2]\nclass-weights = ["balanced"]\n')
    data, init = place / "train.csv", ("--init", place / "encoder", *TUNED[:2], "--batch-size", 8)
    out = run_engine("search", space, data, *init, "--trials", 3, "-o", tmp_path / "search")
    assert out.count("trial ") == 3 and "best accuracy" in out
    assert not list((tmp_path / "search").glob("trial-*"))
    run_engine(
        "train", data, *init, "--config", tmp_path / "search/best.toml", "-o", tmp_path / "best", "--no-progress",
        "--validation-fraction", 0.1,
    )  # fmt: skip
    about = read_json(tmp_path / "best/run.json")
    assert 1e-3 <= about["trainer"]["lr"] <= 2e-2 and about["trainer"]["epochs"] in (1, 2)
    assert about["task"]["class_weights"] == "balanced"
    report = read_json(tmp_path / "best/report.json")
    assert f"best accuracy {report['held_out']['accuracy']:.4f}" in out  # the same training
    for name in ("learning_rate", "threads", "trials", "test"):  # also options that no training of a search reads
        space.write_text(f"{name} = [1, 2]\n")
        err = run_engine("search", space, data, *init, "-o", tmp_path / "other", code=2)
        assert f"expected names of options of training, got '{name}'" in err and not (tmp_path / "other").exists()


# ---- what a stranger gets wrong: one line, exit code 2, and no run folder


def copy_of(place: Path, folder: Path, **changes) -> Path:
    """The encoder with files changed: bytes to write, a name to rename to, or None to remove."""
    shutil.copytree(place / "encoder", folder)
    for name, change in changes.items():
        path = folder / name.replace("__", ".")
        if isinstance(change, bytes):
            path.write_bytes(change)
        elif change is None:
            path.unlink()
        else:
            path.rename(folder / change)
    return folder


def test_wrong_encoders(place, tmp_path):
    gpt = json.dumps({"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 300}).encode()
    wrong = {
        "not_a_pickle": ({"model__safetensors": "pytorch_model.bin"}, "pytorch_model.bin"),
        "gpt2": ({"config__json": gpt}, "got 'gpt2'"),
        "weightless": ({"model__safetensors": None}, "expected a file model.safetensors"),
        "wordless": ({"tokenizer__json": None}, "expected a folder with tokenizer.json or vocab.txt"),
        "damaged": ({"model__safetensors": b"\0" * 20}, "model.safetensors"),
    }
    for name, (changes, message) in wrong.items():
        folder = copy_of(place, tmp_path / name, **changes)
        arguments = ("train", place / "train.csv", "-o", tmp_path / "run", *TUNED, "--init", folder)
        assert message in run_engine(*arguments, code=2), name
    for init, message in ((tmp_path / "none", "existing folder"), (place / "train.csv", "got the file")):
        arguments = ("train", place / "train.csv", "-o", tmp_path / "run", *TUNED, "--init", init)
        assert message in run_engine(*arguments, code=2)
    assert not (tmp_path / "run").exists()


CLASSIFY, TAG, NUMBER = "train.csv", "tags.conll", "numbers.csv"
WRONG = [
    (CLASSIFY, ("--max-length", 64), "--max-length: expected at most the model's 32 tokens"),
    (CLASSIFY, ("--layers", 2), "--layers cannot be combined with --init"),
    (CLASSIFY, ("--vocab-size", 200), "--vocab-size cannot be combined with --init"),
    (CLASSIFY, ("--freeze-layers", 9), "--freeze-layers: expected at most the model's 2, got 9"),
    (CLASSIFY, ("--lora-rank", 2, "--lora-targets", "attention.nothing"), "got 'attention.nothing'"),
    (
        CLASSIFY,
        ("--lora-rank", 2, "--freeze-layers", 1),
        "--freeze-layers: expected no value, got 1 (--lora-rank freezes every layer)",
    ),
    (CLASSIFY, ("--metric", "bleu"), "--metric: expected one of loss, accuracy, macro_f1, micro_f1, mcc, got 'bleu'"),
    (CLASSIFY, ("--augment", "explode=1"), "--augment: expected deletion=, swap= or mask=, got 'explode=1'"),
    (CLASSIFY, ("--augment", "swap=7"), "--augment: expected a number in [0, 1] for swap"),
    (CLASSIFY, ("--clean", "dirt"), "--clean: expected some of empty"),
    (CLASSIFY, ("--text-column", "body"), "--text-column: expected one of the columns"),
    (CLASSIFY, ("--pair-column", "body"), "--pair-column: expected one of the columns"),
    (CLASSIFY, ("--group-column", "body"), "--group-column: expected one of the columns"),
    (CLASSIFY, ("--precision", "bfloat16"), "--precision: expected 'float32' on cpu"),
    (CLASSIFY, ("--task", "regression"), "expected a finite float32 number, got 'card' in line 2"),
    (CLASSIFY, ("--task", "tagging"), "expected a tag for each word in"),
    (CLASSIFY, ("--test", "empty.csv"), "got the empty file"),
    (CLASSIFY, ("--test", "unlabelled.csv"), "--label-column"),
    ("empty.csv", (), "got the empty file"),
    ("empty.csv", ("--task", "tagging"), "expected at least one sentence"),
    ("unlabelled.csv", (), "got none (name it with --label-column)"),
    ("bars.csv", ("--task", "multilabel"), "got 'x||y' in line 2 of"),
    (
        NUMBER,
        ("--task", "regression", "--class-weights", "balanced"),
        "--class-weights: expected no value, got 'balanced' (the task 'regression' does not use it)",
    ),
    (NUMBER, ("--task", "regression", "--metric", "accuracies"), "--metric: expected one of loss, mse"),
    (
        NUMBER,
        ("--task", "regression", "--examples-per-class", 2),
        "--examples-per-class: expected no value, got 2 (the task 'regression' does not use it)",
    ),
    (
        NUMBER,
        ("--task", "regression", "--group-column", "label"),
        "--group-column: expected no value, got 'label' (the task 'regression' does not use it)",
    ),
    (TAG, ("--task", "tagging", "--augment", "swap=0.1"), "--augment: expected mask= alone"),
    (
        TAG,
        ("--task", "tagging", "--text-column", "text"),
        "--text-column: expected the number of a column, from 1, got 'text'",
    ),
    (
        TAG,
        ("--task", "tagging", "--test", "other.conll"),
        "got 'B-planet' for the word 'mars' in the sentence at line 4 of",
    ),
    ("ragged.conll", ("--task", "tagging"), "expected 2 columns in line 2"),
    ("words.conll", ("--task", "tagging"), "expected a tag for each word"),
]


@pytest.fixture(scope="module")
def wrong(place) -> Path:
    write_rows(place / NUMBER, ("text", "label"), [(text, str(len(text))) for text, _ in texts()])
    write_rows(place / "bars.csv", ("text", "labels"), [("a", "x||y"), ("b", "x")] * 9)
    write_rows(place / "unlabelled.csv", ("text", "colour"), [(text, "red") for text, _ in texts()])
    files = {"empty.csv": "", "other.conll": "fly O\nto O\n\nmars B-planet\n", "ragged.conll": "a O\nb\n",
             "words.conll": "a\nb\n\nc\n"}  # fmt: skip
    for name, content in files.items():
        (place / name).write_text(content)
    return place


@pytest.mark.parametrize(("data", "options", "message"), WRONG)
def test_wrong_trainings(wrong, tmp_path, data, options, message):
    there = [wrong / o if str(o).endswith((".csv", ".conll")) else o for o in options]
    arguments = ("train", wrong / data, "-o", tmp_path / "run", "--init", wrong / "encoder", *TUNED, *there)
    assert message in run_engine(*arguments, code=2)
    assert not (tmp_path / "run").exists()


def test_an_encoder_alone_answers_nothing(place, tmp_path):
    """Its head would have random numbers: no predictions, no figures."""
    for arguments in (("predict", place / "encoder", "text"), ("evaluate", place / "encoder", place / "test.csv")):
        assert "expected a model trained for a task" in run_engine(*arguments, code=2)
    assert "expected a file name that ends in" in run_engine(
        "embed", place / "encoder", place / "test.csv", "-o", tmp_path / "v.xyz", code=2
    )
    assert "--remove and --output must be given together" in run_engine(
        "check", place / "train.csv", "--remove", "duplicate", code=2
    )
    assert "--remove: expected some of" in run_engine(
        "check", place / "train.csv", "--remove", "dirt", "-o", tmp_path / "c.csv", code=2
    )
    assert not list(tmp_path.iterdir())


def test_an_existing_run_is_kept(place, tmp_path):
    options = ("--init", place / "encoder", *TUNED)
    run_engine("train", place / "train.csv", "-o", tmp_path / "run", *options)
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()}
    assert "--overwrite" in run_engine("train", place / "train.csv", "-o", tmp_path / "run", *options, code=2)
    # A setting that is refused removes nothing either.
    wrong = ("--overwrite", "--metric", "bleu")
    run_engine("train", place / "train.csv", "-o", tmp_path / "run", *options, *wrong, code=2)
    run_engine("export", tmp_path / "run", tmp_path / "run", code=2)
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()}


@pytest.mark.parametrize("arguments", [[], ["train", "--help"], ["search", "--help"], ["embed", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    program = (
        "import sys\nimport engine\n"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'click' or m.startswith(('engine.train', 'engine.data', "
        "'engine.models', 'engine.commands'))]\n"
        f"from engine.cli import main\ntry:\n    main({arguments or ['--help']})\nexcept SystemExit:\n    pass\n"
        "heavy = [m for m in sys.modules if m.startswith(('engine.train', 'engine.models')) or m in ('tokenizers', "
        "'matplotlib', 'optuna', 'tqdm', 'tensorboard')]\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
