"""The one place where operations' callers ask what time it is."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time, aware, in UTC. Callers pass it into operations and rules, which never ask themselves."""
    return datetime.now(UTC)


def from_epoch(seconds: float) -> datetime:
    """Seconds since 1970 as an aware UTC datetime."""
    return datetime.fromtimestamp(seconds, UTC)
