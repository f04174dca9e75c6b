"""The `engine` command. Its commands are in `engine.commands`, which needs click (extra `cli`).

An error that the user can mend (in paths, columns, labels, settings) is one line on standard error, and the exit code is 2. A
traceback means an error in this program. `engine --debug COMMAND` shows the traceback of every error.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with 0, with 2 for an error that the user can mend, or with 130 after Ctrl-C."""
    try:
        import click
    except ModuleNotFoundError:
        _fail("the command needs click: pip install 'engine[cli]'")
    from engine.commands import cli

    try:
        code = cli.main(args=arguments, prog_name="engine", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        code = 130 if error.exit_code == 130 else 2  # some of click's errors have 1
        _fail(error.format_message(), context.command_path if context else "engine", code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", code=130)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (ValueError, OSError, ImportError, MemoryError, FloatingPointError) as error:
        if "--debug" in (sys.argv[1:] if arguments is None else arguments)[:1]:
            raise
        _fail(str(error))
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, command: str = "engine", code: int = 2) -> None:
    sys.stderr.write(f"{command}: {' '.join(message.split())}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
