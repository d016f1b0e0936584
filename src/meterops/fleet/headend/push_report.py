"""What became of what meters pushed: stored frames by outcome, and what each listener turned away before it was one."""

from dataclasses import dataclass
from datetime import datetime

from meterops.fleet.headend.refusals import OutcomeNotValid
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import beats

_WORDS = {
    "taken": "stored, of a known meter",
    "broken": "framing broken or cut off",
    "undecodable": "no notification that could be read",
    "unknown sender": "of a device that nobody knows",
    "unprotected": "plain, though its meter has keys",
    "bad-tag": "forged, or ciphered with another key",
    "bad-signature": "signature wrong",
    "replay": "repeated: its counter was taken before",
    "no-key": "ciphered by a sender without known keys",
    "title-mismatch": "signed by one meter, ciphered by another",
    "weaker-protection": "protected too weakly",
    "unsupported": "protected in a way that is not supported",
}


def check_outcome(outcome: str) -> None:
    """Do nothing for an outcome that frames may have, and for none.

    Raises:
        OutcomeNotValid: for a misspelled one, which is no empty list.
    """
    if outcome and outcome not in _WORDS:
        raise OutcomeNotValid(f"{outcome[:60]} is none of {', '.join(_WORDS)}.")


@dataclass(frozen=True, slots=True)
class PushOutcomeView:
    """Frames with one outcome: how many, of how many senders, and when the last came."""

    outcome: str
    words: str
    frames: int
    senders: int
    last_at: datetime

    @property
    def is_taken(self) -> bool:
        """Whether they were believed and stored as readings and events."""
        return self.outcome == "taken"


@dataclass(frozen=True, slots=True)
class ListenerView:
    """A listener as it last reported itself; `dropped` counts by reason since it started."""

    process: str
    is_alive: bool
    port: int
    connections: int
    frames: int
    dropped: dict[str, int]


@dataclass(frozen=True, slots=True)
class PushReport:
    """Outcomes since a moment, the commonest first, and the listeners."""

    since: datetime
    outcomes: tuple[PushOutcomeView, ...]
    listeners: tuple[ListenerView, ...]


def push_report(lake: telemetry.Lake, *, since: datetime, now: datetime) -> PushReport:
    """One question to the lake, however many frames there are."""
    outcomes = [
        PushOutcomeView(one.outcome, _WORDS.get(one.outcome, one.outcome), one.frames, one.senders, one.last_at)
        for one in telemetry.notification_counts(lake, since=since)
    ]
    return PushReport(since, tuple(outcomes), tuple(_listeners(now)))


def _listeners(now: datetime) -> list[ListenerView]:
    return [
        ListenerView(
            process=one.process,
            is_alive=now - one.beat_at < beats.ALIVE_FOR,
            port=int(one.status.get("port", 0)),
            connections=int(one.status.get("connections", 0)),
            frames=int(one.status.get("frames_total", 0)),
            dropped={str(reason): int(count) for reason, count in one.status.get("dropped", {}).items()},
        )
        for one in beats.list_processes()
        if one.role == "listener"
    ]
