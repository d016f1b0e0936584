"""One visit to one meter: connection, association, everything due, release; and what the worker keeps of it.

A visit that breaks off keeps what it brought until then.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from meterops.fleet.headend.classify import COUNTER_ERROR, classify
from meterops.fleet.headend.errors import ErrorClass
from meterops.fleet.headend.ledger import Address, Route
from meterops.fleet.headend.reading import (
    EventLog,
    LayoutBook,
    LayoutMismatch,
    MeterLayout,
    MeterReading,
    Wanted,
    learn_layout,
    read_meter,
)
from meterops.fleet.headend.route_runner import MeterTask
from meterops.fleet.headend.session import PeerClosed, SessionError, SessionStats, open_session
from meterops.protocols.dlms import flows
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.association.parameters import PUBLIC_CLIENT, ClientParameters
from meterops.protocols.dlms.errors import AssociationRefused, DlmsError, PeerException
from meterops.protocols.dlms.framing import HdlcClientLink, Link, WrapperLink
from meterops.protocols.dlms.profiles import CompanionProfile, load_profile
from meterops.protocols.dlms.security import CounterRange, KeyRing

LONGEST_CATCH_UP_S = 40 * 86_400
"""No session asks for more of a load profile than this, however long the meter was silent."""
SPARE_COUNTERS = 40
"""Invocation counters that opening, registers, logs and release of a session need at most."""
PROFILE_S_PER_COUNTER = 900 * 4
"""One invocation counter per so many seconds of load profile: four quarter-hours fit even the smallest block."""

MoreCounters = Callable[[int, int, int], Awaitable[CounterRange]]
"""(end device id, at least, how many) -> a fresh range for that meter."""


class VisitLimits(Protocol):
    """How long a visit may wait, in seconds."""

    @property
    def connect_timeout_s(self) -> float: ...
    @property
    def answer_timeout_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Visitors:
    """What every visit of a worker shares: how the head-end names itself, layouts learned, limits, a source of counters."""

    system_title: bytes
    layouts: LayoutBook
    limits: VisitLimits
    more_counters: MoreCounters


@dataclass(slots=True)
class MeterVisit:
    """A visit and what came of it; `started` in epoch seconds."""

    task: MeterTask
    started: float
    reading: MeterReading = field(default_factory=MeterReading)
    error: ErrorClass | None = None
    detail: str = ""
    bytes_sent: int = 0
    bytes_received: int = 0
    apdus: int = 0
    round_trips: int = 0
    duration_ms: int = 0

    def count(self, stats: SessionStats) -> None:
        """Add what a connection cost."""
        self.bytes_sent += stats.bytes_sent
        self.bytes_received += stats.bytes_received
        self.apdus += stats.apdus
        self.round_trips += stats.round_trips

    def fail(self, error: BaseException) -> None:
        """Note why it broke off."""
        self.error, self.detail = classify(error)

    def end(self) -> None:
        """It is over: note how long it took, and what the meter would not give."""
        self.duration_ms = round((time.time() - self.started) * 1000)
        if self.error is None and self.reading.refused:
            self.error = ErrorClass.REFUSED
            self.detail = "; ".join(f"{content}: {said}" for content, said in self.reading.refused.items())

    def describe(self) -> dict[str, Any]:
        """What a person who asked for this read is shown, as JSON."""
        rows = self.reading.profile
        until = self.reading.profile_until()
        return {
            "ok": self.error is None,
            "error": self.error,
            "detail": self.detail,
            "duration_ms": self.duration_ms,
            "round_trips": self.round_trips,
            "registers": [
                {"name": kind.name, "value": value / 1000, "unit": kind.unit} for kind, value in self.reading.registers
            ],
            "clock_drift_ms": self.reading.clock_drift_ms,
            "profile_rows": rows.row_count if rows is not None else 0,
            "profile_until": None if until is None else datetime.fromtimestamp(until, UTC).isoformat(),
            "events": len(self.reading.events),
        }


async def visit_meter(visit: MeterVisit, route: Route, shared: Visitors, *, limit_s: float) -> None:
    """Hold the session, within `limit_s` seconds all in all; `visit` says what came of it. Never raises but on cancellation.

    A meter that expects higher invocation counters than ours is asked for its counter and visited once more.
    """
    ends_at = asyncio.get_running_loop().time() + limit_s
    try:
        address = route.addresses.get(visit.task.meter)
        if address is None:
            raise LookupError("the meter has no address on this route any more")
        await _visit(visit, route, address, shared, ends_at)
    except Exception as error:
        visit.fail(error)
        if visit.error is ErrorClass.INTERNAL:
            raise
    finally:
        visit.end()


async def _visit(visit: MeterVisit, route: Route, address: Address, shared: Visitors, ends_at: float) -> None:
    profile = load_profile(address.profile)
    wanted = _wanted(visit.task, route)
    needed = SPARE_COUNTERS + (wanted.now - wanted.profile_from) // PROFILE_S_PER_COUNTER
    counters = route.counters.pop(visit.task.meter, None)
    if counters is None or counters.remaining < needed:
        counters = await shared.more_counters(visit.task.meter, 0, needed)
    keys = route.keys.get(visit.task.meter)
    try:
        await _hold(visit, _Call(address, profile, keys, counters), wanted, shared, ends_at)
    except (PeerException, AssociationRefused, PeerClosed) as error:
        if visit.reading.is_associated:
            raise
        expected = await _expected_counter(visit, address, profile, shared, ends_at, error)
        if expected is None or expected <= counters.next:
            raise
        counters = await shared.more_counters(visit.task.meter, expected, needed)
        await _hold(visit, _Call(address, profile, keys, counters), wanted, shared, ends_at)


@dataclass(frozen=True, slots=True)
class _Call:
    """With whom, how, and with which secrets a session is held."""

    address: Address
    profile: CompanionProfile
    keys: KeyRing | None
    counters: CounterRange | None

    def parameters(self, own_title: bytes) -> ClientParameters:
        if self.keys is None:
            raise LookupError("no keys are stored for this meter")
        return ClientParameters(
            client_sap=self.profile.client_sap,
            server_sap=self.address.server_sap,
            authentication=self.profile.authentication,
            ciphering=self.profile.ciphering,
            suite=self.profile.suite,
            keys=self.keys,
            counter=self.counters,
            system_title=own_title,
            meter_system_title=self.address.system_title or None,
            max_pdu_size=self.profile.max_pdu_size,
            quirks=self.profile.quirks,
        )

    def link(self, client_sap: int) -> Link:
        if self.address.transport == "HDLC":
            return HdlcClientLink(client_sap, self.address.server_sap)
        return WrapperLink(client_sap, self.address.server_sap)


async def _hold(visit: MeterVisit, call: _Call, wanted: Wanted, shared: Visitors, ends_at: float) -> None:
    """One connection: associate, learn what the meter has where nobody of its kind was met, read, release."""
    association = ClientAssociation(call.parameters(shared.system_title))
    session = await _open(call, call.profile.client_sap, shared.limits, ends_at)
    try:
        await session.run(_read_all(association, call, wanted, shared.layouts, visit.reading))
        with contextlib.suppress(
            SessionError, DlmsError
        ):  # everything is here; how the meter says goodbye does not matter
            await session.run(flows.release(association))
    except LayoutMismatch:
        shared.layouts.forget(_kind(call.address))
        raise
    finally:
        await session.close()
        visit.count(session.stats)


async def _open(call: _Call, client_sap: int, limits: VisitLimits, ends_at: float) -> Any:
    left = ends_at - asyncio.get_running_loop().time()
    if left <= 0:
        raise TimeoutError("the time for this session is up")
    return await open_session(
        call.address.host,
        call.address.port,
        call.link(client_sap),
        min(limits.answer_timeout_s, left),
        total_timeout=left,
        connect_timeout=min(limits.connect_timeout_s, left),
    )


def _read_all(
    association: ClientAssociation, call: _Call, wanted: Wanted, layouts: LayoutBook, reading: MeterReading
) -> flows.Flow[None]:
    yield from flows.associate(association)
    reading.is_associated = True
    kind = _kind(call.address)
    layout = layouts.find(kind)
    if layout is None:
        layout = yield from _learn(association, call.profile)
        layouts.keep(kind, layout)
    yield from read_meter(association, wanted, layout, reading)


def _learn(association: ClientAssociation, profile: CompanionProfile) -> flows.Flow[MeterLayout]:
    return learn_layout(
        association,
        profile.registers,
        profile.load_profile,
        [EventLog(number, obis) for number, obis in profile.event_logs],
        profile.alarm_register,
    )


def _kind(address: Address) -> tuple[str, ...]:
    return (*address.make, address.profile)


def _wanted(task: MeterTask, route: Route) -> Wanted:
    now = int(time.time())
    first = now - min(task.lookback_s, LONGEST_CATCH_UP_S)
    profile_until = route.profile_read_until.get(task.meter)
    events_until = route.events_read_until.get(task.meter)
    floor = now - LONGEST_CATCH_UP_S
    return Wanted(
        contents=task.contents,
        profile_from=first if profile_until is None else max(floor, min(profile_until + 1, now)),
        events_from=first if events_until is None else max(floor, min(events_until, now)),
        now=now,
    )


async def _expected_counter(
    visit: MeterVisit, address: Address, profile: CompanionProfile, shared: Visitors, ends_at: float, error: Exception
) -> int | None:
    """The lowest counter the meter will take, from its own answer or asked as the public client; None where it will not say.

    Meters tell a counter that is too low in three ways: an exception response (with or without the number), a refused
    association, or just a closed connection.
    """
    if isinstance(error, PeerException):
        if error.invocation_counter is not None:
            return error.invocation_counter + 1
        if int(error.service_error) != COUNTER_ERROR:
            return None
    if profile.counter is None:
        return None
    public = ClientAssociation(
        ClientParameters(client_sap=PUBLIC_CLIENT, server_sap=address.server_sap, quirks=profile.quirks)
    )
    call = _Call(address, profile, None, None)
    try:
        session = await _open(call, PUBLIC_CLIENT, shared.limits, ends_at)
        try:
            last: int = await session.run(flows.read_invocation_counter(public, profile.counter))
        finally:
            await session.close()
            visit.count(session.stats)
    except (SessionError, DlmsError):  # the first error is the one to report
        return None
    return last + 1
