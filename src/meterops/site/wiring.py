"""The one list of who listens to what. Upward flow is by facts: a lower package publishes, an upper one subscribes here."""

from meterops.kernel import facts

SUBSCRIPTIONS: tuple[tuple[type, object], ...] = ()


def wire() -> None:
    """Connect every subscriber. Each process calls this once before it works."""
    for fact_type, handler in SUBSCRIPTIONS:
        facts.subscribe(fact_type, handler)  # type: ignore[arg-type]
