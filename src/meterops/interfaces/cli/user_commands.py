"""`meterops users`: who may sign in, and tokens for programs."""

import secrets
from datetime import timedelta
from typing import Annotated

import typer

from meterops.interfaces.cli.output import AsJson, answers_refusals, print_json, print_table, refuse
from meterops.interfaces.cli.state import open_state, shell_actor

users_app = typer.Typer(no_args_is_help=True, help="Who may sign in, and tokens for programs.")


def register(app: typer.Typer) -> None:
    """Hang the group into the main program."""
    app.add_typer(users_app, name="users")


@users_app.command("add")
@answers_refusals
def add(
    name: Annotated[str, typer.Argument(help="The name to sign in with.")],
    administrator: Annotated[bool, typer.Option("--administrator", help="May do everything.")] = False,
    draw: Annotated[bool, typer.Option("--draw-password", help="Draw a password and print it once.")] = False,
) -> None:
    """Add a person. Without --draw-password the password is asked for."""
    open_state()
    from django.contrib.auth import get_user_model
    from django.contrib.auth.password_validation import validate_password
    from django.core.exceptions import ValidationError

    users = get_user_model().objects
    if users.filter(username=name).exists():
        refuse(f"There is a user called {name} already.")
    password = (
        secrets.token_urlsafe(12) if draw else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    try:
        validate_password(password)
    except ValidationError as error:
        refuse(" ".join(error.messages))
    users.create_user(username=name, password=password, is_superuser=administrator, is_staff=administrator)
    typer.echo(f"User {name} is added." + (f" Password, shown this once: {password}" if draw else ""))


@users_app.command("list")
@answers_refusals
def list_users(as_json: AsJson = False) -> None:
    """Everybody who may sign in."""
    open_state()
    from django.contrib.auth import get_user_model

    rows = list(
        get_user_model().objects.order_by("username").values("username", "is_active", "is_superuser", "last_login")
    )
    if as_json:
        print_json(rows)
        return
    print_table(
        ("User", "Active", "Administrator", "Last sign-in"),
        [(r["username"], r["is_active"], r["is_superuser"], r["last_login"]) for r in rows],
        empty="Nobody yet. Add somebody: meterops users add NAME --administrator",
    )


@users_app.command("token")
@answers_refusals
def token(
    name: Annotated[str, typer.Argument(help="Whose rights the token has.")],
    purpose: Annotated[str, typer.Option(help="What it is for; shown in lists and in the audit log.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid.")] = 90,
    as_json: AsJson = False,
) -> None:
    """Make a token for the REST interface and print it, this once."""
    open_state()
    from django.contrib.auth import get_user_model

    from meterops.kernel import access
    from meterops.kernel.clock import utc_now

    user = get_user_model().objects.filter(username=name, is_active=True).first()
    if user is None:
        refuse(f"There is no active user called {name}.")
    now = utc_now()
    text = access.create_token(
        user=user, purpose=purpose, actor=shell_actor(), at=now, expires_at=now + timedelta(days=days)
    )
    if as_json:
        print_json({"token": text})
        return
    typer.echo(f"Token, shown this once: {text}")
