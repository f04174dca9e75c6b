"""The real `engine` command in processes of its own: train, evaluate, predict, info, resume, and everything that goes wrong."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli_runs import without_notes, without_plan

from engine import _core

pytest.importorskip("click")
pytest.importorskip("tokenizers")
pytest.importorskip("tqdm")

WORDS = {
    "card": ["my card has not arrived", "where is the new card", "the card is late again", "card still not here"],
    "money": ["the transfer failed", "money is missing from my account", "why was money taken", "transfer is pending"],
    "login": ["I forgot the password", "cannot sign in to the app", "reset my password please", "the app says locked"],
}
TRAIN = (
    "--layers",
    "1",
    "--dim",
    "16",
    "--heads",
    "2",
    "--epochs",
    "3",
    "--batch-size",
    "8",
    "--lr",
    "0.01",
    "--no-progress",
)


# PYTHONPATH may be relative, and some tests run in folders of their own.
PATHS = {name: os.path.abspath(path) for name in ("PYTHONPATH",) if (path := os.environ.get(name))}


def engine(*arguments, code=0, stdin=None, env=None, cwd=None):
    command = [sys.executable, "-m", "engine.cli", *map(str, arguments)]
    done = subprocess.run(
        command, input=stdin, capture_output=True, env={**os.environ, **PATHS, **(env or {})}, cwd=cwd, timeout=120
    )
    out, err = done.stdout.decode(), without_plan(done.stderr.decode())
    assert done.returncode == code, f"{command}\n{out}\n{err}"
    if code:
        err = without_notes(err)
    if code == 2:
        assert not out and err.startswith("engine") and err.count("\n") == 1 and err.endswith("\n"), err
        assert "Traceback" not in err
    return out if code == 0 else err


def write_csv(path: Path, copies: int, header=("text", "intent")) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        for i in range(copies):
            for label, texts in WORDS.items():
                writer.writerows((f"{text}, {'hello' if i % 2 else 'thanks'}", label) for text in texts)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run, and the data and output it came with, in one folder."""
    folder = tmp_path_factory.mktemp("cli")
    data = write_csv(folder / "train.csv", 8)
    test = write_csv(folder / "test.csv", 1)
    out = engine(
        "train", data, "--test", test, "--output", folder / "run", *TRAIN, "--threads", 1, "--keep-checkpoints"
    )
    (folder / "stdout").write_text(out)
    return folder


def test_train_writes_the_run_and_prints_the_report(run):
    names = {path.name for path in (run / "run").iterdir()}
    assert names >= {
        "run.json", "config.json", "model.safetensors", "tokenizer.json", "log.jsonl", "checkpoints", "report.json",
        "report.md",
    }  # fmt: skip
    report = json.loads((run / "run/report.json").read_text())
    out = (run / "stdout").read_text()
    assert f"report: {run / 'run/report.html'}" in out
    assert out.splitlines()[-1] == f"test accuracy {report['test']['accuracy']:.4f}"
    repeated, *_ = report["data"].pop("notices")  # the data of this test are few sentences, repeated
    assert repeated.startswith("10 of 10 held-out texts are also training texts")
    assert report["test"]["samples"] == 12 and report["data"] == {
        "train_samples": 86,
        "held_out_samples": 10,
        "labels": 3,
        "description": "86 training texts, 10 held out, 3 labels",
    }
    for word in ("macro F1", "tokens/s", "padding saved", "peak memory", "parameters"):
        assert word in out
    about = json.loads((run / "run/run.json").read_text())
    assert about["seed"] == 0 and about["environment"]["versions"]["engine"] and about["environment"]["threads"] == 1
    assert all(len(digest) == 64 for digest in about["data"]["sha256"].values()) and len(about["data"]["sha256"]) == 2
    config = json.loads((run / "run/config.json").read_text())
    assert config["id2label"] == {"0": "card", "1": "login", "2": "money"}


def test_the_most_wrong_samples_carry_file_and_line(run):
    examples = json.loads((run / "run/report.json").read_text())["examples"]
    lines, page = (run / "test.csv").read_text().splitlines(), (run / "run/report.html").read_text()
    assert len(examples) == 10
    for example in examples:
        number = int(re.fullmatch(rf"line (\d+) of {re.escape(str(run / 'test.csv'))}", example["where"])[1])
        assert example["text"] in lines[number - 1] and example["where"] in page


def test_evaluate_agrees_with_the_report(run):
    report = json.loads((run / "run/report.json").read_text())
    figures = json.loads(engine("evaluate", run / "run", run / "test.csv", "--json"))
    assert figures == report["test"]
    out = engine("evaluate", run / "run", run / "test.csv", "--per-class")
    assert out.splitlines()[-1] == f"accuracy {figures['accuracy']:.4f}"
    assert all(label in out for label in WORDS) and "precision" in out


def test_predict_from_everywhere(run):
    texts = ["where is the new card", "the transfer failed", "reset my password please"]
    out = engine("predict", run / "run", *texts)
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[2] for row in rows] == texts and all(0 < float(row[1]) <= 1 for row in rows)
    records = [json.loads(line) for line in engine("predict", run / "run", *texts, "--json", "--top-k", 2).splitlines()]
    assert [r["label"] for r in records] == [row[0] for row in rows]
    assert [len(r["top"]) for r in records] == [2, 2, 2] and records[0]["top"][0]["label"] == records[0]["label"]
    stdin = "\n".join(texts).replace("\n", "\r\n", 1).encode()
    assert engine("predict", run / "run", stdin=stdin) == out
    (run / "texts.txt").write_text("\n".join(texts))
    (run / "texts.jsonl").write_text("".join(json.dumps({"q": text, "n": 1}) + "\n" for text in texts))
    (run / "texts.csv").write_text("n,q\n" + "".join(f"1,{text}\n" for text in texts))
    assert engine("predict", run / "run", "--input", run / "texts.txt") == out
    assert engine("predict", run / "run", "-i", run / "texts.csv", "--text-column", "q", "--batch-size", 2) == out
    engine("predict", run / "run", "-i", run / "texts.jsonl", "--text-column", "q", "-o", run / "out.jsonl")
    written = [json.loads(line) for line in (run / "out.jsonl").read_text().splitlines()]
    assert [(r["predicted_label"], r["q"], r["n"]) for r in written] == [(row[0], row[2], 1) for row in rows]
    engine("predict", run / "run", "-o", run / "out.tsv", stdin=stdin)
    header, *lines = (run / "out.tsv").read_text().splitlines()
    assert header == "text\tpredicted_label\tprobability"
    assert [line.split("\t")[:2] for line in lines] == [[row[2], row[0]] for row in rows]


def test_predict_gives_a_row_for_each_line(run):
    texts = ["the transfer failed", "", "card still not here", "   ", "", "reset my password please", ""]
    out = engine("predict", run / "run", *texts)
    assert [line.split("\t")[2] for line in out.splitlines()] == [text.strip() for text in texts]
    lines = "".join(f"{text}\n" for text in texts)
    for stdin in (lines, lines.replace("\n", "\r\n")):
        assert engine("predict", run / "run", stdin=stdin.encode()) == out
    (run / "gaps.txt").write_text(lines)
    assert engine("predict", run / "run", "-i", run / "gaps.txt", "--batch-size", 2) == out
    (run / "gaps.csv").write_text("text\n" + lines)
    assert engine("predict", run / "run", "-i", run / "gaps.csv") == out
    assert engine("predict", run / "run", stdin=b"\n\n").count("\n") == 2
    (run / "empty.txt").write_text("\n\n")
    assert engine("predict", run / "run", "-i", run / "empty.txt").count("\n") == 2
    engine("train", write_csv(run / "q.csv", 2, ("q", "intent")), *TRAIN, "--text-column", "q", "-o", run / "columns")
    assert engine("predict", run / "columns", "-i", run / "gaps.txt").count("\n") == len(texts)


def test_predict_names_the_text_that_a_model_cannot_take(run):
    shutil.copytree(run / "run", run / "bare")
    settings = json.loads((run / "bare/tokenizer.json").read_text())
    settings["post_processor"] = None  # no [CLS], no [SEP]
    (run / "bare/tokenizer.json").write_text(json.dumps(settings))
    stdin = b"the transfer failed\ncard still not here\n\n"
    done = [sys.executable, "-m", "engine.cli", "predict", str(run / "bare"), "--batch-size", "2"]
    done = subprocess.run(done, input=stdin, capture_output=True, timeout=60)
    assert done.returncode == 2 and done.stdout.count(b"\n") == 2  # answered as they came
    assert b"got none in line 3 of standard input" in done.stderr and done.stderr.count(b"\n") == 1


def test_predict_answers_each_line_as_it_comes(run):
    command = [sys.executable, "-m", "engine.cli", "predict", str(run / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for text in (b"the transfer failed", b"card still not here"):
            process.stdin.write(text + b"\n")
            process.stdin.flush()
            assert process.stdout.readline().rstrip().endswith(text)  # before the input ends
        process.stdin.close()
        assert process.wait(60) == 0


def test_predict_into_a_closed_pipe_is_quiet(run):
    command = (
        f"{sys.executable} -m engine.cli predict {run / 'run'} --input {run / 'many.txt'} --batch-size 64 | head -n 1"
    )
    (run / "many.txt").write_text("the transfer failed\n" * 20000)
    done = subprocess.run(command, shell=True, capture_output=True, timeout=120)
    assert done.stderr == b"" and done.stdout.count(b"\n") == 1


def test_info():
    out = engine("info", "--threads", 1)
    for word in ("versions", "instruction set", "threads:         1", "memory", "kernels"):
        assert word in out
    everywhere = _core.cpu_isas()[0]["name"]
    about = json.loads(engine("info", "--json", env={"ENGINE_CPU_ISA": everywhere}))
    assert about["cpu_isa"] == everywhere and "layer_norm" in about["kernels"]


def test_the_package_runs_as_the_command():
    done = subprocess.run([sys.executable, "-m", "engine", "info"], capture_output=True, timeout=60)
    assert done.returncode == 0 and b"instruction set" in done.stdout
    done = subprocess.run([sys.executable, "-m", "engine", "tarin"], capture_output=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith(b"engine: No such command 'tarin'")


@pytest.mark.parametrize("command", ["", "train", "evaluate", "predict", "info"])
def test_help_has_an_example(command):
    out = engine(*command.split(), "--help")
    assert "Example:\n    engine" in out


def test_a_killed_run_resumes_to_the_same_bits(run):
    """SIGKILL after the first checkpoint, then --resume: model.safetensors has the bits of a run in one piece."""
    settings = [run / "train.csv", *TRAIN, "--epochs", "25", "--dropout", "0.2", "--threads", "1"]
    engine("train", *settings, "-o", run / "whole")
    command = [sys.executable, "-m", "engine.cli", "train", *map(str, settings), "-o", str(run / "killed")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        folder = run / "killed/checkpoints"
        while process.poll() is None and not (folder.is_dir() and any(p.name[:4] == "step" for p in folder.iterdir())):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and not (run / "killed/report.json").exists()
    out = engine("train", "--resume", run / "killed", "--no-progress")
    assert "Training report" in out
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (run / "killed" / name).read_bytes() == (run / "whole" / name).read_bytes()
    steps = [json.loads(line)["step"] for line in (run / "killed/log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_only_one_training_works_in_a_folder(run):
    settings = [run / "train.csv", *TRAIN, "--epochs", "500", "--threads", "1", "-o", run / "busy"]
    command = [sys.executable, "-m", "engine.cli", "train", *map(str, settings)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None and not (run / "busy/log.jsonl").exists():
                time.sleep(0.01)
            for arguments in (["--resume", run / "busy"], [*settings, "--overwrite"]):
                assert "that no other training uses" in engine("train", *arguments, code=2)
            assert process.poll() is None
        finally:
            process.kill()
    engine("train", *settings, "--epochs", 1, "--overwrite")  # the lock died with its process


@pytest.mark.parametrize("every", [(), ("--checkpoint-every", 0)])
def test_ctrl_c_leaves_something_to_resume_and_says_how(run, tmp_path, every):
    folder = tmp_path / "a run"
    settings = [run / "train.csv", *TRAIN, "--epochs", "60", "--batch-size", "4", "--threads", "1", *every]
    command = [sys.executable, "-m", "engine.cli", "train", *map(str, settings), "-o", str(folder)]
    # A shell's background jobs ignore Ctrl-C, and hand that down to what they start: these tests may be one.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **heard) as process:
        log = folder / "log.jsonl"
        while process.poll() is None and not (log.exists() and log.stat().st_size):
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        err = without_plan(process.stderr.read().decode())
    assert process.returncode == 130
    if every:
        again = f"interrupted before a checkpoint; to begin again: engine train --resume '{folder}'"
        assert err.splitlines()[-1] == f"engine: {again}"
        return
    assert err.endswith(f"engine: interrupted; to go on: engine train --resume '{folder}'\n")
    (step,) = (int(path.name[5:]) for path in (folder / "checkpoints").iterdir())
    assert step < 60 * 22
    engine("train", "--resume", folder, "--no-progress")
    engine("train", *settings, "-o", tmp_path / "whole")
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


def test_checkpoint_every(run, tmp_path):
    engine(
        "train", run / "train.csv", *TRAIN, "--epochs", 1, "--batch-size", 16, "--checkpoint-every", 4,
        "-o", tmp_path / "run",
    )  # fmt: skip
    assert json.loads((tmp_path / "run/run.json").read_text())["trainer"]["checkpoint_every"] == 4
    err = engine("train", run / "train.csv", *TRAIN, "--checkpoint-every", -1, "-o", tmp_path / "x", code=2)
    assert "--checkpoint-every: expected at least 0, got -1" in err


def test_a_diverged_run_says_how_to_begin_again(run, tmp_path):
    settings = ("train", run / "train.csv", *TRAIN, "-o", tmp_path / "run")
    err = engine(*settings, "--lr", "1e30", code=2)
    assert "a lower --lr may help" in err and f"to begin again in {tmp_path / 'run'}, give --overwrite" in err
    assert "replace it with --overwrite" in engine(*settings, code=2)
    engine(*settings, "--overwrite")


def test_overwrite_and_resume_of_changed_data(run):
    shutil.copytree(run / "run", run / "copy")
    err = engine("train", run / "train.csv", "-o", run / "copy", *TRAIN, code=2)
    assert "expected a new folder" in err
    engine("train", run / "train.csv", "-o", run / "copy", *TRAIN, "--epochs", 1, "--overwrite")
    assert json.loads((run / "copy/report.json").read_text())["training"]["epochs"] == 1
    data = write_csv(run / "changing.csv", 3)
    engine("train", data, "-o", run / "changed", *TRAIN, "--epochs", 1, "--keep-checkpoints")
    write_csv(data, 4)
    assert "got a changed file" in engine("train", "--resume", run / "changed", code=2)
    data.unlink()
    assert "that the run began with" in engine("train", "--resume", run / "changed", code=2)


def test_encoding(run, tmp_path):
    latin = tmp_path / "latin.csv"
    latin.write_bytes((run / "train.csv").read_text().replace("password", "mot de passe oubli\u00e9").encode("latin-1"))
    err = engine("train", latin, "-o", tmp_path / "run", *TRAIN, code=2)
    assert "expected UTF-8 in line 10" in err and "name its encoding with --encoding, such as cp1252" in err
    engine("train", latin, "-o", tmp_path / "run", *TRAIN, "--epochs", 1, "--encoding", "latin-1", "--keep-checkpoints")
    engine("train", "--resume", tmp_path / "run")  # remembers it
    for command in (("evaluate", tmp_path / "run", latin), ("predict", tmp_path / "run", "-i", latin)):
        assert "name its encoding with --encoding, such as cp1252" in engine(*command, code=2)
        assert "--encoding: expected a known encoding, got 'klingon'" in engine(
            *command, "--encoding", "klingon", code=2
        )
        out = engine(*command, "--encoding", "latin-1")
    assert "oubli\u00e9" in out
    assert "--encoding needs --input" in engine("predict", tmp_path / "run", "a", "--encoding", "latin-1", code=2)


def test_errors_name_options(run, tmp_path):
    letters = bad(tmp_path, "letters.csv", "a,b,c\n1,2,3\n")
    for command in (("train", letters, "-o", tmp_path / "x"), ("predict", run / "run", "-i", letters)):
        err = engine(*command, code=2)
        assert "got 'a', 'b', 'c' (name it with --text-column; or name the columns" in err and "text_column" not in err
    texts = bad(tmp_path, "texts.csv", "text,kind_of\na,b\n")
    assert "got none (name it with --label-column)" in engine("train", texts, "-o", tmp_path / "x", code=2)
    err = engine("train", run / "train.csv", "-o", tmp_path / "x", "--warmup-ratio", "nan", code=2)
    assert err == "engine train: --warmup-ratio: expected a number in [0, 1], got nan\n"
    assert "--heads" in engine("train", run / "train.csv", "-o", tmp_path / "x", "--heads", 0, code=2)
    assert "(resume it with --resume; replace it with --overwrite)" in engine(
        "train", run / "train.csv", "-o", run / "run", code=2
    )
    err = engine("predict", run / "run", "text", "-o", tmp_path / "none/x.tsv", code=2)
    assert err.endswith(f"No such file or directory: '{tmp_path / 'none/x.tsv'}'\n")


def test_a_damaged_log_is_named_before_training_goes_on(run, tmp_path):
    shutil.copytree(run / "run", tmp_path / "run")
    log = tmp_path / "run/log.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([lines[0], lines[1].replace(",", ";", 1), *lines[2:]]))
    err = engine("train", "--resume", tmp_path / "run", code=2)
    assert f"expected a record in line 2 of {log}, got a damaged line (Expecting" in err


def test_resume_from_another_folder(run, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    data = write_csv(tmp_path / "here/data.csv", 2)
    write_csv(tmp_path / "here/test.csv", 1)
    settings = ("data.csv", "--test", "test.csv", "-o", "run", *TRAIN, "--epochs", 1, "--keep-checkpoints")
    out = engine("train", *settings, cwd=tmp_path / "here")
    # Seen from there the path names nothing, then another file, and from the run's own folder the file itself.
    accuracy = out.splitlines()[-1]
    for _ in range(2):
        again = engine("train", "--resume", "../here/run", cwd=tmp_path / "there")
        assert again.splitlines()[-1] == accuracy
        write_csv(tmp_path / "there/data.csv", 3)
    shutil.copytree(tmp_path / "here", tmp_path / "moved")
    data.unlink()
    assert engine("train", "--resume", "run", cwd=tmp_path / "moved").splitlines()[-1] == accuracy
    err = engine("train", "--resume", "../here/run", cwd=tmp_path / "there", code=2)
    assert f"got a changed file at {tmp_path / 'there/data.csv'}" in err
    (tmp_path / "there/data.csv").unlink()
    err = engine("train", "--resume", "../here/run", cwd=tmp_path / "there", code=2)
    assert f"data.csv that the run began with, got none at {tmp_path / 'there/data.csv'} or {data}" in err


# ---- what goes wrong: one line on standard error and exit code 2


def bad(folder: Path, name: str, content: str | bytes) -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", (), "empty file"),
        ("text,intent\n", (), "none in"),
        ("text,intent\na b,x\nc d,x\n", (), "at least two different"),
        ("a,b,c\n1,2,3\n", (), "expected a column such as 'text'"),
        ("text,intent\na,x\nb,y\n", ("--text-column", "body"), "got 'body'"),
        ("text,intent\na,x\nb,y\n", ("--label-column", "kind"), "got 'kind'"),
        ("text,other\na,x\nb,y\n", (), "label"),
        ("text,intent\na,x\nb\n", (), "line 3"),
        ("text,intent\na,\nb,y\n", (), "expected a label in line 2"),
        (b"text,intent\n\xff\xfe\xfa,x\n", (), "expected UTF-8"),
        ("text,intent\na,x\nb,y\n", (), "two parts of at least one row"),
        ("text,intent\na,x\nb,y\n", ("--lr", "-1"), "lr: expected a finite number >= 0"),
        ("text,intent\na,x\nb,y\n", ("--lr", "inf"), "lr: expected a finite number >= 0, got inf"),
        ("text,intent\na b,x\nc d,y\n", ("--dropout", "nan", "--validation-fraction", "0"), "--dropout: expected"),
        (
            "text,intent\na,x\nb,y\n",
            ("--dim", "15", "--validation-fraction", "0"),
            "multiple of the number of attention heads",
        ),
    ],
)
def test_bad_training_data(tmp_path, content, options, message):
    data = bad(tmp_path, "bad.csv", content)
    assert message in engine("train", data, "-o", tmp_path / "run", *TRAIN, *options, code=2)
    assert not (tmp_path / "run").exists()


def test_bad_arguments(run, tmp_path):
    good = run / "train.csv"
    assert "does not exist" in engine("train", tmp_path / "none.csv", "-o", tmp_path / "x", code=2)
    assert "Missing argument" in engine("train", code=2)
    assert "Missing option '--output'" in engine("train", good, code=2)
    assert "--lr cannot be combined with --resume" in engine("train", "--resume", run / "run", "--lr", "1", code=2)
    assert "other files" in engine("train", good, "-o", run, code=2)
    assert "got the file" in engine("train", good, "-o", good, code=2)
    assert "No such command" in engine("tarin", code=2)
    assert "cannot be combined with --input" in engine("predict", run / "run", "text", "-i", good, code=2)
    assert "run.json" in engine("train", "--resume", tmp_path, code=2)
    assert "--validation-fraction: " in engine(
        "train", good, "-o", tmp_path / "x", "--validation-fraction", "1", code=2
    )
    unknown = bad(tmp_path, "test.csv", "text,intent\na b,x\n")
    err = engine("train", good, "--test", unknown, "-o", tmp_path / "x", code=2)
    assert "expected one of 'card', 'login', 'money', got 'x' in line 2" in err
    assert not (tmp_path / "x").exists()


def test_bad_data_and_runs_for_evaluate_and_predict(run, tmp_path):
    good = run / "test.csv"
    unknown = bad(tmp_path, "unknown.csv", "text,intent\nfine,card\nbad,crad\n")
    assert "got 'crad' in line 3" in engine("evaluate", run / "run", unknown, code=2)
    assert "--label-column" in engine("evaluate", run / "run", bad(tmp_path, "texts.txt", "a\nb\n"), code=2)
    assert "empty file" in engine("predict", run / "run", "-i", bad(tmp_path, "e.csv", ""), code=2)
    assert "got 'q'" in engine("predict", run / "run", "-i", good, "--text-column", "q", code=2)
    assert "expected UTF-8" in engine("predict", run / "run", stdin=b"\xff\xff\n", code=2)
    assert "does not exist" in engine("predict", tmp_path / "none", "text", code=2)
    assert "config.json" in engine("predict", tmp_path, "text", code=2)
    damage = {
        "config.json": b"{",
        "model.safetensors": (run / "run/model.safetensors").read_bytes()[:-8],
        "tokenizer.json": b"{}",
        "run.json": b"[]",
    }
    for name, content in damage.items():
        broken = tmp_path / f"broken-{name}"
        shutil.copytree(run / "run", broken)
        (broken / name).write_bytes(content)
        if name != "run.json":  # a folder of save_pretrained has none
            assert name.split(".")[0] in engine("predict", broken, "text", code=2)
        engine("evaluate", broken, good, code=2)
        (broken / name).unlink()
        engine("evaluate", broken, good, code=2 if name != "run.json" else 0)


def test_without_click_one_line_names_the_extra():
    program = "import sys; sys.modules['click'] = None; from engine.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.decode() == "engine: the command needs click: pip install 'engine[cli]'\n"


def test_without_tqdm_one_line_names_the_extra(run, tmp_path):
    program = "import sys; sys.modules['tqdm'] = None; from engine.cli import main; main()"
    arguments = ["train", str(run / "train.csv"), "-o", str(tmp_path / "x")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"pip install 'engine[cli]'" in done.stderr


def test_an_unknown_isa_is_one_line():
    assert "ENGINE_CPU_ISA: expected" in engine("info", env={"ENGINE_CPU_ISA": "foo"}, code=2)
