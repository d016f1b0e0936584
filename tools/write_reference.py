"""Writes the reference pages that the program itself knows best: its commands and its REST interface.

.venv/bin/python tools/write_reference.py          # write docs/reference/commands.md and rest.md
.venv/bin/python tools/write_reference.py --check  # exit code 1 where a page is not what the program says
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Written by tools/write_reference.py; edit the program, not this page. -->\n"


def commands_page() -> str:
    """Every command with its arguments and options."""
    import typer

    from meterops.interfaces.cli import commands
    from meterops.site import commands as process_commands
    from meterops.site.main import app

    process_commands.register(app)
    commands.register(app)
    lines = [
        NOTE,
        "# Commands",
        "",
        "Exit codes: 0 done, 1 done with failures or findings, 2 wrong use, 3 refused, 4 the installation is not ready.",
        "Settings come from the environment, see [Settings](settings.md).",
        "",
    ]
    root = typer.main.get_command(app)
    lines += _command_lines(root, "meterops")
    return "\n".join(lines).rstrip() + "\n"


def _command_lines(command: Any, name: str) -> Iterator[str]:
    children = _children(command)
    if not children:
        yield from (f"## {name}", "", inspect.cleandoc(command.help or ""), "")
        yield from _parameter_lines(command)
    for child_name, child in children:
        yield from _command_lines(child, f"{name} {child_name}")


def _children(command: Any) -> list[tuple[str, Any]]:
    import click

    if not hasattr(command, "list_commands"):
        return []
    context = click.Context(command)
    found = ((name, command.get_command(context, name)) for name in command.list_commands(context))
    return [(name, child) for name, child in found if child is not None and not child.hidden]


def _parameter_lines(command: Any) -> Iterator[str]:
    shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
    if not shown:
        return
    yield from ("| parameter | means | default |", "|---|---|---|")
    for parameter in shown:
        names = ", ".join(f"`{one}`" for one in (*parameter.opts, *parameter.secondary_opts))
        if parameter.param_type_name == "argument":
            names = f"`{(parameter.metavar or parameter.name).upper()}`"
        text = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
        yield f"| {names} | {text} | {_default_of(parameter)} |"
    yield ""


def _default_of(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    default = parameter.default
    is_plain = isinstance(default, str | int | float | Path) and not isinstance(default, bool)
    return f"`{default}`" if is_plain and str(default) else ""


def rest_page() -> str:
    """Every address of the REST interface."""
    import os
    import tempfile

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "meterops.site.settings")
    with tempfile.TemporaryDirectory(prefix="meterops-reference-") as folder:
        os.environ.setdefault("METEROPS_DATA_DIR", folder)
        django.setup()
    from meterops.interfaces.rest.service import service

    schema = service.get_openapi_schema()
    lines = [
        NOTE,
        "# REST",
        "",
        "Base address `/api/v1`; the OpenAPI document is at `/api/v1/openapi.json`. Authenticate with",
        '`Authorization: Bearer TOKEN`; `meterops users token NAME --purpose "what for"` makes a token. Times are ISO 8601 in UTC.',
        "",
        'Errors are `{"error": code, "message": sentence}`: 401 without a valid token, 403 without the permission, 404 for',
        "what does not exist, 409 for what is not allowed now, 422 for input that is not valid, then with `problems`, each",
        "with `where` and `what`.",
        "",
    ]
    for path, methods in schema["paths"].items():
        for method, described in methods.items():
            lines += _endpoint_lines(path, method, described)
    return "\n".join(lines).rstrip() + "\n"


def _endpoint_lines(path: str, method: str, described: dict[str, Any]) -> Iterator[str]:
    yield from (f"## {method.upper()} {path}", "", f"{described['summary']}.", "")
    if described.get("description"):
        yield from (inspect.cleandoc(described["description"]), "")
    parameters = described.get("parameters", [])
    if parameters:
        yield from ("| parameter | in | type | needed |", "|---|---|---|---|")
        for one in parameters:
            yield f"| `{one['name']}` | {one['in']} | {_type_of(one['schema'])} | {'yes' if one['required'] else ''} |"
        yield ""
    body = described.get("requestBody", {}).get("content", {})
    if body:
        kind, content = next(iter(body.items()))
        yield from (f"Body: `{kind}`, {_type_of(content['schema'])}.", "")


def _type_of(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type_of(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if schema.get("type") == "array":
        return f"list of {_type_of(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or schema.get("title", "any"))


PAGES = {"commands.md": commands_page, "rest.md": rest_page}


def main() -> int:
    """Write the pages, or say which are not what the program says."""
    stale = []
    for name, make in PAGES.items():
        page, text = REFERENCE / name, make()
        if "--check" in sys.argv[1:]:
            stale += [] if page.exists() and page.read_text() == text else [page]
        else:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
    for page in stale:
        sys.stderr.write(f"{page} is not what the program says: run tools/write_reference.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
