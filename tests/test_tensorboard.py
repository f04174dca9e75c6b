"""Event files for TensorBoard: what they hold, read byte by byte; a resumed run's steps once."""

from __future__ import annotations

import struct
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from engine.train import Callback, TensorBoardLog, Trainer, read_log
from test_trainer import CONFIG, TASK, toy_data, toy_model


def events(folder) -> list:
    """All events of a folder, file by file: length (8 bytes), its checksum (4), an event, its checksum (4)."""
    proto = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda p: p.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = proto.Event()
            event.ParseFromString(data[at + 12 : at + 12 + length])
            found.append(event)
            at += 12 + length + 4
    return found


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    """Points by tag as TensorBoard shows them: a session that begins at a step drops what is there from it on."""
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        if event.WhichOneof("what") == "session_log" and event.session_log.status == 1:
            found = {tag: [p for p in points if p[0] < event.step] for tag, points in found.items()}
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


class StopAfter(Callback):
    def on_step_end(self, trainer, loss):
        if trainer.state.step == 13:
            raise KeyboardInterrupt


def test_the_files_hold_what_the_log_holds(tmp_path):
    pytest.importorskip("tensorboard")
    board = TensorBoardLog(tmp_path / "board")
    Trainer(toy_model(), TASK, CONFIG, toy_data(), toy_data(9), output=tmp_path / "run", callbacks=[board]).train()
    got = scalars(tmp_path / "board")
    records = read_log(tmp_path / "run/log.jsonl")
    assert set(got) == {"train/loss", "train/lr", "train/tokens_per_second"} | {
        f"held_out/{name}" for name in ("loss", "accuracy", "macro_f1", "micro_f1", "mcc")
    }
    for tag, points in got.items():
        group, name = tag.split("/")
        wanted = [(r["step"], r[name]) for r in records if r["event"] == {"train": "train", "held_out": "eval"}[group]]
        assert [step for step, _ in points] == [step for step, _ in wanted]
        assert [value for _, value in points] == pytest.approx([value for _, value in wanted], rel=1e-6)


def test_a_resumed_run_has_each_step_once(tmp_path):
    pytest.importorskip("tensorboard")
    config = replace(CONFIG, log_every=2, checkpoint_every=5)
    for name, callbacks in (("whole", []), ("cut", [StopAfter()])):
        trainer = Trainer(
            toy_model(), TASK, config, toy_data(), toy_data(9), output=tmp_path / name,
            callbacks=[TensorBoardLog(tmp_path / name / "board"), *callbacks],
        )  # fmt: skip
        if callbacks:
            with pytest.raises(KeyboardInterrupt):
                trainer.train()
        else:
            trainer.train()
    before = scalars(tmp_path / "cut/board")["train/loss"]
    assert before[-1][0] == 12  # behind the checkpoint of step 10
    Trainer(
        toy_model(5), TASK, config, toy_data(), toy_data(9), output=tmp_path / "cut",
        callbacks=[TensorBoardLog(tmp_path / "cut/board")],
    ).train(resume=True)  # fmt: skip
    whole, cut = scalars(tmp_path / "whole/board"), scalars(tmp_path / "cut/board")
    assert [step for step, _ in cut["train/loss"]] == list(range(2, 25, 2))
    for tag in whole.keys() - {"train/tokens_per_second"}:
        assert cut[tag] == whole[tag], tag
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    theirs = accumulator.EventAccumulator(str(tmp_path / "cut/board")).Reload()
    assert [(e.step, e.value) for e in theirs.Scalars("train/loss")] == whole["train/loss"]


def test_without_the_package_the_extra_is_named(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r"engine\[tensorboard\]"):
        TensorBoardLog(tmp_path)


def test_numbers_alone_are_written(monkeypatch, tmp_path):
    """What the writer gets, where tensorboard is missing too."""

    class Message(dict):
        def __init__(self, **fields):
            super().__init__(fields)

    Message.Value = Message

    class Status(Message):
        START = 1

    written = []

    class Writer:
        def __init__(self, folder):
            written.append(folder)

        def flush(self):
            pass

        def close(self):
            written.append("closed")

    Writer.add_event = lambda self, event: written.append({k: v for k, v in event.items() if k != "wall_time"})
    names = ("compat", "compat.proto", "summary", "summary.writer", "summary.writer.event_file_writer")
    for name in ("tensorboard", *(f"tensorboard.{name}" for name in names)):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    proto = sys.modules["tensorboard.compat.proto"]
    proto.event_pb2 = SimpleNamespace(Event=Message, SessionLog=Status)
    proto.summary_pb2 = SimpleNamespace(Summary=Message)
    sys.modules["tensorboard.summary.writer.event_file_writer"].EventFileWriter = Writer

    board = TensorBoardLog(tmp_path)
    trainer = Trainer(toy_model(), TASK, CONFIG, toy_data())
    board.on_log(trainer, {"event": "train", "step": 0, "loss": 1.0})  # not begun: nowhere to write to
    board.on_train_begin(trainer)
    board.on_log(trainer, {"event": "eval", "step": 3, "epoch": 1, "f1": 0.5, "classes": ["a"], "seconds": 2.0})
    board.on_log(trainer, {"event": "end", "step": 3, "epoch": 1, "best_metric": 0.5})
    board.on_train_end(trainer)
    (tmp_path / "events.out.tfevents.1").write_bytes(b"")
    trainer.state.step = 3
    board.on_train_begin(trainer)
    point = {"tag": "held_out/f1", "simple_value": 0.5}
    assert written == [
        str(tmp_path), {"step": 3, "summary": {"value": [point]}}, "closed",
        str(tmp_path), {"step": 4, "session_log": {"status": 1}},
    ]  # fmt: skip
