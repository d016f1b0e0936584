"""The clock of the simulated world: real time, or running faster from where a run began."""

from __future__ import annotations

import time
from collections.abc import Callable


class WorldTime:
    """Gives the moment of the simulated world in UTC epoch seconds; `speed` 1 is real time."""

    def __init__(self, began_at: float, speed: float = 1.0, real: Callable[[], float] = time.time) -> None:
        """Let the world pass `speed` seconds in each real one since `began_at` (real, UTC epoch seconds)."""
        if speed <= 0:
            raise ValueError(f"speed is above 0, not {speed}")
        self.began_at = began_at
        self.speed = speed
        self._real = real

    def now(self) -> float:
        """The world's moment."""
        real = self._real()
        return real if self.speed == 1.0 else self.began_at + (real - self.began_at) * self.speed

    def real_seconds_until(self, moment: float) -> float:
        """How long to wait in reality for a moment of the world; 0 when it has passed."""
        return max(0.0, (moment - self.now()) / self.speed)
