"""Each task from files to a run: train from scratch and from a published encoder, evaluate, predict, export, embed, report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")

from cli_runs import (
    CHINESE,
    SCRATCH,
    TUNED,
    read_json,
    run_engine,
    tagged,
    texts,
    write_conll,
    write_encoder,
    write_rows,
    write_texts,
)
from engine.serialization import load_file


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Data of each task in each kind of file, and an encoder."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = texts(4)
    device = ["phone" if i % 3 else "web" for i in range(len(rows))]
    write_rows(folder / "classification.csv", ("text", "intent", "device"), [(*r, d) for r, d in zip(rows, device)])
    pairs = [(a, rows[i * 5 % 48][0], str(int(label == "card"))) for i, (a, label) in enumerate(rows)]
    write_rows(folder / "pairs.csv", ("premise", "hypothesis", "same"), pairs)
    several = [(a, (label + ("|late" if "late" in a else "")) if i % 5 else "") for i, (a, label) in enumerate(rows)]
    write_rows(folder / "multilabel.csv", ("text", "labels"), several)
    lists = ({"text": a, "labels": [n for n in names.split("|") if n]} for a, names in several)
    (folder / "multilabel.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lists))
    write_rows(folder / "regression.csv", ("text", "score"), [(a, str(len(a) / 10)) for a, _ in rows])
    write_conll(folder / "tagging.conll")
    sentences = tagged()
    (folder / "tagging.jsonl").write_text(
        "".join(json.dumps({"tokens": w, "tags": t}, ensure_ascii=False) + "\n" for w, t in sentences), encoding="utf-8"
    )
    (folder / "slots").mkdir()
    for name, lines in (("seq.in", [w for w, _ in sentences]), ("seq.out", [t for _, t in sentences])):
        (folder / "slots" / name).write_text("".join(" ".join(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "tagging.tsv").write_text(
        "text\ttags\tintent\n" + "".join(f"{' '.join(w)}\t{' '.join(t)}\tx\n" for w, t in sentences), encoding="utf-8"
    )
    write_encoder(folder / "encoder")
    return folder


COLUMNS = {
    "pairs": ("--text-column", "premise", "--pair-column", "hypothesis", "--label-column", "same"),
    "regression": ("--task", "regression", "--label-column", "score"),
    "multilabel": ("--task", "multilabel"),
    "tagging": ("--task", "tagging"),
    "classification": ("--group-column", "device"),
}
CASES = [
    ("classification", "classification.csv", "classification.csv"),
    ("pairs", "pairs.csv", "pairs.csv"),
    ("multilabel", "multilabel.csv", "multilabel.jsonl"),
    ("regression", "regression.csv", "regression.csv"),
    ("tagging", "tagging.conll", "slots"),
    ("tagging", "tagging.jsonl", "tagging.tsv"),
]


def is_one_page(path: Path) -> str:
    """The page's text, which asks the network for nothing."""
    page = path.read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    for address in re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)|url\(([^)]*)\)""", page):
        assert "".join(address).strip("\"'").startswith(("data:", "#")), address
    assert "<script" not in page.lower() or "fetch(" not in page
    assert "@import" not in page and "nan" not in re.sub(r"data:[^\"')]*", "", page).lower().split()
    return page


@pytest.mark.parametrize("tuned", [False, True], ids=["scratch", "tuned"])
@pytest.mark.parametrize(("task", "file", "other"), CASES, ids=[case[1] for case in CASES])
def test_a_task_from_files_to_answers(place, tmp_path, task, file, other, tuned):
    run = tmp_path / "run"
    pooling = ("--pooling", "pooler") if task != "tagging" else ()
    start = ("--init", place / "encoder", *TUNED, *pooling, "--validation-fraction", 0.1) if tuned else SCRATCH
    out = run_engine("train", place / file, "--test", place / other, "-o", run, *start, *COLUMNS[task])
    report = read_json(run / "report.json")
    main = {"multilabel": "micro_f1", "regression": "pearson", "tagging": "f1"}.get(task, "accuracy")
    figure = f"{report['test'][main]:.4f}"
    assert out.splitlines()[-1].startswith("test ") and out.splitlines()[-1].endswith(f" {figure}")
    written = (run / "report.md").read_text(encoding="utf-8")
    assert (
        out.splitlines()[0] == written.splitlines()[0].removeprefix("# ")
        and written.splitlines()[-1] == out.splitlines()[-1]
    )
    page = is_one_page(run / "report.html")
    assert figure[:5] in page or f"{report['test'][main]:.1%}" in page  # four places, or per cent

    groups = ("--group-column", "device") if task == "classification" else ()
    text = run_engine("evaluate", run, place / other, *(("--per-class",) if task != "regression" else ()), *groups)
    assert text.splitlines()[-1].endswith(f" {figure}")
    assert ("precision" in text) == (task != "regression") and ("phone" in text) == bool(groups)
    figures = json.loads(run_engine("evaluate", run, place / other, "--json", *groups))
    assert figures == report["test"]
    if task in ("classification", "pairs"):
        run_engine("evaluate", run, place / other, "--picture", tmp_path / "confusion.png")
        assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert "--picture is for tasks with one label" in run_engine(
            "evaluate", run, place / other, "--picture", tmp_path / "no.png", code=2
        )

    answers = [json.loads(line) for line in run_engine("predict", run, "-i", place / other, "--json").splitlines()]
    assert len(answers) == report["test"]["samples"]
    keys = {"multilabel": "labels", "regression": "value", "tagging": "tags"}
    assert all(keys.get(task, "label") in answer for answer in answers)
    if task == "tagging":
        hits = [a == b for row, (_, tags) in zip(answers, tagged()) for a, b in zip(row["tags"], tags, strict=True)]
        assert np.mean(hits) == pytest.approx(report["test"]["accuracy"])
    if task == "pairs":
        first = (answers[0]["text"].split(" ‖ ")[0], answers[0]["text"].split(" ‖ ")[1])
        (row,) = run_engine("predict", run, *first).splitlines()
        assert row.split("\t")[0] == answers[0]["label"]
        for wrong in (("one",), ("one", "two", "three"), ()):
            assert "This model takes pairs" in run_engine("predict", run, *wrong, code=2)
    else:
        lines = "".join(f"{answer['text']}\n" for answer in answers[:5]) + "\n"
        piped = run_engine("predict", run, "--json", stdin=lines.encode()).splitlines()
        key = keys.get(task, "label")
        assert [json.loads(line)[key] for line in piped[:5]] == [a[key] for a in answers[:5]] and len(piped) == 6
    if task == "classification":
        top = json.loads(run_engine("predict", run, "the card", "--json", "--top-k", 9))["top"]
        assert len(top) == 3 and sum(t["probability"] for t in top) == pytest.approx(1, abs=1e-5)
    if task != "pairs":  # five held-out texts are too few to fit a temperature
        assert "expected a temperature in the report of" in run_engine("predict", run, "a", "--calibrated", code=2)

    if tuned or task == "tagging":
        run_engine("export", run, tmp_path / "exported")
        assert load_file(tmp_path / "exported/model.safetensors").keys() == load_file(run / "model.safetensors").keys()
        same_in_transformers(tmp_path / "exported", answers, task)
    else:
        to_transformers = ("export", run, tmp_path / "no", "--format", "transformers")
        assert "expected one that a published family can hold" in run_engine(*to_transformers, code=2)
        assert not (tmp_path / "no").exists()
    if task == "classification":
        run_engine("embed", run, place / other, "-o", tmp_path / "vectors.npy")
        vectors = np.load(tmp_path / "vectors.npy")
        assert vectors.shape == (48, 16) and np.isfinite(vectors).all()


def same_in_transformers(folder: Path, answers: list, task: str) -> None:
    """Where it is installed, transformers gives the same answers from an exported folder."""
    try:
        import torch
        import transformers
    except ImportError:
        return
    kind = "ForTokenClassification" if task == "tagging" else "ForSequenceClassification"
    model = getattr(transformers, f"AutoModel{kind}").from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for answer in answers[:4]:
        encoded = tokenizer(*answer["text"].split(" ‖ "), return_tensors="pt")
        with torch.no_grad():
            logits = model(**encoded).logits[0]
        if task == "regression":
            assert float(logits[0]) == pytest.approx(answer["value"], abs=2e-5)
        elif task == "multilabel":
            for name, probability in answer["probabilities"].items():
                assert float(logits.sigmoid()[model.config.label2id[name]]) == pytest.approx(probability, abs=2e-5)
        elif task == "tagging":
            of = encoded.word_ids()
            first = [logits[of.index(word)] for word in range(len(answer["words"])) if word in of]
            if len(first) == len(answer["words"]):
                assert [model.config.id2label[int(row.argmax())] for row in first] == answer["tags"]
        else:
            assert float(logits.softmax(0)[model.config.label2id[answer["label"]]]) == pytest.approx(
                answer["probability"], abs=2e-5
            )


# ---- labels and texts of all kinds


def test_labels_of_all_kinds_survive(tmp_path):
    """Bars, commas, quotes, line ends, Chinese, and numbers as names: back from predictions as they were."""
    names = ["a|b", "c, d", 'say "so"', "two\nlines", "投诉", "tab\there"]
    words = ["apple", "bread", "cheese", "date", "egg", "fish"]
    rows = [(f"{words[i]} {words[i]} number {j}", names[i]) for j in range(6) for i in range(6)]
    data = write_rows(tmp_path / "data.csv", ("text", "label"), rows)
    exact = ("--epochs", 40, "--dropout", 0, "--token-dropout", 0, "--label-smoothing", 0)
    out = run_engine("train", data, "--test", data, "-o", tmp_path / "run", "--label-separator", "", *SCRATCH, *exact)
    assert read_json(tmp_path / "run/report.json")["test"]["accuracy"] == 1
    assert "投诉" in run_engine("evaluate", tmp_path / "run", data, "--per-class")
    assert not any(line.startswith("lines") for line in out.splitlines())
    is_one_page(tmp_path / "run/report.html")
    records = run_engine("predict", tmp_path / "run", "-i", data, "--json").splitlines()
    assert [json.loads(line)["label"] for line in records] == [label for _, label in rows]
    plain = run_engine("predict", tmp_path / "run", "-i", data).splitlines()
    assert len(plain) == 36 and all(line.count("\t") == 2 for line in plain)


def test_numbers_as_labels_one_sample_and_many_classes(place, tmp_path):
    """150 classes named by numbers, the last with a single sample, balanced."""
    rows = [(f"question {i} of kind {i % 149}", str(i % 149)) for i in range(447)] + [("a lone one", "149")]
    data = write_rows(tmp_path / "data.csv", ("text", "label"), rows)
    options = ("--class-weights", "balanced", "--batch-size", 64, "--validation-fraction", 0.1)
    run_engine("train", data, "-o", tmp_path / "run", "--init", place / "encoder", *TUNED, *options)
    config = read_json(tmp_path / "run/config.json")
    assert [config["id2label"][str(i)] for i in range(150)] == [str(i) for i in range(150)]
    report = read_json(tmp_path / "run/report.json")
    assert len(report["held_out"]["classes"]) == 150 and len(report["held_out"]["confusion"]["labels"]) <= 41
    is_one_page(tmp_path / "run/report.html")
    answer = json.loads(run_engine("predict", tmp_path / "run", "question 3", "--json", "--top-k", 200))
    assert len(answer["top"]) == 150


def test_balanced_weights_help_the_rare_class(tmp_path):
    """58 of one class and 6 of the other in the same words: balanced weights draw predictions to the rare one."""
    rows = [(f"same words {i % 4}", "rare" if i % 10 == 0 else "common") for i in range(60)]
    data = write_rows(tmp_path / "data.csv", ("text", "label"), rows)
    share = {}
    for name, options in (("plain", ()), ("balanced", ("--class-weights", "balanced"))):
        settings = (*SCRATCH, "--validation-fraction", 0, "--token-dropout", 0, "--label-smoothing", 0, "--epochs", 4)
        run_engine("train", data, "-o", tmp_path / name, *settings, *options)
        top = json.loads(run_engine("predict", tmp_path / name, "same words 1", "--json", "--top-k", 2))["top"]
        share[name] = next(t["probability"] for t in top if t["label"] == "rare")
    assert share["balanced"] > share["plain"] + 0.2


def test_long_chinese_texts_that_the_vocabulary_does_not_know(place, tmp_path):
    """200 characters a text, numbers among them, all unknown and cut: trained, judged, and named in whole in the report."""
    rows = [(f"{CHINESE[i % 3]}第{i}次，" * 20, ["卡", "转账", "密码"][i % 3]) for i in range(24)]
    data = write_rows(tmp_path / "data.csv", ("文本", "类别"), rows)
    columns = ("--text-column", "文本", "--label-column", "类别")
    run_engine("train", data, "--test", data, "-o", tmp_path / "run", "--init", place / "encoder", *TUNED, *columns)
    assert "类别" in read_json(tmp_path / "run/run.json")["data"]["label_column"]
    page = is_one_page(tmp_path / "run/report.html")
    assert "转账" in page
    assert json.loads(run_engine("predict", tmp_path / "run", CHINESE[0], "--json"))["label"] in ("卡", "转账", "密码")
    out = run_engine("evaluate", tmp_path / "run", data, "--per-class")  # remembers the columns
    assert "密码" in out


def test_the_encoder_of_a_plain_folder_and_its_vectors(place, tmp_path):
    write_texts(tmp_path / "texts.csv", 1)
    run_engine("embed", place / "encoder", tmp_path / "texts.csv", "-o", tmp_path / "v.npy", "--normalize")
    vectors = np.load(tmp_path / "v.npy")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(12), abs=1e-5)
    run_engine("embed", place / "encoder", tmp_path / "texts.csv", "-o", tmp_path / "v.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == [text for text, _ in texts(1)]
