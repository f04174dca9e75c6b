"""What was probably meant: commands and options with swapped letters, and folders that are no model, with all that they lack."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("tokenizers")

from cli_runs import run_engine, write_encoder, write_texts
from engine.suggestions import closest

COMMANDS = ["check", "pretrain", "train", "evaluate", "predict", "embed", "export", "search", "info"]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("trian", ["train"]), ("tran", ["train"]), ("trainn", ["train"]), ("pretrian", ["pretrain"]), ("evalute", ["evaluate"]),
        ("exprot", ["export"]), ("pred", ["predict"]), ("p", ["predict", "pretrain"]), ("xyz", []), ("e", []), ("", []),
    ],
)  # fmt: skip
def test_the_closest_name_by_letters(word, found):
    assert closest(word, COMMANDS) == found


def test_a_swap_of_neighbours_is_one_change():
    assert closest("ab", ["ba", "cd"]) == ["ba"] and closest("abcdefgh", ["abcdehgf", "abcdefhg"]) == ["abcdefhg"]


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("trian", "'train'"),
        ("fit", "'train'"),
        ("finetune", "'train'"),
        ("test", "'evaluate'"),
        ("classify", "'predict'"),
    ],
)
def test_an_unknown_command(command, meant):
    assert run_engine(command, code=2) == f"engine: No such command {command!r}. Did you mean {meant}?\n"
    assert run_engine("qqqq", code=2) == "engine: No such command 'qqqq'.\n"


@pytest.mark.parametrize(
    ("option", "meant"),
    [("--lerning-rate", "--lr"), ("--leraning_rate", "--lr"), ("--epcohs", "--epochs"), ("--inti", "--init"), ("--bacth-size", "--batch-size")],
)  # fmt: skip
def test_a_misspelled_option_also_by_its_name_elsewhere(option, meant):
    assert run_engine("train", option, "1", code=2).endswith(f"No such option: {option}. Did you mean {meant}?\n")


def test_a_folder_that_is_not_there_says_what_is_there(tmp_path, monkeypatch):
    write_texts(tmp_path / "a.csv")
    write_encoder(tmp_path / "MiniLM")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    error = run_engine("train", "a.csv", "--init", "nope", "-o", "run", code=2)
    assert error.startswith("engine train: --init: expected an existing folder, got nope (")
    assert f"the models in {tmp_path} are MiniLM" in error and "pip install 'engine[hub]'" in error
    assert f"the models in {tmp_path} are MiniLM" in run_engine("embed", "./MiniLN", "a.csv", "-o", "v.npy", code=2)
    error = run_engine("pretrain", "a.csv", "--init", "no/such/place", "-o", "run", code=2)
    assert "--init: expected an existing folder" in error and f"there is no folder {tmp_path}/no/such" in error
    (tmp_path / "empty").mkdir()
    error = run_engine("train", "a.csv", "--init", "./empty/x", "-o", "run", code=2)
    assert f"no folder in {tmp_path}/empty has a model" in error


def test_the_hub_that_cannot_be_asked(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def fails(name, **options):
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(hub, "snapshot_download", fails)
    write_texts(tmp_path / "a.csv")
    monkeypatch.chdir(tmp_path)
    error = run_engine("train", "a.csv", "--init", "bert-base-uncased", "-o", "run", code=2)
    assert "asked for bert-base-uncased, the hub gave ConnectionError: no network; nothing was downloaded)" in error


def test_a_folder_without_several_parts_names_them_all(tmp_path):
    data, empty, config = write_texts(tmp_path / "a.csv"), tmp_path / "empty", tmp_path / "config"
    empty.mkdir()
    write_encoder(config)
    for name in ("model.safetensors", "tokenizer.json"):
        (config / name).unlink()
    whole = "expected a folder with config.json, weights (model.safetensors or pytorch_model.bin) and a tokenizer (tokenizer.json, "
    for what, *command in (
        ("--init", "train", data, "-o", tmp_path / "run", "--init"),
        ("--init", "pretrain", data, "-o", tmp_path / "run", "--init"),
        ("MODEL", "embed", "-o", tmp_path / "v.npy", data),
        ("RUN", "predict", "-o", tmp_path / "p.csv", "x"),
        ("RUN", "evaluate", data),
        ("RUN", "export", tmp_path / "out"),
    ):
        for folder, lacks in ((empty, "with none of these"), (config, "without weights and a tokenizer")):
            given = [*command, folder] if what == "--init" else [command[0], folder, *command[1:]]
            if command[0] == "embed":
                given = ["embed", folder, data, *command[1:3]]
            error = run_engine(*given, code=2)
            assert error.startswith(f"engine {command[0]}: {what}: {whole}") and f"got {folder} {lacks}" in error
