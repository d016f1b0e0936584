"""What stands between a client and a simulated meter: delays, losses, dead routes, meters that answer wrongly.

A table holds one behavior for all, one for each route and one for each meter; what a connection meets is the three
together. The table may be changed while the fleet is served.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any


class Reach(StrEnum):
    """What happens when a client connects."""

    UP = "up"
    REFUSED = "refused"
    """The connection is reset as soon as it is made: the concentrator is there, the meter behind it is not."""
    SILENT = "silent"
    """The connection is made and nothing ever comes back: the client waits for its timeout."""


@dataclass(frozen=True, slots=True)
class Behavior:
    """How answers fare. Shares are between 0 and 1, drawn for every answer (or connection, where it says so)."""

    reach: Reach = Reach.UP
    latency_s: float = 0.0
    jitter_s: float = 0.0
    connect_loss: float = 0.0
    """Share of connections that are reset."""
    answer_loss: float = 0.0
    """Share of answers that never arrive."""
    drip_octets: int = 0
    """Answers come in pieces of this many octets, `drip_pause_s` apart; 0 sends them whole."""
    drip_pause_s: float = 0.01
    truncated: float = 0.0
    """Share of answers cut in the middle, after which the connection is closed."""
    malformed: float = 0.0
    """Share of answers whose APDU is replaced by noise of the same length."""
    bad_tag: float = 0.0
    """Share of answers whose last octet is altered: the tag of a ciphered one is then wrong."""
    closes_on_bad_counter: bool = False
    """The connection is closed where the standard has an exception response with the expected counter."""
    session_limit: int = 0
    """Connections at the same time (of a route together, or of a meter); 0 is no limit."""

    def and_then(self, other: Behavior) -> Behavior:
        """Both together: delays add up, shares combine as independent chances, the worse reach wins."""
        if self is HEALTHY:
            return other
        if other is HEALTHY:
            return self
        return Behavior(
            reach=self.reach if self.reach is not Reach.UP else other.reach,
            latency_s=self.latency_s + other.latency_s,
            jitter_s=self.jitter_s + other.jitter_s,
            connect_loss=_either(self.connect_loss, other.connect_loss),
            answer_loss=_either(self.answer_loss, other.answer_loss),
            drip_octets=min(filter(None, (self.drip_octets, other.drip_octets)), default=0),
            drip_pause_s=max(self.drip_pause_s, other.drip_pause_s),
            truncated=_either(self.truncated, other.truncated),
            malformed=_either(self.malformed, other.malformed),
            bad_tag=_either(self.bad_tag, other.bad_tag),
            closes_on_bad_counter=self.closes_on_bad_counter or other.closes_on_bad_counter,
            session_limit=min(filter(None, (self.session_limit, other.session_limit)), default=0),
        )


HEALTHY = Behavior()
"""Everything works, at once."""


def parse_behavior(values: dict[str, Any]) -> Behavior:
    """Make a behavior from names and values as in a scenario file; an unknown name or a wrong value is a ValueError."""
    known = {field.name for field in fields(Behavior)}
    unknown = set(values) - known
    if unknown:
        raise ValueError(f"no such behavior: {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    behavior = replace(HEALTHY, **values)
    for name in ("connect_loss", "answer_loss", "truncated", "malformed", "bad_tag"):
        if not 0 <= getattr(behavior, name) <= 1:
            raise ValueError(f"{name} is a share between 0 and 1, not {getattr(behavior, name)}")
    for name in ("latency_s", "jitter_s", "drip_pause_s", "drip_octets", "session_limit"):
        if getattr(behavior, name) < 0:
            raise ValueError(f"{name} is not negative")
    return replace(behavior, reach=Reach(behavior.reach))


class BehaviorTable:
    """Who behaves how. Routes and meters are named by any hashable: ids, serial numbers."""

    def __init__(self, everywhere: Behavior = HEALTHY) -> None:
        """Begin with one behavior for all."""
        self.everywhere = everywhere
        self._of_route: dict[Hashable, Behavior] = {}
        self._of_meter: dict[Hashable, Behavior] = {}

    def set_route(self, route: Hashable, behavior: Behavior) -> None:
        """Let a route behave like this from the next answer on."""
        _put(self._of_route, route, behavior)

    def set_meter(self, meter: Hashable, behavior: Behavior) -> None:
        """Let a meter behave like this from the next answer on."""
        _put(self._of_meter, meter, behavior)

    def route(self, route: Hashable) -> Behavior:
        """The behavior of a route by itself."""
        return self._of_route.get(route, HEALTHY)

    def meter(self, meter: Hashable) -> Behavior:
        """The behavior of a meter by itself."""
        return self._of_meter.get(meter, HEALTHY)

    def of(self, route: Hashable, meter: Hashable) -> Behavior:
        """What a connection to this meter over this route meets."""
        met = self.everywhere
        if self._of_route:
            met = met.and_then(self.route(route))
        if self._of_meter:
            met = met.and_then(self.meter(meter))
        return met


def _put(table: dict[Hashable, Behavior], name: Hashable, behavior: Behavior) -> None:
    if behavior == HEALTHY:
        table.pop(name, None)
    else:
        table[name] = behavior


def _either(one: float, other: float) -> float:
    return 1 - (1 - one) * (1 - other)
