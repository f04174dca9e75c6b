"""Errors that name the way out: a setting by another library's name, an element by its number, a model in a folder below."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

import engine.train
from cli_runs import write_encoder
from engine.runs import StartConfig
from engine.runs.start import longest_text
from engine.text.strings import checked_strings


@pytest.mark.parametrize(
    ("name", "meant"), [("learning_rate", "lr"), ("num_train_epochs", "epochs"), ("max_seq_length", "max_length")]
)
def test_a_setting_by_another_name_is_understood(name, meant):
    with pytest.raises(TypeError, match=rf"\[fit\] {name}: .*did you mean {meant}\?"):
        engine.train.fit(["a", "b"] * 10, ["x", "y"] * 10, **{name: 1})


def test_an_element_is_named_by_its_number():
    with pytest.raises(TypeError, match=r"got None \(NoneType\) in texts\[1\]"):
        checked_strings("answer", "texts", ["a", None])  # type: ignore[list-item]


def test_a_model_in_a_folder_below_is_pointed_at(tmp_path: Path):
    write_encoder(tmp_path / "export" / "0_Transformer")
    with pytest.raises(FileNotFoundError, match=r"init: .*the model is in .*0_Transformer"):
        longest_text(str(tmp_path / "export"))
    assert StartConfig(init=str(tmp_path / "export")).init is not None
    assert longest_text(str(tmp_path / "export" / "0_Transformer")) > 0
