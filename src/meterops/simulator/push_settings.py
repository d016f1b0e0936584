"""Who pushes without being asked, and how often."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeriodicPushes:
    """Which share of the meters pushes its totals, and how often (seconds)."""

    share: float = 0.0
    every_s: float = 900.0
    udp: bool = False
