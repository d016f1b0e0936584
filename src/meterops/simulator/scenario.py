"""Reads scenarios: TOML files that say what happens to a simulated fleet and when. A wrong file is refused with file and key.

See the README beside this file for the words of a scenario.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn

from meterops.simulator.behaviors import HEALTHY, Behavior, parse_behavior
from meterops.simulator.meter_events import EventCode
from meterops.simulator.push_settings import PeriodicPushes

SHIPPED: Final = Path(__file__).parent / "scenarios"
LONGEST_S: Final = 400 * 86_400.0
MAX_ACTS: Final = 500
MAX_FILE: Final = 1 << 20


class ScenarioRefused(ValueError):
    """A scenario cannot be used: the message says which file, which act, which key, and what would be right."""


class ActKind(StrEnum):
    """What may happen."""

    OUTAGE = "outage"
    PLANNED_WORK = "planned-work"
    FUSE = "fuse"
    CONCENTRATOR_DOWN = "concentrator-down"
    ROUTE_LOSS = "route-loss"
    MUTE = "mute"
    SLOW = "slow"
    BEHAVE = "behave"
    WRONG_KEYS = "wrong-keys"
    COUNTER_LOSS = "counter-loss"
    CLOCK_JUMP = "clock-jump"
    CLOCK_DRIFT = "clock-drift"
    EVENT = "event"


SUPPLY_KINDS: Final = (ActKind.OUTAGE, ActKind.PLANNED_WORK, ActKind.FUSE)
BEHAVIOR_KINDS: Final = (ActKind.CONCENTRATOR_DOWN, ActKind.ROUTE_LOSS, ActKind.MUTE, ActKind.SLOW, ActKind.BEHAVE)
LASTING_KINDS: Final = (*SUPPLY_KINDS, *BEHAVIOR_KINDS)


class PlaceKind(StrEnum):
    """What an act may befall."""

    SUBSTATION = "substation"
    FEEDER = "feeder"
    TRANSFORMER = "transformer"
    LV_FEEDER = "lv-feeder"
    CONCENTRATOR = "concentrator"
    CELL = "cell"
    METER = "meter"
    METERS = "meters"
    FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Place:
    """One thing (`number` counts from 1, None is any), or some meters: a share of them or a count."""

    kind: PlaceKind
    number: int | None = None
    share: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens. Times are seconds of the script, from the beginning of the run; `for_s` None is for good."""

    number: int
    kind: ActKind
    place: Place
    at_s: float
    for_s: float | None = None
    every_s: float | None = None
    rate_per_year: float | None = None
    """How often it befalls each thing of its kind in a year; times and places are then drawn, `for_s` is the median."""
    phase: int = 0
    behavior: Behavior = HEALTHY
    seconds: float = 0.0
    code: int = 0
    push: float = 0.0
    """Share of the meters that push it."""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script: what holds everywhere, who pushes, and acts in the order of the file."""

    name: str
    description: str = ""
    pace: float = 1.0
    """How many seconds of the script pass in one of the world."""
    everywhere: Behavior = HEALTHY
    pushes: PeriodicPushes = field(default_factory=PeriodicPushes)
    sound_firmware: bool = False
    """Whether no firmware version has any of the defects planted in it."""
    acts: tuple[Act, ...] = ()


def list_scenarios() -> list[str]:
    """The names of the shipped scenarios."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def find_scenario(name: str) -> Scenario:
    """Read a shipped scenario by its name, or a file by its path.

    Raises `ScenarioRefused` when there is none or it is wrong.
    """
    if name in list_scenarios():
        return read_scenario(SHIPPED / f"{name}.toml")
    if not name.endswith(".toml"):
        raise ScenarioRefused(
            f"there is no scenario {name!r}: give a TOML file or one of {', '.join(list_scenarios())}"
        )
    return read_scenario(Path(name))


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ScenarioRefused(f"{path}: {error.strerror or error}") from None
    if len(data) > MAX_FILE:
        raise ScenarioRefused(f"{path}: the file is longer than {MAX_FILE:,} octets")
    return parse_scenario(data, path.name)


def parse_scenario(data: bytes, name: str) -> Scenario:
    """Make a scenario of the octets of a TOML file; `name` is for messages."""
    try:
        values = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScenarioRefused(f"{name}, line {line}: the text is not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ScenarioRefused(f"{name}: this is no TOML: {error}") from None
    return _Reader(values, name).scenario(Path(name).stem)


class _Table:
    """A table of the file: each key is taken once, and what nobody took is refused."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = dict(values)
        self._where = where

    def refuse(self, key: str, what: str) -> NoReturn:
        raise ScenarioRefused(f"{self._where}, key {key!r}: {what}")

    def has(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, parse: Callable[[Any], Any], otherwise: Any = None, *, needed: bool = False) -> Any:
        if key not in self._values:
            if needed:
                self.refuse(key, "it is missing")
            return otherwise
        try:
            return parse(self._values.pop(key))
        except ValueError as error:
            self.refuse(key, str(error))

    def finish(self) -> None:
        for key in self._values:
            self.refuse(key, "no such key belongs here")


class _Reader:
    def __init__(self, values: Mapping[str, Any], file: str) -> None:
        self._file = file
        self._top = _Table(values, file)

    def scenario(self, stem: str) -> Scenario:
        top = self._top
        scenario = Scenario(
            name=top.take("name", _text, stem),
            description=top.take("description", _text, ""),
            pace=top.take("pace", _positive, 1.0),
            everywhere=top.take("everywhere", _behavior, HEALTHY),
            pushes=self._pushes(top.take("pushes", _table, {})),
            sound_firmware=top.take("sound_firmware", _yes_or_no, otherwise=False),
            acts=tuple(self._act(number, values) for number, values in enumerate(top.take("act", _tables, []), 1)),
        )
        top.finish()
        return scenario

    def _pushes(self, values: Mapping[str, Any]) -> PeriodicPushes:
        table = _Table(values, f"{self._file}, [pushes]")
        pushes = PeriodicPushes(
            share=table.take("share", _share, 0.0),
            every_s=max(table.take("every", _duration, 900.0), 1.0),
            udp=table.take("udp", _yes_or_no, otherwise=False),
        )
        table.finish()
        return pushes

    def _act(self, number: int, values: Mapping[str, Any]) -> Act:
        table = _Table(values, f"{self._file}, act {number}")
        kind = table.take("what", _kind, needed=True)
        act = Act(
            number=number,
            kind=kind,
            place=table.take("where", _place, needed=True),
            at_s=table.take("at", _duration, 0.0, needed=not table.has("rate_per_year")),
            for_s=table.take("for", _duration) if kind in LASTING_KINDS or kind is ActKind.WRONG_KEYS else None,
            every_s=table.take("every", _duration),
            rate_per_year=table.take("rate_per_year", _positive),
            phase=table.take("phase", _phase, needed=True) if kind is ActKind.FUSE else 0,
            behavior=_behavior_of(kind, table),
            seconds=table.take("seconds", _seconds, needed=True) if kind in _NEED_SECONDS else 0.0,
            code=table.take("event", _event, needed=True) if kind is ActKind.EVENT else 0,
            push=table.take("push", _share, _USUAL_PUSH.get(kind, 0.0)),
            label=table.take("label", _text, ""),
        )
        _check(act, table)
        table.finish()
        return act


_NEED_SECONDS: Final = (ActKind.CLOCK_JUMP, ActKind.CLOCK_DRIFT)
_USUAL_PUSH: Final = {ActKind.OUTAGE: 1.0, ActKind.FUSE: 1.0, ActKind.PLANNED_WORK: 1.0, ActKind.EVENT: 1.0}
_GRID_PLACES: Final = (
    PlaceKind.SUBSTATION, PlaceKind.FEEDER, PlaceKind.TRANSFORMER, PlaceKind.LV_FEEDER, PlaceKind.METER, PlaceKind.METERS,
)  # fmt: skip
_CROWDS: Final = (PlaceKind.METERS, PlaceKind.FLEET)
_ALLOWED_PLACES: Final = {
    ActKind.OUTAGE: _GRID_PLACES,
    ActKind.PLANNED_WORK: _GRID_PLACES,
    ActKind.FUSE: (PlaceKind.TRANSFORMER, PlaceKind.LV_FEEDER, PlaceKind.METER),
    ActKind.CONCENTRATOR_DOWN: (PlaceKind.CONCENTRATOR, PlaceKind.CELL),
    ActKind.ROUTE_LOSS: (PlaceKind.CONCENTRATOR, PlaceKind.CELL),
}


def _check(act: Act, table: _Table) -> None:
    """What no single key can tell."""
    allowed = _ALLOWED_PLACES.get(act.kind)
    if allowed is not None and act.place.kind not in allowed:
        table.refuse("where", f"{act.kind} happens to {', '.join(allowed)}, not to {act.place.kind}")
    if act.kind in SUPPLY_KINDS and act.for_s is None:
        table.refuse("for", "how long supply is lost must be said")
    if act.rate_per_year is not None and (act.place.number is not None or act.place.kind in _CROWDS or act.every_s):
        table.refuse("rate_per_year", "a rate goes with 'transformer any' and the like, and not with 'every'")
    if act.every_s is not None and (act.every_s < 60 or (act.for_s or 0.0) >= act.every_s):
        table.refuse("every", "an act is repeated after at least a minute, and not before it has ended")


def _behavior_of(kind: ActKind, table: _Table) -> Behavior:
    if kind in (ActKind.MUTE, ActKind.CONCENTRATOR_DOWN):
        return parse_behavior({"reach": "silent"})
    if kind is ActKind.SLOW:
        latency: float = table.take("latency", _duration, 2.0)
        return Behavior(latency_s=latency, jitter_s=latency / 2)
    if kind is ActKind.ROUTE_LOSS:
        share: float = table.take("share", _share, 0.3)
        return Behavior(connect_loss=share, answer_loss=share / 4)
    if kind is ActKind.BEHAVE:
        behavior: Behavior = table.take("behavior", _behavior, needed=True)
        return behavior
    return HEALTHY


# What stands behind a key; each raises ValueError that says what is wrong.

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhd])")
_NUMBERED: Final = re.compile(r"([a-z-]+) (\d{1,7}|any)")
_SOME: Final = re.compile(r"meters (\d{1,7})(\.\d{1,4})?(%)?")


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 2000:
        raise ValueError("a text is expected")
    return value


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a table is expected")
    return value


def _tables(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError("acts are written as [[act]] tables")
    if len(value) > MAX_ACTS:
        raise ValueError(f"{len(value)} acts are too many; a script has at most {MAX_ACTS}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        raise ValueError(f"a number is expected, not {str(value)[:40]!r}")
    return float(value)


def _positive(value: Any) -> float:
    number = _number(value)
    if not 1e-3 <= number <= 1e5:
        raise ValueError(f"a number from 0.001 to 100000 is expected, not {number:g}")
    return number


def _share(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError(f"a share between 0 and 1 is expected, not {number:g}")
    return number


def _seconds(value: Any) -> float:
    return _number(value)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false is expected")
    return value


def _duration(value: Any) -> float:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"a duration such as '90s', '15m', '1.5h' or '2d' is expected, not {str(value)[:40]!r}")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > LONGEST_S:
        raise ValueError(f"at most {LONGEST_S / 86_400:.0f}d")
    return seconds


def _kind(value: Any) -> ActKind:
    try:
        return ActKind(value)
    except ValueError:
        raise ValueError(f"{str(value)[:40]!r} is not known; known are {', '.join(ActKind)}") from None


def _phase(value: Any) -> int:
    if value not in (1, 2, 3) or isinstance(value, bool | float):
        raise ValueError("1, 2 or 3 is expected")
    return int(value)


def _event(value: Any) -> int:
    name = value.upper().replace("-", "_") if isinstance(value, str) else ""
    if name not in EventCode.__members__:
        known = ", ".join(one.lower().replace("_", "-") for one in EventCode.__members__)
        raise ValueError(f"{str(value)[:40]!r} is no event of a meter; known are {known}")
    return int(EventCode[name])


def _behavior(value: Any) -> Behavior:
    values = _table(value)
    for name, one in values.items():
        if name == "reach":
            continue
        try:
            _at_most(_number(one), 3600)
            if name in _WHOLE and not isinstance(one, int):
                raise ValueError("a whole number is expected")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return parse_behavior(values)


_WHOLE: Final = ("drip_octets", "session_limit")


def _at_most(number: float, highest: float) -> None:
    if number > highest:
        raise ValueError(f"at most {highest:g}")


def _place(value: Any) -> Place:
    if value == "fleet":
        return Place(PlaceKind.FLEET)
    text = value if isinstance(value, str) else ""
    if (some := _SOME.fullmatch(text)) is not None:
        return _some_meters(some)
    numbered = _NUMBERED.fullmatch(text)
    if numbered is None or numbered[1] not in set(PlaceKind) - {"meters", "fleet"} or numbered[2] == "0":
        raise ValueError(
            f"{str(value)[:40]!r} is no place; places are 'transformer 3', 'feeder any', 'meters 2%', 'meters 10', 'fleet'"
        )
    return Place(PlaceKind(numbered[1]), None if numbered[2] == "any" else int(numbered[2]))


def _some_meters(found: re.Match[str]) -> Place:
    amount = float(found[1] + (found[2] or ""))
    if found[3]:
        if not 0 < amount <= 100:
            raise ValueError("a share of meters is above 0 and at most 100%")
        return Place(PlaceKind.METERS, share=amount / 100)
    if found[2] or not amount:
        raise ValueError("a number of meters is whole and above 0")
    return Place(PlaceKind.METERS, count=int(amount))
