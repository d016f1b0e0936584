"""Sending: durable jobs, one channel after another at its own pace, so that a dead sink holds up nobody but itself.

A message may go out twice (a kill between the sink's yes and ours); its `delivery` name stays the same, so a receiver can tell.
"""

import hashlib
import hmac
import json
import logging
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction

from meterops.kernel import hints, jobs
from meterops.kernel.actor import Actor, process_actor
from meterops.kernel.models import JobState
from meterops.practices.incidents import rules, templates
from meterops.practices.incidents.messages import MESSAGE_JOB
from meterops.practices.incidents.models import Channel, Message
from meterops.practices.incidents.refusals import ChannelUnknown
from meterops.practices.incidents.sealing import SealBroken, unseal
from meterops.practices.incidents.timeline import EntryKind, note

log = logging.getLogger(__name__)
MAILMAN = process_actor("notifications")
LEASE: Final = timedelta(seconds=12)
SINK_TIMEOUT_S: Final = 10.0
PER_CHANNEL: Final = 20
PASS_S: Final = 20.0
"""A channel's turn: so many messages, or so long."""
CHANNELS_AT_ONCE: Final = 8
SIGNATURE_HEADER: Final = "X-Meterops-Signature"
DELIVERY_HEADER: Final = "X-Meterops-Delivery"
DIGESTED: Final = frozenset({"EMAIL", "CHAT"})
"""Sorts of channels that people read. Programs get every message."""
DIGEST_FROM: Final = 5
DIGEST_LINES: Final = 100
BURST: Final = 10
BURST_WITHIN: Final = timedelta(seconds=60)
HELD_FOR: Final = timedelta(seconds=30)
_CHAT_FORMAT: Final = "text"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message with where it goes, taken out of the store so that a thread can send it."""

    message_id: int
    job_id: int
    delivery: str
    sort: str
    address: str
    secret: str
    subject: str
    body: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    letter: Letter
    error: str = ""
    was_tried: bool = True


def deliver_messages(*, owner: str, now: datetime, limit: int = 200) -> int:
    """Send what is due on every channel that `owner` gets hold of. Returns how many messages went out.

    Call it from one thread per owner; several owners share the channels between them.
    """
    claimed = jobs.claim(
        owner=owner, kinds=(MESSAGE_JOB,), now=now, lease=LEASE, new_keys=CHANNELS_AT_ONCE, limit=limit
    )
    if not claimed:
        return 0
    try:
        by_channel: dict[str, list[Letter]] = {}
        for job, letter in _letters(owner, claimed, now):
            by_channel.setdefault(job.key, []).append(letter)
        by_channel = {key: letters for key, letters in by_channel.items() if not _is_held(owner, letters, now)}
        if not by_channel:
            return 0
        with ThreadPoolExecutor(min(len(by_channel), CHANNELS_AT_ONCE), thread_name_prefix="messages") as pool:
            sending = [pool.submit(_send_channel, letters) for letters in by_channel.values()]
            _hold_leases(owner, sending, now)
            parts = [one.result() for one in sending]
        return sum(_settle(owner, outcomes, now) for outcomes in parts)
    finally:
        jobs.release(owner=owner, keys={job.key for job in claimed})


def _hold_leases(owner: str, sending: Sequence[Future[Any]], now: datetime) -> None:
    """Prolong the leases while a slow sink takes its time, so that they can be short and a dead engine's run out soon."""
    started, pending = time.monotonic(), set(sending)
    while pending:
        _, pending = wait(pending, timeout=LEASE.total_seconds() / 3)
        if pending:
            jobs.renew(owner=owner, now=now + timedelta(seconds=time.monotonic() - started), lease=LEASE)


def _letters(owner: str, claimed: Sequence[jobs.ClaimedJob], now: datetime) -> list[tuple[jobs.ClaimedJob, Letter]]:
    rows = Message.objects.select_related("channel").in_bulk([job.payload["message"] for job in claimed])
    letters = []
    for job in claimed:
        row = rows.get(job.payload["message"])
        if row is None or row.state != "WAITING":
            jobs.finish(owner=owner, job_ids=[job.id], now=now, outcome="gone")
            continue
        if not row.channel.enabled:
            jobs.postpone(owner=owner, job_ids=[job.id], now=now, due_at=now + rules.LONGEST_NOTIFY_PAUSE)
            continue
        try:
            address = unseal(row.channel.address, f"address of {row.channel.name}")
            secret = unseal(row.channel.secret, f"secret of {row.channel.name}") if row.channel.secret else ""
        except SealBroken as error:
            address, secret = "", str(error)
        letters.append(
            (
                job,
                Letter(
                    row.pk,
                    job.id,
                    row.unique_name,
                    row.channel.sort,
                    address,
                    secret,
                    row.subject,
                    row.body,
                    row.document,
                ),
            )
        )
    return letters


def _is_held(owner: str, letters: Sequence[Letter], now: datetime) -> bool:
    """Whether a channel that people read had its fill within the last minute: what comes now goes out together, a little later."""
    if letters[0].sort not in DIGESTED:
        return False
    channel = Message.objects.filter(pk=letters[0].message_id).values("channel_id")
    recent = Message.objects.filter(channel_id__in=channel, sent_at__gt=now - BURST_WITHIN).count()
    if recent < BURST:
        return False
    jobs.postpone(owner=owner, job_ids=[letter.job_id for letter in letters], now=now, due_at=now + HELD_FOR)
    return True


def _send_channel(letters: Sequence[Letter]) -> list[_Outcome]:
    """Send what is due on one channel: one by one, or where people read it and much has come, as one digest."""
    if letters[0].sort in DIGESTED and len(letters) >= DIGEST_FROM:
        error = send(digest_of(letters))
        return [_Outcome(letter, error) for letter in letters]
    return _send_in_order(letters)


def digest_of(letters: Sequence[Letter]) -> Letter:
    """One letter that stands for many, the most urgent first: in a storm nobody reads a hundred mails."""
    first = letters[0]
    lines = "\n".join(letter.subject for letter in letters[:DIGEST_LINES])
    more = f"\nand {len(letters) - DIGEST_LINES:,} more." if len(letters) > DIGEST_LINES else ""
    return replace(
        first,
        delivery=f"digest:{first.delivery}",
        subject=f"{len(letters):,} messages, the first: {first.subject}"[:300],
        body=f"{len(letters):,} messages came within a minute:\n\n{lines}{more}\n",
    )


def _send_in_order(letters: Sequence[Letter]) -> list[_Outcome]:
    """Send a channel's letters one by one; after a failure the rest waits with it, for the sink is not well."""
    outcomes: list[_Outcome] = []
    until = time.monotonic() + PASS_S
    for place, letter in enumerate(letters):
        if place >= PER_CHANNEL:
            break
        if time.monotonic() > until:
            break  # what is left is due still
        error = send(letter)
        outcomes.append(_Outcome(letter, error))
        if error:
            outcomes += [_Outcome(rest, error, was_tried=False) for rest in letters[place + 1 :]]
            break
    return outcomes


def send(letter: Letter) -> str:
    """Hand a letter to its sink. Returns what went wrong in words, nothing where the sink took it. Never raises."""
    try:
        if not letter.address:
            return letter.secret or "the channel has no address"
        if letter.address.startswith(("http://", "https://")):
            return _post_signed(letter)
        return _notify(letter)
    except Exception as error:  # a sink may fail in any way; the message is kept and tried again
        return f"{type(error).__name__}: {error}"[:500]


def sign(secret: str, moment: int, body: bytes) -> str:
    """The signature a webhook carries: HMAC-SHA256 over the moment, a dot and the body, so that an old one cannot be replayed."""
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def _post_signed(letter: Letter) -> str:
    document = {"delivery": letter.delivery, "subject": letter.subject, "text": letter.body, **letter.document}
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "meterops",
        SIGNATURE_HEADER: sign(letter.secret, int(time.time()), body),
        DELIVERY_HEADER: letter.delivery,
    }
    request = urllib.request.Request(letter.address, body, headers, method="POST")  # noqa: S310  checked in `send`
    try:
        with _opener.open(request, timeout=SINK_TIMEOUT_S) as answer:
            answer.read(1024)
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return f"the sink answered {error.code} {error.reason}"
    except (urllib.error.URLError, OSError) as error:
        return f"the sink cannot be reached: {getattr(error, 'reason', error)}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A signed document goes where an operator said, and nowhere else."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow none: the answer counts as a failure."""
        return


_opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))


class _Said(logging.Handler):
    """What the library logs in one thread: its only way of telling why something failed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line of this thread."""
        if record.thread == self._thread:
            self.lines.append(record.getMessage())


_loading = threading.Lock()


def _notify(letter: Letter) -> str:
    with _loading, warnings.catch_warnings():
        # The library loads all its services on first use, and some look at modules that Python is about to drop.
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise

        sink = apprise.Apprise.instantiate(letter.address, suppress_exceptions=True)
    if sink is None:
        return "the notification library does not know such an address"
    logger, said = logging.getLogger("apprise"), _Said()
    logger.addHandler(said)
    was_propagating, logger.propagate = logger.propagate, False
    try:
        taken = sink.notify(body=letter.body, title=letter.subject, body_format=_CHAT_FORMAT)
    finally:
        logger.removeHandler(said)
        logger.propagate = was_propagating
    return "" if taken else (said.lines[-1] if said.lines else "the sink did not take it")[:500]


@transaction.atomic
def _settle(owner: str, outcomes: Sequence[_Outcome], now: datetime) -> int:
    sent = 0
    for outcome in outcomes:
        letter = outcome.letter
        message = Message.objects.select_for_update().select_related("channel", "incident").get(pk=letter.message_id)
        if message.state != "WAITING":
            continue
        if not outcome.error:
            sent += _note_sent(owner, letter, message, now)
        else:
            _note_failed(owner, outcome, message, now)
    hints.publish("channels")
    return sent


def _note_sent(owner: str, letter: Letter, message: Message, now: datetime) -> int:
    message.state, message.sent_at, message.attempts = "SENT", now, message.attempts + 1
    message.save(update_fields=["state", "sent_at", "attempts"])
    jobs.finish(owner=owner, job_ids=[letter.job_id], now=now)
    Channel.objects.filter(pk=message.channel_id).update(failures=0, last_error="", last_sent_at=now)
    note(
        message.incident,
        EntryKind.MESSAGE,
        f"{message.channel.name} told: {message.subject}",
        actor=MAILMAN,
        at=now,
        unique_name=f"message:{message.pk}:sent",
    )
    return 1


def _note_failed(owner: str, outcome: _Outcome, message: Message, now: datetime) -> None:
    if outcome.was_tried:
        message.attempts, message.last_error = message.attempts + 1, outcome.error
        channel = message.channel
        Channel.objects.filter(pk=channel.pk).update(failures=channel.failures + 1, last_error=outcome.error)
    if message.attempts >= rules.NOTIFY_ATTEMPTS:
        message.state = "FAILED"
        jobs.finish(owner=owner, job_ids=[outcome.letter.job_id], now=now, state=JobState.FAILED, outcome=outcome.error)
        note(
            message.incident,
            EntryKind.MESSAGE,
            f"{message.channel.name} could not be told after {message.attempts} tries: {outcome.error}",
            actor=MAILMAN,
            at=now,
            unique_name=f"message:{message.pk}:failed",
        )
    else:
        failures = Channel.objects.values_list("failures", flat=True).get(pk=message.channel_id)
        message.due_at = now + rules.notify_pause(max(message.attempts, failures if not outcome.was_tried else 0))
        jobs.postpone(owner=owner, job_ids=[outcome.letter.job_id], now=now, due_at=message.due_at)
    message.save(update_fields=["attempts", "last_error", "state", "due_at"])


def test_channel(*, name: str, actor: Actor) -> str:
    """Send a test message to a channel at once. Returns what went wrong in words, nothing where the sink took it.

    Raises:
        ChannelUnknown: when there is none of that name.
    """
    row = Channel.objects.filter(name=name).first()
    if row is None:
        raise ChannelUnknown(f"There is no channel {name}.")
    subject, body = templates.render("TEST", {"actor": str(actor)})
    try:
        address = unseal(row.address, f"address of {name}")
        secret = unseal(row.secret, f"secret of {name}") if row.secret else ""
    except SealBroken as error:
        return str(error)
    return send(Letter(0, 0, f"test:{name}", row.sort, address, secret, subject, body, {"occasion": "TEST"}))


test_channel.__test__ = False  # type: ignore[attr-defined]  # not one of pytest's
