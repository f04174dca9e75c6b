"""The `engine` command. Its commands are in `engine.commands`, which needs click (extra `cli`).

Whatever the user can mend (paths, columns, labels, settings) is one line on standard error and exit code 2; a traceback
means an error in this program. `engine --debug …` shows the traceback in any case.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0, 2 for what the user can mend, 130 where interrupted."""
    try:
        import click
    except ModuleNotFoundError:
        _fail("the command needs click: pip install 'engine[cli]'")
    from engine.commands import cli

    try:
        code = cli.main(args=arguments, prog_name="engine", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        code = 130 if error.exit_code == 130 else 2  # click has 1 for some errors
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
