"""Loads companion profiles. A file that is wrong anywhere is refused by its name and line, never half understood."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from meterops.protocols.dlms.apdu.descriptors import Attribute
from meterops.protocols.dlms.association.parameters import Authentication, Ciphering
from meterops.protocols.dlms.association.quirks import Quirks
from meterops.protocols.dlms.errors import DlmsError
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import SecuritySuite

NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
DEFAULT_PROFILE: Final = "generic"
_AUTHENTICATIONS: Final = {
    "none": Authentication.NONE,
    "lls": Authentication.LLS,
    "hls5-gmac": Authentication.HLS5_GMAC,
    "hls7-ecdsa": Authentication.HLS7_ECDSA,
}


class ProfileUnknown(DlmsError, LookupError):
    """There is no companion profile of that name."""


class ProfileNotValid(DlmsError, ValueError):
    """A profile file is wrong: `file`, `line` (counted from 1, None for the file as a whole) and what."""

    def __init__(self, file: str, line: int | None, what: str) -> None:
        super().__init__(f"{file}{f', line {line}' if line else ''}: {what}")
        self.file = file
        self.line = line
        self.what = what


@dataclass(frozen=True, slots=True)
class CompanionProfile:
    """How a family of meters is spoken to. `max_pdu_size` in octets; `event_logs` are (number in the lake, OBIS)."""

    name: str
    title: str
    client_sap: int = 1
    authentication: Authentication = Authentication.HLS5_GMAC
    ciphering: Ciphering = Ciphering.GENERAL_GLO
    suite: SecuritySuite = SecuritySuite.SUITE_0
    max_pdu_size: int = 0xFFFF
    counter: Attribute | None = None
    registers: tuple[Obis, ...] = ()
    load_profile: Obis | None = None
    event_logs: tuple[tuple[int, Obis], ...] = ()
    alarm_register: Obis | None = None
    quirks: Quirks = field(default_factory=Quirks)


@cache
def load_profile(name: str) -> CompanionProfile:
    """Load a shipped profile; an empty name is the generic one.

    Raises:
        ProfileUnknown: when there is none of that name.
        ProfileNotValid: when its file is wrong.
    """
    wanted = name or DEFAULT_PROFILE
    if wanted not in list_profiles():
        raise ProfileUnknown(f"there is no companion profile {wanted!r}; there are {', '.join(list_profiles())}")
    file = resources.files(__package__) / f"{wanted}.toml"
    return _Reader(f"{wanted}.toml", file.read_text(encoding="utf-8")).read(load_profile)


@cache
def list_profiles() -> tuple[str, ...]:
    """The names of the shipped profiles."""
    files = (Path(file.name) for file in resources.files(__package__).iterdir())
    return tuple(sorted(file.stem for file in files if file.suffix == ".toml"))


def load_profile_file(path: Path) -> CompanionProfile:
    """Load a profile from anywhere. What it `extends` is a shipped one.

    Raises:
        ProfileNotValid: when the file cannot be read or is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileNotValid(path.name, None, str(error)) from None
    return _Reader(path.name, text).read(load_profile)


class _Wrong(Exception):
    """What is wrong with a value."""


class _Reader:
    """Reads one file; every problem is raised with the line on which the key stands."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text

    def read(self, base: Callable[[str], CompanionProfile]) -> CompanionProfile:
        try:
            tables = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"line (\d+)", str(error))
            raise ProfileNotValid(self._file, int(found[1]) if found else None, str(error)) from None
        settings: dict[str, Any] = {}
        extends = tables.pop("extends", None)
        if extends is not None:
            settings = self._extended(extends, base)
        for section, keys in _SECTIONS.items():
            self._section(section, keys, tables if section == "" else tables.pop(section, {}), settings)
        self._no_others("", tables, set(_SECTIONS[""]))
        for required in ("name", "title"):
            if required not in tables:
                raise ProfileNotValid(self._file, None, f"{required!r} is missing")
        return CompanionProfile(**settings)

    def _extended(self, name: Any, base: Callable[[str], CompanionProfile]) -> dict[str, Any]:
        try:
            found = base(_text(name))
        except (_Wrong, ProfileUnknown) as error:
            raise self._wrong("", "extends", str(error)) from None
        return {one.name: getattr(found, one.name) for one in fields(found)}

    def _section(self, section: str, keys: dict[str, _Key], table: Any, settings: dict[str, Any]) -> None:
        if not isinstance(table, dict):
            raise self._wrong("", section, "is a table of settings, not a single value")
        if section:
            self._no_others(section, table, set(keys))
        for key, (target, convert) in keys.items():
            if key in table:
                try:
                    settings[target] = convert(table[key])
                except _Wrong as error:
                    raise self._wrong(section, key, str(error)) from None

    def _no_others(self, section: str, table: dict[str, Any], known: set[str]) -> None:
        for key in table:
            if key not in known:
                raise self._wrong(section, key, f"is not known here; known are {', '.join(sorted(known))}")

    def _wrong(self, section: str, key: str, what: str) -> ProfileNotValid:
        named = f"{section}.{key}" if section else key
        return ProfileNotValid(self._file, self._line_of(section, key), f"{named} {what}")

    def _line_of(self, section: str, key: str) -> int | None:
        """The line of `key = ...` under `[section]`, or of the header `[key]`."""
        current = ""
        for number, line in enumerate(self._text.splitlines(), 1):
            header = re.match(r"\s*\[([^\]]+)\]", line)
            if header:
                current = header[1].strip()
                if current in (key, f"{section}.{key}"):
                    return number
            elif current == section and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[.=]""", line):
                return number
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Wrong("is a text")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise _Wrong("is a name of lower-case letters, digits, dots and hyphens")
    return value


def _number(least: int, most: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _Wrong(f"is a whole number from {least} to {most}")
        return value

    return convert


def _choice(choices: dict[str, Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if not isinstance(value, str) or value not in choices:
            raise _Wrong(f"is one of {', '.join(choices)}")
        return choices[value]

    return convert


def _obis(value: Any) -> Obis:
    if not isinstance(value, str):
        raise _Wrong("is an OBIS code in quotes, such as 1.0.1.8.0.255")
    try:
        return Obis.parse(value)
    except (DlmsError, ValueError) as error:
        raise _Wrong(f"is no OBIS code: {error}") from None


def _obis_list(value: Any) -> tuple[Obis, ...]:
    if not isinstance(value, list):
        raise _Wrong("is a list of OBIS codes")
    return tuple(_obis(one) for one in value)


def _counter(value: Any) -> Attribute | None:
    return None if value == "" else Attribute(1, _obis(value), 2)


def _logs(value: Any) -> tuple[tuple[int, Obis], ...]:
    if not isinstance(value, dict):
        raise _Wrong("is a table of log number and OBIS code")
    found = []
    for number, obis in value.items():
        if not number.isdecimal() or int(number) > 99:
            raise _Wrong(f"has the number {number!r} where 0 to 99 was expected")
        found.append((int(number), _obis(obis)))
    return tuple(sorted(found))


def _quirks(value: Any) -> Quirks:
    if not isinstance(value, dict):
        raise _Wrong("is a table of quirks")
    known = {one.name: one for one in fields(Quirks)}
    for name, setting in value.items():
        if name not in known:
            raise _Wrong(f"{name!r} is not known; known are {', '.join(known)}")
        if type(setting) is not type(known[name].default):
            raise _Wrong(f"{name!r} is {'true or false' if known[name].default is False else 'a whole number'}")
    return Quirks(**value)


_Key = tuple[str, Callable[[Any], Any]]
_SECTIONS: Final[dict[str, dict[str, _Key]]] = {
    "association": {
        "client": ("client_sap", _number(1, 0x7F)),
        "authentication": ("authentication", _choice(_AUTHENTICATIONS)),
        "ciphering": ("ciphering", _choice({one.value: one for one in Ciphering})),
        "suite": ("suite", lambda value: SecuritySuite(_number(0, 2)(value))),
        "max_pdu_size": ("max_pdu_size", _number(64, 0xFFFF)),
    },
    "objects": {
        "counter": ("counter", _counter),
        "registers": ("registers", _obis_list),
        "load_profile": ("load_profile", _obis),
        "event_logs": ("event_logs", _logs),
        "alarm_register": ("alarm_register", _obis),
    },
    "": {
        "name": ("name", _name),
        "title": ("title", _text),
        "quirks": ("quirks", _quirks),
    },
}
