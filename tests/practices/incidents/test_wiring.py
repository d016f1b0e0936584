"""Facts reach incidents whoever publishes them: a process that wires itself, or a command that does not."""

from pathlib import Path

import pytest
from tests.interfaces.console import seed
from tests.practices.incidents.conftest import NOW, situation

from meterops.kernel import facts
from meterops.kernel.models import OutboxFact
from meterops.practices.incidents.models import Incident
from meterops.site import wiring

pytestmark = pytest.mark.django_db


def test_what_is_heard_is_what_is_subscribed_to() -> None:
    assert {fact.__name__ for fact, _ in wiring.subscriptions()} == wiring.HEARD


def test_a_fact_of_a_command_waits_for_the_engine(fleet: seed.Fleet, tmp_path: Path) -> None:
    facts.publish(situation(1, "TR-0001"))
    assert OutboxFact.objects.filter(delivered_at__isnull=True).count() == 1
    wiring.wire()
    try:
        assert facts.deliver(now=NOW) == 1
    finally:
        for name in wiring.HEARD:
            facts._subscribers[name].clear()
    assert Incident.objects.count() == 1
