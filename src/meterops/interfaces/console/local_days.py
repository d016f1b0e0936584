"""Days, weeks and months of the operator's zone as half-open UTC periods: a day has 23, 24 or 25 hours."""

from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone

from meterops.kernel.interval import Interval


def today() -> date:
    """The current day in the operator's zone."""
    return timezone.localdate()


def period_of(first: date, end: date) -> Interval:
    """[first, end) as local days."""
    return Interval(_midnight(first), _midnight(end))


def at_hour(day: date, hour: int) -> datetime:
    """An hour of a local day, in UTC."""
    return datetime.combine(day, time(hour), timezone.get_current_timezone()).astimezone(UTC)


def span_of(day: date, span: str) -> tuple[date, date]:
    """The first day and the day after the last of the day, week (from Monday) or month that `day` lies in."""
    if span == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    if span == "month":
        first = day.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1)
    return day, day + timedelta(days=1)


def parse_day(text: str, default: date) -> date:
    """A day as the address has it (2026-11-23), `default` where it is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return default


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), timezone.get_current_timezone()).astimezone(UTC)
