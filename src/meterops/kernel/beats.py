"""Which of our processes are alive, and what they say of themselves."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from meterops.kernel.models import Beat

ALIVE_FOR = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A process as it last reported itself."""

    process: str
    role: str
    started_at: datetime
    beat_at: datetime
    status: dict[str, Any]


def beat(*, process: str, role: str, started_at: datetime, now: datetime, status: dict[str, Any]) -> None:
    """Report that a process lives, with a few figures for people."""
    Beat.objects.update_or_create(
        process=process, defaults={"role": role, "started_at": started_at, "beat_at": now, "status": status}
    )


def farewell(*, process: str) -> None:
    """A process that ends in order is forgotten; one that died stays visible until it is pruned."""
    Beat.objects.filter(process=process).delete()


def list_processes() -> list[ProcessStatus]:
    """Every process heard of, by role."""
    return [
        ProcessStatus(b.process, b.role, b.started_at, b.beat_at, b.status)
        for b in Beat.objects.order_by("role", "process")
    ]


def prune(*, now: datetime, keep: timedelta = timedelta(hours=1)) -> None:
    """Forget processes not heard of for `keep`."""
    Beat.objects.filter(beat_at__lt=now - keep).delete()
