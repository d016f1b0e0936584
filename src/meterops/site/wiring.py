"""The one list of who listens to what. Upward flow is by facts: a lower package publishes, an upper one subscribes here."""

from meterops.kernel import facts

HEARD = frozenset(
    {
        "AlarmCleared",
        "FleetOperationEnded",
        "SafetyAlarmRaised",
        "SituationChanged",
        "SituationCleared",
        "SituationMerged",
        "SituationOpened",
    }
)
"""The facts that somebody subscribes to, by name: every process keeps them, the ones that load no subscriber too."""


def subscriptions() -> tuple[tuple[type, object], ...]:
    """(fact, handler); loaded when a process wires itself, for handlers bring their tables along."""
    from meterops.practices.incidents import subscribers as incidents

    return (*incidents.SUBSCRIPTIONS,)


def wire() -> None:
    """Connect every subscriber. Each process calls this once before it works."""
    for fact_type, handler in subscriptions():
        facts.subscribe(fact_type, handler)  # type: ignore[arg-type]
