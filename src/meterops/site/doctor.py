"""Is this installation well? One finding per check, each a sentence that says what was looked at and what was seen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection

from meterops.fleet.credentials import api as credentials
from meterops.fleet.headend import api as headend
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import audit, beats
from meterops.kernel.clock import utc_now
from meterops.practices.incidents import api as incidents


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    ok: bool
    text: str


def examine() -> list[Finding]:
    """Run every check; one that itself fails is a finding, not a crash."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _state_store,
        _audit_chain,
        _inventory,
        _credentials,
        _lake,
        _schedules,
        _operations,
        _incidents,
        _processes,
    )
    findings: list[Finding] = []
    for check in checks:
        try:
            findings.extend(check())
        except Exception as error:
            name = check.__name__.strip("_").replace("_", " ")
            findings.append(Finding(name, False, f"the check itself failed: {type(error).__name__}: {error}"))
    return findings


def _state_store() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA quick_check")
            answer = str(cursor.fetchone()[0])
            yield Finding("state store", answer == "ok", f"SQLite quick_check says {answer}")
            return
        cursor.execute("SELECT version()")
        yield Finding("state store", True, str(cursor.fetchone()[0]).split(",")[0])


def _audit_chain() -> Iterator[Finding]:
    broken = audit.find_break()
    yield Finding("audit chain", broken is None, broken or "every entry follows from the one before it")


def _inventory() -> Iterator[Finding]:
    count = inventory.count_end_devices()
    yield Finding("inventory", True, f"{count:,} end devices on {len(inventory.list_routes()):,} routes")
    yield from (Finding("inventory", False, problem) for problem in inventory.find_problems())


def _credentials() -> Iterator[Finding]:
    yield from (Finding("credentials", ok, text) for ok, text in credentials.check())


def _lake() -> Iterator[Finding]:
    yield from (Finding(f"lake: {one.check}", one.ok, one.text) for one in telemetry.check(telemetry.lake()))


def _schedules() -> Iterator[Finding]:
    now = utc_now()
    for schedule in headend.list_schedules(now=now):
        late = headend.overdue_slots(schedule.name, now=now - timedelta(seconds=30))
        text = f"{schedule.name}: last slot {schedule.last_slot_at:%Y-%m-%d %H:%M:%S}Z"
        if not schedule.enabled:
            yield Finding("schedules", True, f"{schedule.name} is paused")
        elif late:
            yield Finding("schedules", False, f"{text}; {late} slots are due and not started: is an engine running?")
        else:
            yield Finding("schedules", True, text)


def _operations() -> Iterator[Finding]:
    now = utc_now()
    running = headend.list_operations(state=headend.OperationState.RUNNING, limit=500)
    late = [o for o in running if o.deadline_at < now - timedelta(minutes=1)]
    text = f"{len(running)} running" + (f", {len(late)} of them past their deadline" if late else "")
    yield Finding("operations", not late, text)
    inconsistent = headend.find_inconsistent_jobs()
    if inconsistent:
        yield Finding("operations", False, inconsistent)


def _incidents() -> Iterator[Finding]:
    """The independent check of escalations: a chain that stands still is a person who is never called."""
    stuck = incidents.find_stuck(now=utc_now())
    yield from (Finding("escalations", False, one.text) for one in stuck)
    if not stuck:
        yield Finding("escalations", True, "no chain stands still")
    for channel in incidents.list_channels():
        text = f"channel {channel.name}: {channel.waiting} messages wait"
        if channel.failures:
            text += f", the last {channel.failures} tries failed: {channel.last_error}"
        yield Finding("notifications", not (channel.enabled and channel.failures >= 3), text)


def _processes() -> Iterator[Finding]:
    now = utc_now()
    processes = beats.list_processes()
    for one in processes:
        silent = now - one.beat_at
        alive = silent < beats.ALIVE_FOR
        text = f"{one.role} {one.process} " + ("alive" if alive else f"silent for {silent.total_seconds():.0f} s")
        # A process that was killed is replaced under another name; only a role that nobody fills is wrong.
        filled = any(o.role == one.role and now - o.beat_at < beats.ALIVE_FOR for o in processes)
        yield Finding("processes", alive or filled, text)
    if not processes:
        yield Finding("processes", True, "none is running")
