"""COSEM interface classes: attributes and methods by number, read from `classes.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Member:
    """An attribute or a method: its number (from 1), name and the type of its value or parameter as the standard says."""

    number: int
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class InterfaceClass:
    """One interface class. `version` is the newest that is described here; older ones have fewer members."""

    class_id: int
    name: str
    version: int
    attributes: tuple[Member, ...]
    methods: tuple[Member, ...]

    def attribute(self, number: int) -> Member | None:
        """The attribute of a number, None where the class has none."""
        return self.attributes[number - 1] if 0 < number <= len(self.attributes) else None

    def method(self, number: int) -> Member | None:
        """The method of a number, None where the class has none."""
        return self.methods[number - 1] if 0 < number <= len(self.methods) else None


def find_class(class_id: int) -> InterfaceClass | None:
    """The class of an id, None when it is not described here."""
    return _classes().get(class_id)


def list_classes() -> tuple[InterfaceClass, ...]:
    """All classes by id."""
    return tuple(_classes().values())


@cache
def _classes() -> dict[int, InterfaceClass]:
    text = (resources.files(__package__) / "classes.toml").read_text(encoding="utf-8")
    found = [_class(table) for table in tomllib.loads(text)["class"]]
    return {one.class_id: one for one in sorted(found, key=lambda one: one.class_id)}


def _class(table: dict[str, Any]) -> InterfaceClass:
    attributes, methods = (_members(table.get(kind, [])) for kind in ("attributes", "methods"))
    return InterfaceClass(table["id"], table["name"], table["version"], attributes, methods)


def _members(lines: list[str]) -> tuple[Member, ...]:
    parts = [line.partition(": ") for line in lines]
    return tuple(Member(number, name, kind) for number, (name, _, kind) in enumerate(parts, 1))
