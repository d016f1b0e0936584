"""Who is told: over a real SMTP server and a real HTTP server, in spite of dead sinks, quiet hours and kills."""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.interfaces.console import seed
from tests.practices.incidents.conftest import NOW, WHO, situation
from tests.practices.incidents.sinks import Mailbox, WebSink, free_port, mailbox, web_sink
from tests.practices.incidents.test_opening import tell

from meterops.kernel.models import Job
from meterops.practices.incidents import api as incidents
from meterops.practices.incidents import delivery, rules
from meterops.practices.incidents.delivery import deliver_messages
from meterops.practices.incidents.models import Channel, Incident, IncidentEntry, Message

pytestmark = pytest.mark.django_db
SECRET = "between us"


@pytest.fixture
def mail() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


@pytest.fixture
def web() -> Iterator[WebSink]:
    with web_sink() as sink:
        yield sink


def channel(name: str, sort: str, address: str, **more: object) -> None:
    incidents.save_channel(name=name, sort=sort, address=address, actor=WHO, at=NOW, **more)  # type: ignore[arg-type]


def open_one(number: int = 1, mrid: str = "TR-0001", at: datetime = NOW) -> int:
    tell(situation(number, mrid, at=at))
    return int(Incident.objects.order_by("-pk")[0].pk)


def test_an_outage_is_mailed_with_what_matters(fleet: seed.Fleet, mail: Mailbox) -> None:
    channel("Control room", "EMAIL", mail.address)
    number = open_one()
    assert deliver_messages(owner="a", now=NOW) == 1
    (letter,) = mail.mails
    assert letter["Subject"] == "[P1] Transformer without supply, TR-0001"
    text = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert f"Incident {number} is new" in text
    assert "12 premises, 1 of them critical" in text
    assert deliver_messages(owner="a", now=NOW) == 0, "nothing goes out twice"
    assert "Control room told" in IncidentEntry.objects.order_by("-pk")[0].text


def test_a_webhook_is_signed_so_that_its_receiver_can_check_it(fleet: seed.Fleet, web: WebSink) -> None:
    channel("Ticketing", "WEBHOOK", web.url(), secret=SECRET)
    number = open_one()
    assert deliver_messages(owner="a", now=NOW) == 1
    (got,) = web.received
    moment, _, digest = got.headers[incidents.SIGNATURE_HEADER].partition(",v1=")
    signed = moment.removeprefix("t=").encode() + b"." + got.body
    assert digest == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert got.document["incident"]["number"] == number
    assert got.document["delivery"] == got.headers[incidents.DELIVERY_HEADER]


def test_a_chat_is_told_through_the_library(fleet: seed.Fleet, web: WebSink) -> None:
    channel("Chat", "CHAT", f"json://127.0.0.1:{web.port}/room")
    open_one()
    assert deliver_messages(owner="a", now=NOW) == 1
    assert web.received[0].document["title"] == "[P1] Transformer without supply, TR-0001"


def test_a_dead_sink_holds_up_nobody_but_itself(fleet: seed.Fleet, mail: Mailbox, web: WebSink) -> None:
    channel("Dead", "WEBHOOK", f"http://127.0.0.1:{free_port()}/x", secret=SECRET)
    channel("Mail", "EMAIL", mail.address)
    web.status = 500
    channel("Ill", "WEBHOOK", web.url(), secret=SECRET)
    for number in range(1, 4):
        open_one(number, f"TR-000{number}", NOW + timedelta(seconds=number))
    assert deliver_messages(owner="a", now=NOW + timedelta(seconds=5)) == 3
    assert len(mail.mails) == 3
    assert len(web.received) == 1, "after a failure the rest of the channel waits with it"
    failing = {one.name: one for one in incidents.list_channels() if one.failures}
    assert "the sink answered 500" in failing["Ill"].last_error
    assert "cannot be reached" in failing["Dead"].last_error
    assert failing["Dead"].waiting == 3
    web.status = 200
    assert deliver_messages(owner="a", now=NOW + timedelta(minutes=5)) == 3
    assert incidents.list_channels()[1].failures == 0


def test_a_sink_that_never_comes_back_is_given_up_and_said(fleet: seed.Fleet, mail: Mailbox) -> None:
    mail.refuses = True
    channel("Mail", "EMAIL", mail.address)
    number = open_one()
    now = NOW
    for _ in range(rules.NOTIFY_ATTEMPTS):
        deliver_messages(owner="a", now=now)
        now += timedelta(hours=1)
    (message,) = incidents.list_messages(number)
    assert (message.state, message.attempts) == ("FAILED", rules.NOTIFY_ATTEMPTS)
    assert message.last_error
    assert "could not be told after 12 tries" in incidents.timeline(number)[-1].text
    assert not Job.objects.filter(state="READY").exists()


def test_in_a_storm_people_get_one_mail_and_programs_every_message(
    fleet: seed.Fleet, mail: Mailbox, web: WebSink
) -> None:
    channel("Mail", "EMAIL", mail.address)
    channel("Ticketing", "WEBHOOK", web.url(), secret=SECRET)
    for number in range(1, 25):
        open_one(number, f"TR-000{number % 4}")
    now = NOW + timedelta(seconds=1)
    while incidents.list_channels()[1].waiting:
        deliver_messages(owner="a", now=now)
        now += timedelta(seconds=1)
    assert len(web.received) == 24
    (digest,) = mail.mails
    assert digest["Subject"].startswith("24 messages, the first: [P1] Transformer")
    assert digest.get_body(("plain",)).get_content().count("[P1]") == 24  # type: ignore[union-attr]
    open_one(30, "TR-0001")
    assert deliver_messages(owner="a", now=now) == 1, "the program hears of it at once"
    assert len(mail.mails) == 1
    assert deliver_messages(owner="a", now=now + timedelta(seconds=90)) == 1
    assert mail.mails[1]["Subject"].startswith("[P1]")


def test_a_dead_sink_is_left_alone_whatever_else_is_due(fleet: seed.Fleet, web: WebSink) -> None:
    web.status = 503
    channel("Ill", "WEBHOOK", web.url(), secret=SECRET)
    for number in range(1, 31):
        open_one(number, f"TR-000{number % 4}")
    for second in range(4):
        deliver_messages(owner="a", now=NOW + timedelta(seconds=second))
    assert len(web.received) == 1


def test_a_redirect_is_not_followed(fleet: seed.Fleet, web: WebSink) -> None:
    web.status = 302
    channel("Ticketing", "WEBHOOK", web.url(), secret=SECRET)
    open_one()
    assert deliver_messages(owner="a", now=NOW) == 0
    assert "302" in incidents.list_channels()[0].last_error


def test_quiet_hours_hold_back_all_but_p1(fleet: seed.Fleet, mail: Mailbox) -> None:
    night = datetime(2026, 11, 20, 23, 30, tzinfo=ZoneInfo("Europe/Amsterdam")).astimezone(UTC)
    channel("Mail", "EMAIL", mail.address, quiet=(time(22), time(7)))
    tell(situation(1, "RT-0001", kind="COMMUNICATION", at=night), situation(2, "TR-0002", at=night))
    assert deliver_messages(owner="a", now=night) == 1
    assert mail.mails[0]["Subject"].startswith("[P1] Transformer")
    assert deliver_messages(owner="a", now=night + timedelta(hours=7)) == 0
    assert deliver_messages(owner="a", now=night + timedelta(hours=7, minutes=31)) == 1


def test_a_kill_before_the_settling_sends_again_under_the_same_name(
    fleet: seed.Fleet, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel("Ticketing", "WEBHOOK", web.url(), secret=SECRET)
    open_one()
    with monkeypatch.context() as killed:
        killed.setattr(delivery, "_settle", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        killed.setattr(delivery.jobs, "release", lambda **k: None)
        with pytest.raises(KeyboardInterrupt):
            deliver_messages(owner="a", now=NOW)
    assert deliver_messages(owner="b", now=NOW + timedelta(seconds=10)) == 0, "the lease of the dead one holds yet"
    assert deliver_messages(owner="b", now=NOW + delivery.LEASE) == 1
    first, second = (got.document["delivery"] for got in web.received)
    assert first == second


def test_occasions_are_told_once_each(fleet: seed.Fleet, mail: Mailbox) -> None:
    channel("Mail", "EMAIL", mail.address)
    number = open_one()
    tell(situation(1, "TR-0001"))
    incidents.declare_major(number=number, reason="Press.", actor=WHO, at=NOW)
    incidents.resolve_incident(number=number, resolution="Fuse.", actor=WHO, at=NOW, in_spite_of="crew")
    incidents.close_incident(number=number, reason="Done.", actor=WHO, at=NOW)
    occasions = [message.occasion for message in reversed(incidents.list_messages(number))]
    assert occasions == ["OPENED", "MAJOR", "RESOLVED", "CLOSED"]


def test_a_channel_hears_only_of_its_priorities(fleet: seed.Fleet) -> None:
    channel("Duty", "CHAT", "json://127.0.0.1:9/x", priorities=[3, 4])
    open_one()
    assert not Message.objects.exists()


def test_addresses_and_secrets_lie_sealed(fleet: seed.Fleet) -> None:
    channel("Mail", "EMAIL", "mailto://user:hunter2@mail.example.org?to=a@example.org")
    row = Channel.objects.get()
    assert b"hunter2" not in bytes(row.address)
    Channel.objects.filter(pk=row.pk).update(name="Another")
    assert "does not open" in incidents.test_channel(name="Another", actor=WHO)


@pytest.mark.parametrize(
    ("sort", "address", "said"),
    [
        ("EMAIL", "https://example.org", "starts with a scheme"),
        ("WEBHOOK", "https://example.org", "needs a secret"),
        ("WORK_ORDERS", "mailto://a", "http or https"),
        ("FAX", "tel:1", "its sort is one of"),
        ("EMAIL", "", "needs an address"),
    ],
)
def test_a_channel_that_does_not_fit_together_is_refused(db: None, sort: str, address: str, said: str) -> None:
    with pytest.raises(incidents.ChannelNotValid, match=said):
        channel("One", sort, address)


def test_a_channel_is_tried_at_once(db: None, mail: Mailbox) -> None:
    channel("Mail", "EMAIL", mail.address)
    assert incidents.test_channel(name="Mail", actor=WHO) == ""
    assert mail.mails[0]["Subject"] == "Meterops test message"
    mail.refuses = True
    assert incidents.test_channel(name="Mail", actor=WHO)
    with pytest.raises(incidents.ChannelUnknown):
        incidents.test_channel(name="Nobody", actor=WHO)


def test_words_can_be_replaced_but_reach_nothing(fleet: seed.Fleet, mail: Mailbox) -> None:
    channel("Mail", "EMAIL", mail.address)
    for wrong in ("{% include 'x' %}", "{% load static %}", "{% for a in title %}{% endfor %}", "{{ title"):
        if "{%" in wrong:
            with pytest.raises(incidents.TemplateNotValid):
                incidents.save_template(occasion="OPENED", subject="S", body=wrong, actor=WHO, at=NOW)
    incidents.save_template(
        occasion="OPENED", subject="{{ priority }} {{ node }}", body="Bel {{ area }}!", actor=WHO, at=NOW
    )
    open_one()
    deliver_messages(owner="a", now=NOW)
    assert mail.mails[0]["Subject"] == "P1 TR-0001"
    incidents.save_template(occasion="OPENED", subject="", body="", actor=WHO, at=NOW)
    open_one(2, "TR-0002")
    deliver_messages(owner="a", now=NOW)
    assert mail.mails[1]["Subject"].startswith("[P1]")


def test_every_shipped_template_renders(fleet: seed.Fleet) -> None:
    from meterops.practices.incidents import templates

    open_one()
    given = templates.values_of(Incident.objects.get(), incidents.configuration())
    for occasion in incidents.OCCASIONS:
        subject, body = templates.render(occasion, given)
        assert subject
        assert body
        assert "{" not in subject + body
