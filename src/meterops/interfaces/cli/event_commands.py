"""`meterops events | alarms | situations`: what meters say, what is wrong with single ones, and what explains many of them."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from meterops.interfaces.cli.output import AsJson, answers_refusals, print_json, print_table
from meterops.interfaces.cli.state import open_state, shell_actor

if TYPE_CHECKING:
    from meterops.fleet.telemetry import api as telemetry

alarms_app = typer.Typer(
    no_args_is_help=True, help="Alarms of single devices: find, acknowledge, shelve, and their load."
)
situations_app = typer.Typer(
    no_args_is_help=True, help="Situations: one cause that explains many meters; planned work."
)

Ids = Annotated[list[int], typer.Argument(help="Numbers of alarms.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000)]


def register(program: typer.Typer) -> None:
    """Hang the commands into the main program."""
    program.command("events")(list_events)
    program.command("pushes")(show_pushes)
    program.add_typer(alarms_app, name="alarms")
    program.add_typer(situations_app, name="situations")


@answers_refusals
def list_events(
    meter: Annotated[str, typer.Option(help="Serial number, mRID or id of a meter.")] = "",
    event_type: Annotated[str, typer.Option("--type", help="For example POWER_FAILURE.")] = "",
    code: Annotated[int | None, typer.Option(help="A code as meters number it.")] = None,
    since: Annotated[float, typer.Option(help="Hours back.")] = 24.0,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Device events in words, newest first; unknown codes and unknown meters too."""
    open_state()
    from django.utils import timezone

    from meterops.fleet.inventory import api as inventory
    from meterops.kernel.interval import Interval
    from meterops.practices.events import api as events

    now = timezone.now()
    events.check_event_type(event_type)
    found = events.explore_events(
        end_device_id=inventory.get_end_device(meter).id if meter else None,
        code=code,
        event_type=event_type,
        period=Interval(now - timedelta(hours=since), now + timedelta(days=1)),
        limit=limit,
    )
    if as_json:
        print_json(found)
        return
    print_table(
        ("Occurred", "Received", "Meter", "Event", "Severity", "Log", "Code", "Origin"),
        [
            (
                e.occurred_at,
                e.received_at,
                e.serial or e.identity,
                e.words,
                e.severity.lower(),
                e.log,
                str(e.code),
                e.origin,
            )
            for e in found
        ],
        empty="No event in this time.",
    )


@answers_refusals
def show_pushes(
    since: Annotated[float, typer.Option(min=0, help="Hours back.")] = 24.0,
    outcome: Annotated[str, typer.Option(help="List the frames with this outcome instead, for example replay.")] = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """What became of what meters pushed: stored, or dropped and why; and what the listeners turned away."""
    open_state()
    from django.utils import timezone

    from meterops.fleet.headend import api as headend
    from meterops.fleet.telemetry import api as telemetry

    now = timezone.now()
    if outcome:
        headend.check_outcome(outcome)
        _print_frames(telemetry.list_notifications(telemetry.lake(), outcome=outcome, limit=limit), as_json=as_json)
        return
    report = headend.push_report(telemetry.lake(), since=now - timedelta(hours=since), now=now)
    if as_json:
        print_json(report)
        return
    print_table(
        ("Outcome", "Frames", "Senders", "Last", "What that is"),
        [(one.outcome, one.frames, one.senders, one.last_at, one.words) for one in report.outcomes],
        empty="Nothing was pushed in this time.",
    )
    print_table(
        ("Listener", "State", "Port", "Connections", "Frames", "Turned away since it started"),
        [
            (
                one.process,
                "alive" if one.is_alive else "silent",
                str(one.port),
                one.connections,
                one.frames,
                ", ".join(f"{count:,} {reason}" for reason, count in sorted(one.dropped.items())) or "–",
            )
            for one in report.listeners
        ],
        empty="No listener runs.",
    )


def _print_frames(found: "list[telemetry.NotificationRow]", *, as_json: bool) -> None:
    if as_json:
        print_json([{**asdict(one), "payload": one.payload.hex()} for one in found])
        return
    print_table(
        ("Received", "From", "Sender", "Octets", "Detail"),
        [(one.received_at, f"{one.peer} {one.transport}", one.identity, len(one.payload), one.detail) for one in found],
        empty="No frame has this outcome.",
    )


@alarms_app.command("list")
@answers_refusals
def list_alarms(
    event_type: Annotated[str, typer.Option("--type", help="For example METER_COVER_REMOVED.")] = "",
    severity: Annotated[str, typer.Option(help="INFORMATIONAL, WARNING or EXCEPTION.")] = "",
    meter: Annotated[str, typer.Option(help="Serial number, mRID or id of a meter.")] = "",
    security: Annotated[bool, typer.Option("--security", help="Only those that concern security.")] = False,
    shelved: Annotated[bool, typer.Option("--shelved", help="Those that are shelved instead.")] = False,
    cleared: Annotated[bool, typer.Option("--cleared", help="Those that are over instead.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Active alarms, the newest first."""
    open_state()
    from meterops.fleet.inventory import api as inventory
    from meterops.practices.events import api as events

    wanted = events.AlarmFilter(
        state="CLEARED" if cleared else "ACTIVE",
        event_type=event_type,
        severity=severity.upper(),
        end_device_id=inventory.get_end_device(meter).id if meter else None,
        is_security=True if security else None,
        shelved=None if cleared else shelved,
    ).checked()
    page = events.list_alarms(wanted, limit=limit)
    if as_json:
        print_json(page)
        return
    print_table(
        ("Number", "Raised", "Meter", "Alarm", "Severity", "Times", "Last", "Seen by", "Shelved until"),
        [
            (
                a.id,
                a.raised_at,
                a.serial,
                a.words,
                a.severity.lower(),
                a.occurrences,
                a.last_at,
                a.acknowledged_by,
                a.shelved_until,
            )
            for a in page.alarms
        ],
        empty="No alarm fits.",
    )


@alarms_app.command("ack")
@answers_refusals
def acknowledge(ids: Ids) -> None:
    """Say that you have seen alarms."""
    open_state()
    from django.utils import timezone

    from meterops.practices.events import api as events

    done = events.acknowledge_alarms(alarm_ids=ids, actor=shell_actor(), at=timezone.now())
    typer.echo(f"{done} acknowledged")


@alarms_app.command("shelve")
@answers_refusals
def shelve(
    ids: Ids,
    hours: Annotated[float, typer.Option(min=0.01, max=168, help="For how long.")],
    reason: Annotated[str, typer.Option(help="Why.")],
) -> None:
    """Take alarms out of the line; they come back by themselves."""
    open_state()
    from django.utils import timezone

    from meterops.practices.events import api as events

    now = timezone.now()
    done = events.shelve_alarms(
        alarm_ids=ids, until=now + timedelta(hours=hours), reason=reason, actor=shell_actor(), at=now
    )
    typer.echo(f"{done} shelved")


@alarms_app.command("unshelve")
@answers_refusals
def unshelve(ids: Ids) -> None:
    """Put shelved alarms back in line."""
    open_state()
    from django.utils import timezone

    from meterops.practices.events import api as events

    done = events.unshelve_alarms(alarm_ids=ids, actor=shell_actor(), at=timezone.now())
    typer.echo(f"{done} back in line")


@alarms_app.command("health")
@answers_refusals
def health(
    positions: Annotated[int, typer.Option(min=1, help="Operators on duty.")] = 1, as_json: AsJson = False
) -> None:
    """The load of alarms by the figures of ISA-18.2 and EEMUA 191. Exit code 1 during a flood."""
    open_state()
    from django.utils import timezone

    from meterops.practices.events import api as events

    found = events.alarm_health(now=timezone.now(), positions=positions)
    if as_json:
        print_json(found)
    else:
        mix = ", ".join(f"P{n} {share:.0%}" for n, share in enumerate(found.mix, 1))
        print_table(
            ("Measure", "Now", "Aim"),
            [
                ("alarms an hour and position", f"{found.per_hour:g}", "6"),
                ("most in ten minutes", f"{found.peak_per_window:g}", "10"),
                ("time in flood", f"{found.flood.share:.1%}", "under 1 %"),
                ("standing", str(found.standing), "–"),
                ("standing over 24 h", str(found.stale), "under 5"),
                ("chattering", str(found.chattering), "0"),
                ("shelved", str(found.shelved), "–"),
                ("shelved past their end", str(found.shelved_past_end), "0"),
                ("meters suppressed by planned work", str(found.suppressed), "–"),
                ("priorities", mix, "80/15/5 from the lowest"),
                ("ten commonest, share of all", f"{found.top_share:.0%}", "under 5 %"),
            ],
        )
    if found.flood.is_flooded_now:
        raise typer.Exit(1)


@alarms_app.command("noisy")
@answers_refusals
def noisy(hours: Annotated[float, typer.Option(min=0.1)] = 24.0, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Devices that raised most alarms."""
    open_state()
    from django.utils import timezone

    from meterops.practices.events import api as events

    found = events.noisy_devices(since=timezone.now() - timedelta(hours=hours), limit=limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("Meter", "Alarms", "Times"), [(d.serial, d.alarms, d.occurrences) for d in found], empty="None raised any."
    )


@situations_app.command("list")
@answers_refusals
def list_situations(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Open situations, the newest first."""
    open_state()
    from meterops.practices.events import api as events

    found = events.list_situations(state="" if everything else "OPEN", limit=limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("Since", "What", "Where", "State", "Heard", "Silent", "Answered", "Of", "Power", "Communication", "Sure"),
        [
            (
                s.started_at, s.kind.lower(), s.node_name or s.node_mrid, s.state.lower(), s.heard, s.silent, s.answered,
                s.expected, f"{s.power_score:.0%}", f"{s.communication_score:.0%}", f"{s.confidence:.0%}",
            )
            for s in found
        ],
        empty="No situation.",
    )  # fmt: skip


@situations_app.command("show")
@answers_refusals
def show_situation(situation: str, as_json: AsJson = False) -> None:
    """One situation and why it is one."""
    open_state()
    from meterops.practices.events import api as events

    found = events.get_situation(situation)
    if as_json:
        print_json(found)
        return
    typer.echo(found.sentence)
    print_table(
        ("Figure", "Value"),
        [
            ("id", found.id),
            ("state", found.state.lower() + (f", {found.reason.lower()}" if found.reason else "")),
            ("root", f"{found.node_mrid} in the {found.tree.lower()} tree"),
            ("since", found.started_at),
            ("better explanation", f"power {found.power_score:.0%}, communication {found.communication_score:.0%}"),
            ("confidence", f"{found.confidence:.0%}"),
            ("restored", found.restored),
        ],
    )


@situations_app.command("plan")
@answers_refusals
def plan(
    node: Annotated[str, typer.Argument(help="mRID of a node of the grid.")],
    starts_at: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"])],
    ends_at: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"])],
    reason: Annotated[str, typer.Option(help="What is done there.")],
) -> None:
    """Plan work on a node, in local time: nothing is opened below it meanwhile."""
    open_state()
    from django.utils import timezone

    from meterops.practices.events import api as events

    number = events.plan_work(
        node_mrid=node,
        starts_at=timezone.make_aware(starts_at),
        ends_at=timezone.make_aware(ends_at),
        reason=reason,
        actor=shell_actor(),
        at=timezone.now(),
    )
    typer.echo(f"planned as number {number}")


@situations_app.command("planned")
@answers_refusals
def planned(
    everything: Annotated[bool, typer.Option("--all", help="Also what is over or cancelled.")] = False,
    as_json: AsJson = False,
) -> None:
    """Planned work, the next first."""
    open_state()
    from django.utils import timezone

    from meterops.practices.events import api as events

    found = events.list_planned_work(now=timezone.now(), include_over=everything)
    if as_json:
        print_json(found)
        return
    print_table(
        ("Number", "Node", "From", "To", "Reason", "Planned by"),
        [(w.id, w.node_mrid, w.starts_at, w.ends_at, w.reason, w.planned_by) for w in found],
        empty="Nothing is planned.",
    )


@situations_app.command("cancel-plan")
@answers_refusals
def cancel_plan(number: int, reason: Annotated[str, typer.Option(help="Why.")] = "") -> None:
    """Cancel planned work."""
    open_state()
    from django.utils import timezone

    from meterops.practices.events import api as events

    events.cancel_planned_work(work_id=number, actor=shell_actor(), at=timezone.now(), reason=reason)
    typer.echo("cancelled")
