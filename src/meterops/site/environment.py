"""What the environment says of this installation, with the embedded default where it is silent."""

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


def data_folder() -> Path:
    """The folder that holds everything this installation owns (`METEROPS_DATA_DIR`, default `./data`)."""
    return Path(os.environ.get("METEROPS_DATA_DIR", "data")).resolve()


def database(data: Path) -> dict[str, Any]:
    """Django's database entry: `METEROPS_DATABASE_URL` (postgresql://user:password@host:port/name), or SQLite in the data folder.

    SQLite runs in WAL mode with immediate transactions: readers never wait, and two writers queue instead of failing
    half-way with "database is locked".
    """
    url = os.environ.get("METEROPS_DATABASE_URL", "")
    if url:
        return _postgresql(url)
    data.mkdir(parents=True, exist_ok=True)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(data / "state.sqlite3"),
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32000;",
        },
        "TEST": {"NAME": None},
    }


def _postgresql(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ValueError(f"METEROPS_DATABASE_URL must start with postgresql://, not {parts.scheme}://")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
        "CONN_HEALTH_CHECKS": True,
    }


def secret_key(data: Path) -> str:
    """The key that signs sessions: `METEROPS_SECRET_KEY`, or one drawn on first use and kept in the data folder (mode 0600)."""
    given = os.environ.get("METEROPS_SECRET_KEY", "")
    if given:
        return given
    file = data / "secrets" / "session.key"
    return read_or_create_secret(file, lambda: secrets.token_urlsafe(50))


def read_or_create_secret(file: Path, draw: Any) -> str:
    """The text in `file`; where there is none, what `draw()` gives, written so that two starting processes agree on it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        drawn = file.with_name(f"{file.name}.{os.getpid()}")
        drawn.touch(mode=0o600)
        drawn.write_text(draw())
        try:
            os.link(drawn, file)  # fails where another process was first, and then its secret counts
        except FileExistsError:
            pass
        finally:
            drawn.unlink()
    return file.read_text().strip()
