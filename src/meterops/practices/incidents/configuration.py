"""What an installation decides about its incidents, checked, with the rules' defaults where it says nothing."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from meterops.kernel import audit
from meterops.kernel.actor import Actor
from meterops.practices.incidents.models import IncidentSettings
from meterops.practices.incidents.refusals import SettingsNotValid
from meterops.practices.incidents.rules import ImpactThresholds, RestorationRule


@dataclass(frozen=True, slots=True)
class IncidentConfiguration:
    """Every setting with its default; times in seconds."""

    restoration_share: float = 0.95
    restoration_first_look_s: int = 15
    restoration_look_every_s: int = 300
    checks_power: bool = True
    """Whether meters are asked by themselves once an outage has cleared."""
    critical_group: str = ""
    """A saved group of meters that count as critical besides those with the attribute `critical`."""
    close_after_s: int = 86_400
    """A resolved incident with nothing left to do closes after so long; 0 never."""
    console_url: str = ""
    """Put before links in messages, for example https://meterops.example.com."""
    extensive_premises: int = 500
    significant_premises: int = 50

    @property
    def restoration(self) -> RestorationRule:
        """As the rule takes it."""
        return RestorationRule(
            share=self.restoration_share,
            first_look_after=timedelta(seconds=self.restoration_first_look_s),
            look_every=timedelta(seconds=self.restoration_look_every_s),
        )

    @property
    def thresholds(self) -> ImpactThresholds:
        """As the rule takes them."""
        return ImpactThresholds(
            extensive_premises=self.extensive_premises, significant_premises=self.significant_premises
        )


def configuration() -> IncidentConfiguration:
    """The settings that hold now."""
    row = IncidentSettings.objects.filter(pk=1).first()
    return IncidentConfiguration(**(row.values if row else {}))


@transaction.atomic
def save_configuration(*, values: dict[str, Any], actor: Actor, at: datetime) -> IncidentConfiguration:
    """Change some settings; the others stay.

    Raises:
        SettingsNotValid: with the sentence that says which and why.
    """
    fields = {field.name: field.default for field in dataclasses.fields(IncidentConfiguration)}
    if unknown := sorted(set(values) - set(fields)):
        raise SettingsNotValid(f"There is no setting {unknown[0]}; there are {', '.join(fields)}.")
    for name, value in values.items():
        wanted = type(fields[name])
        fits = isinstance(value, (int, float)) if wanted is float else type(value) is wanted
        if not fits or (wanted in {int, float} and value < 0):
            raise SettingsNotValid(f"{name} is not set: {value!r} is no {wanted.__name__} it can be.")
    if not 0 < values.get("restoration_share", 0.5) <= 1:
        raise SettingsNotValid("restoration_share is not set: a share lies above 0 and goes up to 1.")
    row, _ = IncidentSettings.objects.select_for_update().get_or_create(pk=1)
    before, row.values = dict(row.values), {**row.values, **values}
    row.save()
    audit.record(
        actor=actor, action="change incident settings", subject="incidents", before=before, after=row.values, at=at
    )
    return IncidentConfiguration(**row.values)


def local_zone() -> ZoneInfo:
    """The zone of the clock on the operators' wall."""
    return ZoneInfo(settings.TIME_ZONE)
