"""How commands answer: tables for people, JSON for programs, one sentence on stderr when something is refused.

Exit codes: 0 done, 1 done but something failed (some rows, some meters), 2 wrong use, 3 refused or not found,
4 the installation is not ready, 130 stopped by Ctrl-C.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, Any, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.table import Table

EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED, EXIT_NOT_READY = 1, 2, 3, 4

P = ParamSpec("P")
T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")]


def print_json(value: Any) -> None:
    """One JSON document; datetimes as ISO 8601 in UTC, dataclasses as objects."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", empty: str = "") -> None:
    """A table as wide as it needs when piped, as the terminal when seen; `empty` is said where there is no row."""
    console = Console(soft_wrap=False, width=None if sys.stdout.isatty() else 200)
    listed = [[_text(cell) for cell in row] for row in rows]
    if not listed:
        console.print(empty or "Nothing found.")
        return
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        numeric = all(_is_number(row[number]) for row in listed)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*row)
    console.print(table)


def refuse(sentence: str, code: int = EXIT_REFUSED) -> NoReturn:
    """Say why not, on stderr, and leave."""
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def answers_refusals(command: Callable[P, T]) -> Callable[P, T]:
    """Decorator: a refusal becomes its sentence and exit code 3 instead of a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        from meterops.kernel.refusal import Refusal

        try:
            return command(*args, **kwargs)
        except Refusal as refusal:
            refuse(str(refusal))

    return run


def local_time(moment: datetime | None) -> str:
    """A moment on the operator's clock, to the second."""
    if moment is None:
        return "–"
    from django.utils import timezone

    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def _text(cell: object) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, datetime):
        return local_time(cell)
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    if isinstance(cell, int):
        return f"{cell:,}"
    return str(cell)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "").replace("–", "").replace(" %", "").strip().isdigit()
