"""The commands of `engine`, a file each. A command imports the heavy parts of the package only when it runs."""

from __future__ import annotations

import click

import engine
from engine.commands.check import check
from engine.commands.common import Command
from engine.commands.embed import embed
from engine.commands.evaluate import evaluate
from engine.commands.export import export
from engine.commands.info import info
from engine.commands.predict import predict
from engine.commands.pretrain import pretrain
from engine.commands.search import search
from engine.commands.terminal import colours
from engine.commands.train import train
from engine.suggestions import closest, other_command

__all__ = ["cli"]


class _Group(click.Group):
    """Lists the commands in the order in which they are added, which is that of a working day."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.commands and not name.startswith("-") and not ctx.resilient_parsing:
            other = other_command(name)
            meant = [other] if other else closest(name, self.commands)
            hint = f" Did you mean {' or '.join(map(repr, meant))}?" if meant else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Group, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(engine.__version__, prog_name="engine")
@click.option("--debug", is_flag=True, help="Show the traceback of an error. Must come before the command.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Train transformers on text, evaluate them, and predict with them.

    \b
    Example:
      engine train questions.csv --test test.csv --output runs/first
      engine train questions.csv --init MiniLM --output runs/tuned
      engine predict runs/first "My card has not arrived yet"
    """
    ctx.color = colours()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for command in (check, pretrain, train, evaluate, predict, embed, export, search, info):
    cli.add_command(command)
