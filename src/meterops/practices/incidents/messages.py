"""Who is told: channels, and the messages made for them in the transaction of what they tell of. Sending is `delivery`'s."""

from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from django.db import transaction

from meterops.kernel import audit, jobs
from meterops.kernel.actor import Actor
from meterops.practices.incidents import rules, templates
from meterops.practices.incidents.configuration import configuration, local_zone
from meterops.practices.incidents.lifecycle import Priority
from meterops.practices.incidents.models import Channel, Incident, Message
from meterops.practices.incidents.refusals import ChannelNotValid, ChannelUnknown
from meterops.practices.incidents.sealing import seal

MESSAGE_JOB: Final = "incidents.message"
SORTS: Final = ("EMAIL", "CHAT", "WEBHOOK", "WORK_ORDERS")
_SIGNED: Final = ("WEBHOOK", "WORK_ORDERS")
_KEPT_FOR: Final = timedelta(days=2)


def channel_key(channel_id: int) -> str:
    """The lease key of a channel: its messages go out one after the other, and a dead one holds up only itself."""
    return f"channel:{channel_id}"


@transaction.atomic
def save_channel(
    *,
    name: str,
    sort: str,
    actor: Actor,
    at: datetime,
    address: str = "",
    secret: str = "",
    priorities: Sequence[int] = (1, 2, 3, 4),
    quiet: tuple[time, time] | None = None,
    quiet_through: int = 1,
    enabled: bool = True,
) -> int:
    """Create a channel, or change the one of that name; an empty address or secret keeps what is stored.

    `address` is one of the notification library (`mailto://...`, `slack://...`, `json://...`), or for WEBHOOK and WORK_ORDERS an
    http(s) address that gets signed JSON.

    Raises:
        ChannelNotValid: with the sentence that says what does not fit.
    """
    present = Channel.objects.select_for_update().filter(name=name).first()
    _check(name, sort, address, present, priorities)
    row = present or Channel(name=name)
    row.sort, row.enabled, row.priorities = sort, enabled, sorted({int(one) for one in priorities})
    row.quiet_from, row.quiet_until = quiet or (None, None)
    row.quiet_through = quiet_through
    if address:
        row.address, row.failures, row.last_error = seal(address, f"address of {name}"), 0, ""
    if secret:
        row.secret = seal(secret, f"secret of {name}")
    if sort in _SIGNED and not row.secret and urlsplit(address).scheme in {"http", "https"}:
        raise ChannelNotValid(f"The channel {name} is not saved: a webhook needs a secret to be signed with.")
    row.save()
    audit.record(
        actor=actor,
        action="save channel",
        subject=f"channel {name}",
        after={"sort": sort, "enabled": enabled, "priorities": row.priorities, "address": "sealed"},
        at=at,
    )
    return int(row.pk)


def _check(name: str, sort: str, address: str, present: Channel | None, priorities: Iterable[int]) -> None:
    if not name.strip():
        raise ChannelNotValid("A channel needs a name.")
    if sort not in SORTS:
        raise ChannelNotValid(f"The channel {name} is not saved: its sort is one of {', '.join(SORTS)}.")
    if present is None and not address:
        raise ChannelNotValid(f"The channel {name} is not saved: it needs an address.")
    if set(priorities) - {int(one) for one in Priority}:
        raise ChannelNotValid(f"The channel {name} is not saved: priorities go from 1 to 4.")
    if address:
        scheme = urlsplit(address).scheme
        if sort == "WORK_ORDERS" and scheme not in {"http", "https"}:
            raise ChannelNotValid(f"The channel {name} is not saved: work orders go to an http or https address.")
        if sort in {"EMAIL", "CHAT"} and scheme in {"", "http", "https"}:
            raise ChannelNotValid(
                f"The channel {name} is not saved: its address starts with a scheme such as mailto:// or slack://."
            )


@transaction.atomic
def delete_channel(*, name: str, actor: Actor, at: datetime) -> None:
    """Remove a channel with its messages.

    Raises:
        ChannelUnknown: when there is none of that name.
    """
    deleted, _ = Channel.objects.filter(name=name).delete()
    if not deleted:
        raise ChannelUnknown(f"There is no channel {name}.")
    audit.record(actor=actor, action="delete channel", subject=f"channel {name}", at=at)


def make_messages(
    incident: Incident,
    occasion: str,
    *,
    at: datetime,
    channels: Sequence[str] | None = None,
    again: datetime | str = "",
    **values: Any,
) -> int:
    """Make an occasion's messages, once however often that is called, in the caller's transaction. Returns how many are new.

    Without `channels` those are told that want the incident's priority. `again` tells a second occasion of the kind from the first.
    """
    found = Channel.objects.filter(enabled=True).exclude(sort="WORK_ORDERS")
    if channels is not None:
        wanted = list(found.filter(name__in=channels))
    else:
        wanted = [channel for channel in found if incident.priority in channel.priorities]
    return queue_messages(incident, occasion, wanted, at=at, again=str(again), **values) if wanted else 0


def queue_messages(
    incident: Incident,
    occasion: str,
    channels: Sequence[Channel],
    *,
    at: datetime,
    again: str = "",
    document: dict[str, Any] | None = None,
    **values: Any,
) -> int:
    """Write messages and the jobs that send them."""
    config, zone = configuration(), local_zone()
    given = templates.values_of(incident, config, **values)
    subject, body = templates.render(occasion, given)
    rows = []
    for channel in channels:
        quiet = None
        if channel.quiet_from is not None and channel.quiet_until is not None:
            quiet = rules.QuietHours(channel.quiet_from, channel.quiet_until, Priority(channel.quiet_through))
        due_at = rules.send_at(at, Priority(incident.priority), quiet, zone)
        rows.append(
            Message(
                incident=incident,
                channel=channel,
                occasion=occasion,
                unique_name=f"{incident.pk}:{occasion}:{again}:{channel.pk}",
                subject=subject,
                body=body,
                document=document or {"occasion": occasion, "incident": given},
                created_at=at,
                due_at=due_at,
            )
        )
    names = [row.unique_name for row in rows]
    known = set(Message.objects.filter(unique_name__in=names).values_list("unique_name", flat=True))
    fresh = [row for row in rows if row.unique_name not in known]
    if not fresh:
        return 0
    Message.objects.bulk_create(fresh, ignore_conflicts=True)
    fresh_names = [row.unique_name for row in fresh]
    stored = Message.objects.filter(unique_name__in=fresh_names).values_list("pk", "channel_id", "due_at")
    jobs.enqueue(
        (
            jobs.NewJob(
                kind=MESSAGE_JOB,
                key=channel_key(channel_id),
                due_at=due_at,
                lane=10 * incident.priority,
                payload={"message": pk},
                deadline_at=due_at + _KEPT_FOR,
                unique_name=f"{MESSAGE_JOB}:{pk}",
            )
            for pk, channel_id, due_at in stored
        ),
        now=at,
    )
    return len(fresh)
