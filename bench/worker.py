"""One side of a benchmark: reads tasks from standard input, one on each line, prepares them, and measures their time on request.

python -m bench.worker engine | torch | torch-compile | onnxruntime | ctranslate2
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.sides import Clocked, allow

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


def timed(task: Callable[[], Any] | Clocked, seconds: float) -> float:
    """Seconds of a call, as the mean of the calls that fit into `seconds`."""
    if isinstance(task, Clocked):
        return task.seconds()
    count, start = 0, time.perf_counter()
    while True:
        task()
        count += 1
        spent = time.perf_counter() - start
        if spent >= seconds:
            return spent / count


def set_threads(side: str, count: int) -> None:
    """Sets the threads of sides that can change them after their start; the others get them as an argument."""
    if side == "engine":
        import engine

        engine.set_num_threads(count)
    elif side.startswith("torch"):
        import torch

        torch.set_num_threads(count)


def main(side: str) -> None:
    out = sys.stdout
    sys.stdout = sys.stderr  # whatever libraries print must not mix with the answers
    task: Callable[[], Any] | Clocked | None = None
    for line in sys.stdin:
        message = json.loads(line)
        try:
            if message["do"] == "time":
                assert task is not None
                answer: Any = timed(task, message["seconds"])
            else:  # a task is module:function, called with the side and the arguments; it may return (task, facts)
                set_threads(side, message["threads"])
                if side == "engine":
                    allow(message.get("savings", []))
                module, function = message["task"].split(":")
                made = getattr(importlib.import_module(f"bench.{module}"), function)(
                    side, **message.get("arguments", {})
                )
                task, answer = made if isinstance(made, tuple) else (made, {})
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            answer = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main(sys.argv[1])
