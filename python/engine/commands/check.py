"""`engine check`: what is wrong with a table of texts, and the table without it."""

from __future__ import annotations

import json
from typing import Any

import click

from engine.commands.common import PATH, Command, encoding_option

__all__ = ["check"]


@click.command(cls=Command, short_help="Find duplicates, conflicts, leaks and the like in texts.")
@click.argument("data", type=PATH)
@click.option(
    "--test", "others", type=PATH, multiple=True, help="A split that no text of DATA may also be in; may be repeated."
)
@click.option("--text-column", help="Column of the texts (default: found by its name).")
@click.option("--pair-column", help="Column of second texts.")
@click.option("--label-column", help="Column of the labels (default: found by its name).")
@click.option(
    "--similarity", type=float, default=0.8, show_default=True, help="How alike near-duplicates are, at least."
)
@encoding_option
@click.option(
    "--remove", metavar="KINDS", default="", help="Kinds of problems whose rows go, with commas; needs --output."
)
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="A CSV file for the texts that are left.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(
    data: str,
    others: tuple[str, ...],
    similarity: float,
    remove: str,
    output: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Report what is wrong with a file of texts (CSV, TSV or JSONL): empty texts, control characters, markup, duplicates and
    near-duplicates, the same text under different labels, texts that are in a test split too, rare labels.

    Nothing is changed: --remove and --output write a cleaned copy, as CSV, with all columns of a CSV or TSV file.

    \b
    Example:
      engine check train.csv --test test.csv
      engine check train.csv --test test.csv --remove duplicate,label_conflict,leak --output clean.csv
    """  # fmt: skip
    from engine.text import find_problems, read_table, remove_problems, write_table

    kinds: Any = [kind.strip() for kind in remove.split(",") if kind.strip()]
    if bool(kinds) != (output is not None):
        raise click.UsageError("--remove and --output go together.")
    columns = {name: options[name] for name in ("text_column", "label_column", "pair_column", "encoding")}
    # The cleaned copy has all columns; of JSON Lines, whose values need not fit a table, the text and the label.
    whole = output is not None and not data.lower().endswith((".jsonl", ".ndjson", ".json", ".txt"))
    table = read_table(data, **columns, extra_columns=None if whole else ())
    splits = {name: read_table(name, **columns) for name in others}
    report = find_problems(table, splits or None, similarity=similarity)
    left = None if output is None else remove_problems(table, report, kinds)
    click.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=2) if as_json else str(report))
    if left is not None and output is not None:
        write_table(left[0], output)
        click.echo(f"{len(left[1])} rows removed, {len(left[0])} written to {output}", err=as_json)
