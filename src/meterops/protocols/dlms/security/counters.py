"""Invocation counters (IEC 62056-5-3, 5.3.2.3): one value per use of a key when sending, only rising ones received.

AES-GCM loses everything when a nonce repeats, and the nonce is the system title with the counter. So a value is given
out once, a counter is never lowered, and whoever persists counters reserves a range before the first value is sent.
"""

from __future__ import annotations

from typing import Final

from meterops.protocols.dlms.errors import SecurityError, SecurityFault

MAX_COUNTER: Final = 0xFFFF_FFFF


class CounterRange:
    """Counter values reserved for one key: half-open `first` to `ends`, each given out once by `take`."""

    __slots__ = ("_ends", "_next")

    _next: int
    _ends: int

    def __init__(self, first: int, ends: int) -> None:
        """Reserve `first` up to and excluding `ends`; both are 32-bit counter values (`ends` may be 2**32)."""
        if not 0 <= first <= ends <= MAX_COUNTER + 1:
            raise ValueError(f"a counter range lies within 0 and 2**32, not {first} to {ends}")
        self._next = first
        self._ends = ends

    @property
    def next(self) -> int:
        """The value `take` will give out; nothing below it will be used again."""
        return self._next

    @property
    def remaining(self) -> int:
        """How many values are left."""
        return self._ends - self._next

    def take(self) -> int:
        """Give out one value for one use of the key; `SecurityError` (counter-exhausted) when the range is used up."""
        value = self._next
        if value >= self._ends:
            raise SecurityError("the reserved invocation counters are used up", SecurityFault.COUNTER_EXHAUSTED)
        self._next = value + 1
        return value

    def raise_to(self, at_least: int) -> None:
        """Give out nothing below `at_least` from now on. Never lowers; what lies past the range is exhausted."""
        self._next = max(self._next, min(at_least, self._ends))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(next={self._next}, ends={self._ends})"


class InvocationCounter(CounterRange):
    """A sender's counter with the whole rest of the 32-bit space before it."""

    __slots__ = ()

    def __init__(self, first: int = 0) -> None:
        """Start at `first`."""
        super().__init__(first, MAX_COUNTER + 1)


class ReplayGuard:
    """The last counter seen of one sender under one key. The first value may be 0; each later one must be higher."""

    __slots__ = ("last",)

    last: int

    def __init__(self, last: int = -1) -> None:
        """Continue after `last`; -1 means nothing has been seen."""
        self.last = last

    def accept(self, counter: int) -> None:
        """Remember `counter`, whose tag has been verified; `SecurityError` (replay) when it does not rise."""
        if counter <= self.last:
            raise SecurityError(f"invocation counter {counter} does not rise above {self.last}", SecurityFault.REPLAY)
        self.last = counter

    def __repr__(self) -> str:
        return f"ReplayGuard(last={self.last})"
