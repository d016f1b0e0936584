"""Who does something: a person, a process of ours, or a program with a token."""

from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """What sort of actor it is."""

    PERSON = "PERSON"
    TOKEN = "TOKEN"  # noqa: S105  the word, not a secret
    PROCESS = "PROCESS"


@dataclass(frozen=True, slots=True)
class Actor:
    """Passed into every operation, written into every audit entry."""

    name: str
    kind: ActorKind = ActorKind.PERSON

    def __str__(self) -> str:
        return self.name if self.kind is ActorKind.PERSON else f"{self.kind.lower()}:{self.name}"


def process_actor(name: str) -> Actor:
    """The actor for what a process of ours does by itself, for example `process:scheduler`."""
    return Actor(name, ActorKind.PROCESS)
