"""The words of messages: Django's template language, cut down to what cannot reach anything but the values given."""

import re
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.template import Context, Engine, Template, TemplateSyntaxError
from django.utils import timezone

from meterops.kernel import audit
from meterops.kernel.actor import Actor
from meterops.practices.incidents.configuration import IncidentConfiguration
from meterops.practices.incidents.models import Incident, MessageTemplate
from meterops.practices.incidents.refusals import TemplateNotValid

OCCASIONS: Final = ("OPENED", "RAISED", "ESCALATED", "MAJOR", "RESOLVED", "REOPENED", "CLOSED", "WORK_ORDER", "TEST")
ALLOWED_TAGS: Final = frozenset({"if", "elif", "else", "endif", "with", "endwith", "comment", "endcomment"})
"""No loops, no loading, no including: a template cannot run long or read what it is not given."""
_TAG = re.compile(r"{%-?\s*(\w+)")
_LONGEST: Final = 8000

_FACTS = (
    "{{ premises }} premises{% if critical %}, {{ critical }} of them critical{% endif %}"
    "{% if unserved_kw %}, {{ unserved_kw }} kW not served{% endif %}"
    "{% if reads_at_risk %}, {{ reads_at_risk }} reads at risk{% endif %}.\n"
    "Since {{ started }}. {% if owner %}Owner: {{ owner }}.{% else %}Nobody owns it.{% endif %}\n"
    "{% if link %}{{ link }}\n{% endif %}"
)
DEFAULTS: Final[dict[str, tuple[str, str]]] = {
    "OPENED": ("[{{ priority }}] {{ title }}", "Incident {{ number }} is new: {{ title }}.\n" + _FACTS),
    "RAISED": (
        "[{{ priority }}] Worse than before: {{ title }}",
        "Incident {{ number }} is {{ priority }} now.\n" + _FACTS,
    ),
    "ESCALATED": (
        "[{{ priority }}] Not acknowledged: {{ title }}",
        "Nobody has acknowledged incident {{ number }} in {{ waited_minutes }} minutes (step {{ step }} of {{ steps }}).\n"
        + _FACTS,
    ),
    "MAJOR": ("[MAJOR] {{ title }}", "Incident {{ number }} is led as a major incident: {{ reason }}.\n" + _FACTS),
    "RESOLVED": ("[{{ priority }}] Resolved: {{ title }}", "Incident {{ number }}: {{ resolution }}\n" + _FACTS),
    "REOPENED": ("[{{ priority }}] Reopened: {{ title }}", "Incident {{ number }} is open again.\n" + _FACTS),
    "CLOSED": ("Closed: {{ title }}", "Incident {{ number }} is closed.\n" + _FACTS),
    "WORK_ORDER": ("Work order: {{ title }}", "Work order of incident {{ number }} is {{ work_order_state }}.\n"),
    "TEST": ("Meterops test message", "If you read this, the channel works.\n"),
}

_engine = Engine(libraries={}, loaders=[("django.template.loaders.locmem.Loader", {})], autoescape=False)


def render(occasion: str, values: dict[str, Any]) -> tuple[str, str]:
    """(subject, body) of an occasion; a stored template that fails falls back to the words that ship."""
    stored = MessageTemplate.objects.filter(pk=occasion).values_list("subject", "body").first()
    for subject, body in filter(None, (stored, DEFAULTS[occasion])):
        try:
            return _text(subject, values).replace("\n", " ").strip()[:300], _text(body, values).strip()
        except Exception as error:  # a template may fail in as many ways as there are filters
            last = error
    raise last  # pragma: no cover  # the shipped words are tested


def _text(source: str, values: dict[str, Any]) -> str:
    return Template(source, engine=_engine).render(Context(values, autoescape=False))[:_LONGEST]


def check_template(source: str) -> None:
    """Refuse what a template may not hold.

    Raises:
        TemplateNotValid: with the sentence that says what.
    """
    if foreign := sorted(set(_TAG.findall(source)) - ALLOWED_TAGS):
        raise TemplateNotValid(f"A message's template has no tag {foreign[0]}; it may use if, with and comment.")
    try:
        Template(source, engine=_engine)
    except TemplateSyntaxError as error:
        raise TemplateNotValid(f"The template cannot be read: {error}") from error


@transaction.atomic
def save_template(*, occasion: str, subject: str, body: str, actor: Actor, at: datetime) -> None:
    """Replace the words of an occasion; both empty brings back those that ship.

    Raises:
        TemplateNotValid: when there is no such occasion, or a template cannot be used.
    """
    if occasion not in OCCASIONS:
        raise TemplateNotValid(f"There is no occasion {occasion}; there are {', '.join(OCCASIONS)}.")
    check_template(subject)
    check_template(body)
    before = MessageTemplate.objects.filter(pk=occasion).values("subject", "body").first()
    if not subject.strip() and not body.strip():
        MessageTemplate.objects.filter(pk=occasion).delete()
    else:
        MessageTemplate.objects.update_or_create(occasion=occasion, defaults={"subject": subject, "body": body})
    after = {"subject": subject, "body": body}
    audit.record(actor=actor, action="change message", subject=f"message {occasion}", before=before, after=after, at=at)


def values_of(incident: Incident, config: IncidentConfiguration, **more: Any) -> dict[str, Any]:
    """What a template is given: plain texts and numbers."""
    link = f"{config.console_url.rstrip('/')}/incidents/{incident.pk}" if config.console_url else ""
    return {
        "number": incident.pk,
        "title": incident.title,
        "kind": str(incident.kind),
        "state": str(incident.state),
        "priority": f"P{incident.priority}",
        "node": incident.node_name,
        "area": incident.area_name,
        "meters": incident.meters,
        "premises": incident.premises,
        "critical": incident.critical,
        "unserved_kw": round(incident.unserved_kva * 0.95),
        "unserved_kwh": round(incident.unserved_kwh),
        "reads_at_risk": incident.reads_at_risk,
        "owner": incident.owner,
        "team": incident.team,
        "resolution": incident.resolution,
        "started": f"{timezone.localtime(incident.started_at):%Y-%m-%d %H:%M}",
        "link": link,
        **more,
    }
