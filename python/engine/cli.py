"""The `engine` command. Its commands are in `engine.commands`, which needs click (extra `cli`).

An error that the user can correct (paths, columns, labels, settings) is one line on standard error, with exit code 2. A traceback means
an error in this program. `engine --debug COMMAND` always shows the traceback.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

from engine.errors import ArgumentError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Runs the command and exits with code 0; 2 for errors that the user can correct; 130 if it was interrupted; 141 if the program
    that reads the output, for example `head`, has ended, as if SIGPIPE had ended this one.

    arguments: those of the command line; None: `sys.argv[1:]`.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed by who started the command; a file opened later must not take its place
            setattr(sys, name, open(os.devnull, "w" if number else "r"))  # noqa: SIM115 - until the process ends
    try:
        import click
    except ModuleNotFoundError:
        absent = ", ".join(name for name in ("click", "tqdm", "tokenizers") if find_spec(name) is None)
        _fail(f"the command needs {absent}: pip install 'engine[cli]'")
    from engine.commands import cli
    from engine.commands.common import drop_output, worded

    try:
        code = cli.main(args=arguments, prog_name="engine", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        code = 130 if error.exit_code == 130 else 2  # click uses 1 for some errors
        _fail(error.format_message(), context.command_path if context else "engine", code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", code=130)
    except BrokenPipeError:
        drop_output()
        sys.exit(141)
    except (ArgumentError, ValueError, OSError, ImportError, MemoryError, FloatingPointError) as error:
        if "--debug" in (sys.argv[1:] if arguments is None else arguments)[:1]:
            raise
        _fail(str(worded(error)))
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, command: str = "engine", code: int = 2) -> None:
    from engine.report.words import visible

    sys.stderr.write(f"{_red(command + ':')} {visible(' '.join(message.split()))}\n")
    sys.exit(code)


def _red(word: str) -> str:
    """The word in red if standard error shows colours."""
    if sys.modules.get("click") is None:
        return word
    from engine.commands.terminal import colours

    wanted = colours()
    return f"\x1b[31m{word}\x1b[0m" if (sys.stderr.isatty() if wanted is None else wanted) else word


if __name__ == "__main__":
    main()
