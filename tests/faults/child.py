"""Runs commands of `engine` with faults, each in a fork of this process, so that the imports are paid for once.

Started with the shim in LD_PRELOAD. Reads a job as a line of JSON from standard input, and answers with one on standard output.
A job: {"arguments": [...], "folder": ..., "kinds": bits, "at": k, "error": errno or 0 for a kill, "half": whether a write does its first
half, "kill_after": seconds, "memory_limit": bytes}; all but the arguments may be missing. With no arguments, it runs the Python code of
"code", after that of "before", and prints `result`; after a MemoryError it runs the code again, and the exit code is 3. The answer: {"status": of waitpid, "calls": how
many calls were counted, "hit": the path at which the fault came (at 0: all paths), "output": what the command printed, both streams, "seconds": of CPU}.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from typing import Any


def main() -> None:
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    shim.faults_calls.restype = ctypes.c_long
    shim.faults_hit.restype = ctypes.c_char_p
    del os.environ["LD_PRELOAD"]
    if "FAULTS_NO_PICTURES" in os.environ:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]
    import engine.commands.predict
    import engine.commands.search
    import engine.inference
    import engine.runs
    import engine.text  # noqa: F401

    for line in sys.stdin:
        answer = _answer(shim, json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _answer(shim: Any, job: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as counts:
        pid = os.fork()
        if not pid:
            _run(shim, job, output.fileno(), counts.fileno())
        if "kill_after" in job:
            time.sleep(job["kill_after"])
            os.kill(pid, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
        for file in (output, counts):
            file.seek(0)
        calls, _, hit = counts.read().decode().partition(" ")
        return {
            "status": status,
            "calls": int(calls or 0),
            "hit": hit,
            "output": output.read().decode(),
            "seconds": used.ru_utime + used.ru_stime,
        }


def _run(shim: Any, job: dict[str, Any], output: int, counts: int) -> None:
    """In the fork: the command, to its end."""
    from engine import _core
    from engine.cli import main

    code = 70
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        if "memory_limit" in job:
            _core.set_memory_limit(job["memory_limit"])
        space: dict[str, Any] = {}
        exec(job.get("before", ""), space)
        if "folder" in job:
            given = (job["folder"].encode(), job["kinds"], job["at"], job["error"], job.get("half", 0))
            shim.faults_arm(*given)
        if job["arguments"]:
            main(job["arguments"])
        code = _compute(shim, job["code"], space)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        calls, hit = shim.faults_calls(), shim.faults_hit()
        shim.faults_arm(b"", 0, 0, 0, 0)
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(counts, f"{calls} ".encode() + hit)
        os._exit(code)


def _compute(shim: Any, code: str, space: dict[str, Any]) -> int:
    failed = 0
    try:
        exec(code, space)
    except MemoryError:
        failed = 3
        shim.faults_arm(b"", 0, 0, 0, 0)
        exec(code, space)
    print(space["result"])
    return failed


if __name__ == "__main__":
    main()
