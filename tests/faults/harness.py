"""Faults in every command that writes: what is there afterwards, and whether the command can be given again.

A case is one command with one fault: the k-th call to the file system below its folder or the k-th allocation fails, or the process is
killed there. `check` runs it, looks at what it left, gives the command again, and compares the result with that of a command without a fault.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import engine
from cli_runs import SCRATCH, texts, write_encoder, write_texts
from engine.files import is_partial
from engine.runs.toml import read_toml
from engine.serialization import load_file
from engine.train import latest_checkpoint, load_checkpoint, read_log

HERE = Path(__file__).parent
ALL = 127  # all kinds of calls to the file system that the shim knows
WRITE, RENAME = 2, 8
MEMORY, OWN = 128, 256  # each allocation of the process; those of the engine's C++
KINDS = ("calls", "vanished", "kills", "limits", "allocations", "own")
KILL, VANISH = 0, -1  # instead of an errno
ERRORS = {KILL: "kill", errno.ENOSPC: "ENOSPC", errno.EIO: "EIO", errno.EACCES: "EACCES"}


class Server:
    """The process whose forks run the commands."""

    def __init__(self, folder: Path, pictures: bool = False) -> None:
        shim = folder / "shim.so"
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", shim, HERE / "shim.c", "-ldl"], check=True)
        path = os.pathsep.join([str(Path(engine.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        more = {
            "LD_PRELOAD": str(shim),
            "PYTHONPATH": path,
            "ENGINE_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        more |= {} if pictures else {"FAULTS_NO_PICTURES": "1"}
        command = [sys.executable, str(HERE / "child.py")]
        self._process = subprocess.Popen(
            command, env={**os.environ, **more}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, arguments: list[str], **job: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"arguments": arguments} | job) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that runs the commands has ended"
        return dict(json.loads(answer))

    def close(self) -> None:
        self._process.communicate()


@dataclass
class Scenario:
    """A command that writes below a folder, `place`.

    template: what is in the folder before. command: its arguments. again: the arguments with which a user goes on after the fault.
    result: what must be the same as without a fault. allowed: what else may be in the folder at the end.
    """

    name: str
    template: Path | None
    command: Callable[[Path], list[str]]
    again: Callable[[Path], list[str]]
    result: Callable[[Path], Any]
    expected: Any = None
    calls: int = 0
    seconds: float = 0.0

    def prepare(self, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        if self.template is None:
            place.mkdir()
        else:
            shutil.copytree(self.template, place)

    def measure(self, server: Server, place: Path) -> None:
        """Runs the command without a fault: its result, and the number of its calls."""
        self.prepare(place)
        started = time.monotonic()
        answer = server(self.command(place), folder=str(place), kinds=ALL, at=0, error=0)
        self.seconds = time.monotonic() - started
        assert answer["status"] == 0, answer["output"]
        self.calls, self.expected = answer["calls"], self.result(place)

    def faults(self, kind: str, server: Server, place: Path, seed: int) -> list[dict[str, Any]]:
        """All faults of a kind; of memory as many as are run."""
        draw = random.Random(f"{seed} {self.name} {kind}")
        if kind == "calls":
            return [{"at": k, "error": e, "half": k % 2} for k in range(1, self.calls + 1) for e in ERRORS]
        if kind == "vanished":
            return [{"at": k, "error": VANISH} for k in range(1, self.calls + 1)]
        if kind == "kills":
            return [{"kill_after": draw.uniform(0, self.seconds)} for _ in range(100)]
        if kind == "limits":
            return [{"memory_limit": int(2 ** draw.uniform(14, 20))} for _ in range(100)]
        self.prepare(place)
        armed = {"kinds": MEMORY if kind == "allocations" else OWN, "error": errno.ENOMEM}
        answer = server(self.command(place), folder=str(place), at=0, **armed)
        assert answer["status"] == 0, answer["output"]
        made = range(1, answer["calls"] + 1)
        return [{"at": k, **armed} for k in sorted(draw.sample(made, min(500, len(made))))]

    def check(self, server: Server, place: Path, **fault: Any) -> dict[str, Any]:
        """One case. Raises AssertionError if a promise is broken."""
        self.prepare(place)
        answer = server(self.command(place), **({"folder": str(place), "kinds": ALL} if "at" in fault else {}) | fault)
        said, status = answer["output"], answer["status"]
        note = f"{self.name} {fault} at {answer['hit']}: status {status}\n{said}"
        memory = fault.get("error") == errno.ENOMEM or "memory_limit" in fault
        others = fault.get("kinds") == MEMORY  # what Python and libraries say without memory is theirs
        if os.WIFSIGNALED(status):
            aborted = memory and "memory allocation of" in said  # Rust ends the process when it gets no memory
            assert os.WTERMSIG(status) == (signal.SIGABRT if aborted else signal.SIGKILL), note
        else:
            code = os.waitstatus_to_exitcode(status)
            assert others or (code in (0, 2) and "Traceback" not in said and "Exception ignored" not in said), note
            named = others or ("memory" in said if memory else str(place) in said)
            assert code == 0 or named, f"it does not say what failed: {note}"
        gone = place.with_name(f"{place.name}.gone")
        if gone.exists():  # it comes back, unless the command has made another and everything in it
            if place.exists() and not status:
                shutil.rmtree(gone)
            else:
                shutil.rmtree(place, ignore_errors=True)
                gone.rename(place)
        whole(place, note)
        if status:
            answer["again"] = server(self.again(place))
            assert answer["again"]["status"] == 0 or "the finished run" in answer["again"]["output"], (
                f"{note}\nand then {self.again(place)}:\n{answer['again']['output']}"
            )
            whole(place, note)
        assert self.result(place) == self.expected, f"another result: {note}"
        left = [str(p.relative_to(place)) for p in place.rglob("*") if p.name.startswith(".")]
        assert not left, f"{left} is left: {note}"
        return answer


def whole(place: Path, note: str) -> None:
    """Every file below a folder that has its final name is complete."""
    for path in sorted(place.rglob("*")):
        inside = path.relative_to(place).parts
        if path.is_dir() or any(is_partial(name) or name.startswith(".partial-") for name in inside):
            continue
        try:
            _READERS.get(path.suffix, lambda path: None)(path)
        except Exception as error:
            raise AssertionError(f"{path} is half-written ({error!r}): {note}") from error
    for folder in place.rglob("checkpoints"):
        latest = latest_checkpoint(folder)
        if latest is not None:
            load_checkpoint(latest)


def _png(path: Path) -> None:
    assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def _html(path: Path) -> None:
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")


def _lines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n") or text == ""


_READERS: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".safetensors": load_file,
    ".jsonl": read_log,
    ".toml": read_toml,
    ".npy": np.load,
    ".png": _png,
    ".html": _html,
    ".csv": _lines,
    ".md": _lines,
}


def bits_of_run(run: Path) -> dict[str, Any]:
    """What a run must have in common with one that was not interrupted."""
    names = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
    bits: dict[str, Any] = {name: (run / name).read_bytes() for name in names}
    bits["log"] = [(r["event"], r["step"], r.get("loss")) for r in read_log(run / "log.jsonl")]
    bits["files"] = sorted(p.name for p in run.iterdir())
    return bits


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def scenarios(server: Server, root: Path) -> dict[str, Scenario]:
    """All commands that write, on tiny models, measured."""
    data = write_texts(root / "train.csv", 2)
    (root / "raw.txt").write_text("".join(f"{text}.\n" for text, _ in texts(6)), encoding="utf-8")
    (root / "space.toml").write_text("lr = [0.01, 0.02]\n", encoding="utf-8")
    encoder = write_encoder(root / "encoder")
    place = root / "place"
    settings = [str(data), *SCRATCH, "--checkpoint-every", "1", "--dropout", "0.1"]
    pretraining = [str(root / "raw.txt"), "--document", "line", "--layers", "1", "--dim", "16", "--heads", "2"]
    pretraining += [
        "--max-length",
        "24",
        "--max-tokens",
        "256",
        "--vocab-size",
        "100",
        "--epochs",
        "1",
        "--no-progress",
    ]
    pretraining += ["--checkpoint-every", "4"]
    tuned = [
        str(data),
        "--init",
        str(encoder),
        "--lora-rank",
        "2",
        "--epochs",
        "1",
        "--max-length",
        "24",
        "--no-progress",
    ]

    def train(command: str, given: list[str]) -> dict[str, Any]:
        def begin(place: Path) -> list[str]:
            return [command, *given, "--output", str(place / "run")]

        def again(place: Path) -> list[str]:
            begun = (place / "run/run.json").exists()
            return [command, "--resume", str(place / "run"), "--no-progress"] if begun else begin(place)

        return {"command": begin, "again": again, "result": lambda place: bits_of_run(place / "run")}

    def once(name: str, template: Path | None, arguments: list[str], output: str) -> Scenario:
        def command(place: Path) -> list[str]:
            return [*arguments, str(place / output)]

        def again(place: Path) -> list[str]:
            done = name == "export" and (place / output).is_dir() and any((place / output).iterdir())
            return ["--version"] if done else command(place)  # a folder that is there must be complete

        return Scenario(name, template, command, again, files_of)

    found = {"train": Scenario("train", None, **train("train", settings))}
    found["pretrain"] = Scenario("pretrain", None, **train("pretrain", pretraining))
    found["tune"] = Scenario("tune", None, **train("train", tuned))
    for scenario in found.values():
        scenario.measure(server, place)
    found["overwrite"] = _overwrite(found["train"], server, place, root)
    found["resume"] = _resume(found["train"], server, place, root)
    found["tune"].prepare(place)  # a run that can be exported
    assert not server(found["tune"].command(place))["status"]
    run = root / "run"
    shutil.copytree(place / "run", run)
    old = root / "old"
    old.mkdir()
    (old / "labels.csv").write_text("what was there\n", encoding="utf-8")
    found["export"] = once("export", None, ["export", str(run)], "out")
    found["predict"] = once(
        "predict", old, ["predict", str(run), "--overwrite", "--input", str(data), "--output"], "labels.csv"
    )
    found["embed"] = once(
        "embed", None, ["embed", str(run), str(data), "--overwrite", "--text-column", "text", "--output"], "v.npy"
    )
    looking = [str(root / "space.toml"), str(data), *(o for o in SCRATCH if o != "--no-progress")]
    looking += ["--trials", "2", "--validation-fraction", "0.25"]

    def search(place: Path) -> list[str]:
        return ["search", *looking, "--output", str(place / "search")]

    def best(place: Path) -> Any:
        rows = (place / "search/trials.csv").read_text(encoding="utf-8").splitlines()
        return (place / "search/best.toml").read_text(encoding="utf-8"), [row.rpartition(",")[0] for row in rows]

    found["search"] = Scenario("search", None, search, search, best)
    for name in ("export", "predict", "embed", "search"):
        found[name].measure(server, place)
    return found


def _overwrite(train: Scenario, server: Server, place: Path, root: Path) -> Scenario:
    """A new run in the place of an old one."""
    train.prepare(place)
    old = train.command(place)
    assert not server([*old, "--seed", "5"])["status"]
    shutil.copytree(place, root / "replaced")

    def command(place: Path) -> list[str]:
        return [*train.command(place), "--overwrite"]

    found = Scenario("overwrite", root / "replaced", command, command, train.result)
    found.measure(server, place)
    assert found.expected == train.expected
    return found


def _resume(train: Scenario, server: Server, place: Path, root: Path) -> Scenario:
    """A run that was killed after its first checkpoint goes on."""
    for k in range(1, 100):
        train.prepare(place)
        server(train.command(place), folder=str(place), kinds=RENAME, at=k, error=KILL)
        if latest_checkpoint(place / "run/checkpoints") is not None:
            break
    shutil.copytree(place, root / "interrupted")

    def command(place: Path) -> list[str]:
        return ["train", "--resume", str(place / "run"), "--no-progress"]

    found = Scenario("resume", root / "interrupted", command, command, train.result)
    found.measure(server, place)
    assert found.expected == train.expected
    return found
