"""Days, weeks and months of the operator's zone as half-open UTC periods: a day has 23, 24 or 25 hours."""

from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone

from meterops.kernel.interval import Interval

SPAN_DAYS = {"day": 1, "week": 7, "month": 31}
"""A span ends with the day chosen: a week that has just begun would show nothing."""


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
    """The first day and the day after the last of a span that ends with `day`: the day itself, 7 days, or 31."""
    end = day + timedelta(days=1)
    return end - timedelta(days=SPAN_DAYS[span]), end


def parse_day(text: str, default: date) -> date:
    """A day as the address has it (2026-11-23), `default` where it is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return default


def parse_moment(text: str) -> datetime | None:
    """A local moment as a form has it (2026-11-23T14:30), in UTC; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
        return timezone.make_aware(found).astimezone(UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), timezone.get_current_timezone()).astimezone(UTC)
