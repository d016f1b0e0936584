"""`meterops incidents`: see what is wrong, and carry it to its end."""

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterops.interfaces.cli.output import (
    EXIT_FAILED,
    EXIT_USAGE,
    AsJson,
    answers_refusals,
    local_time,
    print_json,
    print_table,
    refuse,
)
from meterops.interfaces.cli.state import open_state, shell_actor

if TYPE_CHECKING:
    from meterops.practices.incidents.api import IncidentRow, IncidentView

app = typer.Typer(no_args_is_help=True, help="Incidents: what is wrong, how bad it is, and who works on it.")

Number = Annotated[int, typer.Argument(help="The incident's number.")]
Numbers = Annotated[list[int], typer.Argument(help="Numbers of incidents.")]
Reason = Annotated[str, typer.Option(help="Why, for the timeline and the audit log.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, not even for many.")]
ASKS_FROM = 10
"""From so many incidents on a bulk act asks first."""


def register(program: typer.Typer) -> None:
    """Hang the group into the main program."""
    program.add_typer(app, name="incidents")


# --- looking --------------------------------------------------------------------------------------------------------


@app.command("list")
@answers_refusals
def list_incidents(
    state: Annotated[list[str] | None, typer.Option(help="NEW, ASSIGNED ...; those not closed when not given.")] = None,
    priority: Annotated[list[int] | None, typer.Option(min=1, max=4)] = None,
    kind: Annotated[list[str] | None, typer.Option(help="OUTAGE, COMMUNICATION, PHASE, SAFETY.")] = None,
    owner: Annotated[str | None, typer.Option(help='A name; "" for those that nobody owns.')] = None,
    unacknowledged: Annotated[bool, typer.Option("--unacknowledged", help="Only those nobody has seen.")] = False,
    text: Annotated[str, typer.Option(help="Part of the title, or a number.")] = "",
    sort: Annotated[str, typer.Option(help="priority, newest, oldest, premises, area, owner.")] = "priority",
    page: Annotated[int, typer.Option(min=1)] = 1,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: AsJson = False,
) -> None:
    """The queue: the worst first, then what nobody has acknowledged, then the oldest."""
    open_state()
    from meterops.practices.incidents import api as incidents

    if sort not in incidents.SORTS:
        refuse(f"{sort} is no order; one of {', '.join(incidents.SORTS)} is.", EXIT_USAGE)
    wanted = incidents.QueueFilter(
        states=tuple(member_of(incidents.IncidentState, one) for one in state or ()),
        priorities=tuple(priority or ()),
        kinds=tuple(member_of(incidents.IncidentKind, one) for one in kind or ()),
        owner=owner,
        acknowledged=False if unacknowledged else None,
        text=text,
    )
    found = incidents.incident_queue(wanted, sort=sort, page=page, size=limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("Number", "P", "What", "State", "Premises", "Critical", "kWh", "Reads", "Since", "Owner", "Seen by"),
        [_line(row) for row in found.rows],
        empty="No incident matches." if wanted != incidents.QueueFilter() else "Nothing is wrong: no open incident.",
    )
    if found.pages > 1:
        typer.echo(f"Page {found.page} of {found.pages}, {found.total:,} incidents.")


def member_of(kind: Any, text: str) -> Any:
    """The member of an enumeration that a person typed; leaves with exit code 2 where there is none."""
    try:
        return kind(text.strip().upper().replace(" ", "_").replace("-", "_"))
    except ValueError:
        refuse(f"{text} is none of {', '.join(kind)}.", EXIT_USAGE)


def _line(row: "IncidentRow") -> tuple[object, ...]:
    return (
        str(row.number),
        f"P{row.priority.value}{' MAJOR' if row.is_major else ''}",
        row.title + (f" (+{row.children})" if row.children else ""),
        row.state.replace("_", " ").lower(),
        row.premises,
        row.critical,
        round(row.unserved_kwh),
        row.reads_at_risk,
        row.started_at,
        row.owner or row.team or "–",
        row.acknowledged_by or "–",
    )


@app.command("counts")
@answers_refusals
def show_counts(as_json: AsJson = False) -> None:
    """How many there are, by priority and state."""
    open_state()
    from meterops.practices.incidents import api as incidents

    found = incidents.incident_counts()
    if as_json:
        print_json(found)
        return
    by_priority = ", ".join(f"P{p} {n:,}" for p, n in found.by_priority.items())
    typer.echo(f"{found.open:,} open ({by_priority}), {found.unacknowledged:,} not acknowledged, {found.major:,} major")
    typer.echo(f"{found.premises_without_supply:,} premises without supply, {found.reads_at_risk:,} reads at risk")


@app.command("show")
@answers_refusals
def show(number: Number, as_json: AsJson = False) -> None:
    """One incident: figures, timeline, checks, work orders, and what was done last time."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    view = incidents.get_incident(number)
    lines = incidents.timeline(number)
    similar = incidents.similar_incidents(number, now=utc_now())
    if as_json:
        print_json({"incident": _flat(view), "timeline": lines, "similar": similar})
        return
    _print_incident(view)
    print_table(("At", "Who", "What"), [(e.at, e.actor, e.text) for e in lines], title="Timeline")
    if similar:
        print_table(
            ("Number", "Likeness", "Minutes", "What ended it"),
            [(str(s.number), f"{s.likeness:.0%}", s.minutes_to_restore, s.resolution[:80] or "–") for s in similar],
            title="What was done last time",
        )


def _flat(view: "IncidentView") -> dict[str, Any]:
    from dataclasses import asdict

    plain = asdict(view)
    return {**plain.pop("row"), **plain}


def _print_incident(view: "IncidentView") -> None:
    row = view.row
    typer.echo(f"Incident {row.number}: {row.title}")
    major = ", MAJOR" if row.is_major else ""
    typer.echo(
        f"P{row.priority.value}{major}, {row.state.replace('_', ' ').lower()}, since {local_time(row.started_at)}"
    )
    typer.echo(
        f"{row.meters:,} meters, {row.premises:,} premises, {row.critical:,} critical; {row.unserved_kva:,.0f} kVA not "
        f"served, {row.unserved_kwh:,.0f} kWh so far; {row.reads_at_risk:,} reads at risk"
    )
    typer.echo(
        f"heard {row.heard:,}, silent {row.silent:,}, answered {row.answered:,} of {row.expected:,}; power "
        f"{view.power_score:.0%}, communication {view.communication_score:.0%}, confidence {row.confidence:.0%}"
    )
    seen = f"{row.acknowledged_by}, {local_time(row.acknowledged_at)}" if row.is_acknowledged else "nobody"
    typer.echo(f"owner {row.owner or row.team or 'nobody'}; acknowledged by {seen}")
    if row.cleared_at:
        typer.echo(
            f"cleared {local_time(row.cleared_at)}; {view.restored_meters:,} of {view.restored_of:,} meters have "
            f"answered since, {view.restored_needed:,} are needed"
        )
    for one in view.nested:
        typer.echo(f"still dark: {one.mrid}, {one.meters:,} meters, incident {one.incident or '–'}")
    for order in view.work_orders:
        typer.echo(f"work order {order.id} ({order.state.lower()}): {order.title}")


# --- acting ---------------------------------------------------------------------------------------------------------


def _each(
    numbers: list[int], verb: str, done: str, act: Callable[[int], None], *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Do an act on incidents, all or none, after asking where they are many."""
    from meterops.practices.incidents import api as incidents

    wanted = sorted(set(numbers))
    rows = [incidents.get_incident(number).row for number in wanted]  # refuses numbers that nobody has
    if dry_run:
        if as_json:
            print_json({"dry_run": True, "incidents": [{"number": r.number, "title": r.title} for r in rows]})
        else:
            print_table(("Number", "P", "What"), [(str(r.number), f"P{r.priority.value}", r.title) for r in rows])
            typer.echo(f"{len(rows):,} incidents would be {done}.")
        return
    if len(wanted) >= ASKS_FROM and not yes:
        confirm(f"{verb} {len(wanted):,} incidents?")
    incidents.bulk(wanted, act)
    if as_json:
        print_json({"incidents": [_flat(incidents.get_incident(number)) for number in wanted]})
    else:
        names = f"Incident {wanted[0]} is" if len(wanted) == 1 else f"{len(wanted):,} incidents are"
        typer.echo(f"{names} {done}.")


def confirm(question: str) -> None:
    """Ask, and leave where the answer is no, or nobody is there to give one."""
    if not sys.stdin.isatty():
        refuse(f"{question} Say --yes: nobody is there to ask.", EXIT_USAGE)
    if not typer.confirm(question):
        refuse("Nothing was done.", EXIT_FAILED)


@app.command("ack")
@answers_refusals
def acknowledge(
    numbers: Numbers,
    note: Annotated[str, typer.Option(help="What you want to say with it.")] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Acknowledge: somebody has seen it, so its escalation ends."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    actor, now = shell_actor(), utc_now()

    def act(number: int) -> None:
        incidents.acknowledge_incident(number=number, actor=actor, at=now, note_text=note)

    _each(numbers, "Acknowledge", "acknowledged", act, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command("assign")
@answers_refusals
def assign(
    numbers: Numbers,
    owner: Annotated[str, typer.Option(help="A person.")] = "",
    team: Annotated[str, typer.Option(help="A team.")] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give incidents to a person, a team or both; with neither they go back to nobody."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    actor, now = shell_actor(), utc_now()

    def act(number: int) -> None:
        incidents.assign_incident(number=number, owner=owner, team=team, actor=actor, at=now)

    _each(numbers, "Assign", "assigned", act, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command("note")
@answers_refusals
def note(number: Number, text: Annotated[str, typer.Argument(help="The note.")], as_json: AsJson = False) -> None:
    """Write a line into the timeline."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    incidents.add_note(number=number, text=text, actor=shell_actor(), at=utc_now())
    _say(number, f"Noted on incident {number}.", as_json)


@app.command("start")
@answers_refusals
def start(number: Number, as_json: AsJson = False) -> None:
    """Say that you work on it."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    incidents.start_work(number=number, actor=shell_actor(), at=utc_now())
    _say(number, f"Incident {number} is in progress.", as_json)


@app.command("pending")
@answers_refusals
def pending(
    number: Number,
    reason: Reason,
    until: Annotated[datetime | None, typer.Option(help="Until when, on the clock on the wall.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let it wait for something outside."""
    open_state()
    from django.utils import timezone

    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    aware = timezone.make_aware(until) if until and timezone.is_naive(until) else until
    incidents.set_pending(number=number, reason=reason, until=aware, actor=shell_actor(), at=utc_now())
    _say(number, f"Incident {number} is pending.", as_json)


@app.command("resolve")
@answers_refusals
def resolve(
    number: Number,
    resolution: Annotated[str, typer.Option(help="What was wrong and what ended it.")],
    in_spite_of: Annotated[
        str, typer.Option(help="Why it is over although too few meters have answered since the clear.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say what ended it. An outage needs meters that answer, or --in-spite-of."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    incidents.resolve_incident(
        number=number, resolution=resolution, in_spite_of=in_spite_of, actor=shell_actor(), at=utc_now()
    )
    _say(number, f"Incident {number} is resolved.", as_json)


@app.command("close")
@answers_refusals
def close(numbers: Numbers, reason: Reason, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Close incidents that are resolved, or were none at all."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    actor, now = shell_actor(), utc_now()

    def act(number: int) -> None:
        incidents.close_incident(number=number, reason=reason, actor=actor, at=now)

    _each(numbers, "Close", "closed", act, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command("reopen")
@answers_refusals
def reopen(number: Number, reason: Reason, as_json: AsJson = False) -> None:
    """It was not over after all."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    incidents.reopen_incident(number=number, reason=reason, actor=shell_actor(), at=utc_now())
    _say(number, f"Incident {number} is open again.", as_json)


@app.command("merge")
@answers_refusals
def merge(
    numbers: Numbers,
    into: Annotated[int, typer.Option(help="The incident that the others follow from now on.")],
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Fold incidents into one; they keep their records."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    rows = [incidents.get_incident(number).row for number in (into, *numbers)]
    if dry_run:
        print_json({"dry_run": True, "into": into, "numbers": numbers}) if as_json else typer.echo(
            f"{', '.join(f'{r.number} ({r.title})' for r in rows[1:])} would be merged into {into} ({rows[0].title})."
        )
        return
    if len(numbers) >= ASKS_FROM and not yes:
        confirm(f"Merge {len(numbers):,} incidents into {into}?")
    incidents.merge_incidents(into=into, numbers=numbers, reason=reason, actor=shell_actor(), at=utc_now())
    _say(into, f"{', '.join(map(str, numbers))} merged into incident {into}.", as_json)


@app.command("unmerge")
@answers_refusals
def unmerge(number: Number, reason: Reason, as_json: AsJson = False) -> None:
    """Take an incident out of the one it was merged into."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    incidents.unmerge_incident(number=number, reason=reason, actor=shell_actor(), at=utc_now())
    _say(number, f"Incident {number} stands for itself again.", as_json)


@app.command("split")
@answers_refusals
def split(
    number: Number,
    node: Annotated[str, typer.Option(help="mRID of a node below it.")],
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Give a node below an incident's an incident of its own."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    fresh = incidents.split_incident(number=number, node=node, reason=reason, actor=shell_actor(), at=utc_now())
    _say(fresh, f"Incident {fresh} is split from {number}.", as_json)


@app.command("major")
@answers_refusals
def major(number: Number, reason: Reason, yes: Yes = False, as_json: AsJson = False) -> None:
    """Lead it as a major incident: P1, and everybody who is told of P1 is told."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    title = incidents.get_incident(number).row.title
    if not yes:
        confirm(f"Declare incident {number} ({title}) a major incident?")
    incidents.declare_major(number=number, reason=reason, actor=shell_actor(), at=utc_now())
    _say(number, f"Incident {number} is a major incident.", as_json)


@app.command("plan")
@answers_refusals
def plan(
    number: Number,
    starts: Annotated[datetime, typer.Option(help="When the crew begins, on the clock on the wall.")],
    ends: Annotated[datetime, typer.Option(help="When it is done.")],
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Plan the repair: nothing new is opened below the node meanwhile, and the incident waits."""
    open_state()
    from django.utils import timezone

    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    starts_at, ends_at = (timezone.make_aware(one) if timezone.is_naive(one) else one for one in (starts, ends))
    incidents.plan_work_on_incident(
        number=number, starts_at=starts_at, ends_at=ends_at, reason=reason, actor=shell_actor(), at=utc_now()
    )
    _say(number, f"Work is planned on incident {number} until {local_time(ends_at)}.", as_json)


@app.command("clean-up")
@answers_refusals
def clean_up(as_json: AsJson = False) -> None:
    """Meters that stay silent although the outage they were in is over."""
    open_state()
    from meterops.fleet.inventory import api as inventory
    from meterops.practices.incidents import api as incidents

    lines = incidents.clean_up_list()
    serials = inventory.serials_of([meter for line in lines for meter in line.meters])
    rows = [(serials.get(m, str(m)), str(line.incident), line.title, line.rung) for line in lines for m in line.meters]
    if as_json:
        print_json([{"meter": m, "incident": int(i), "title": t, "rung": r} for m, i, t, r in rows])
    else:
        print_table(("Meter", "Incident", "What", "Rung"), rows, empty="No silent meter is left over.")


def _say(number: int, sentence: str, as_json: bool) -> None:
    if not as_json:
        typer.echo(sentence)
        return
    from meterops.practices.incidents import api as incidents

    print_json({"incident": _flat(incidents.get_incident(number))})


@app.command("settings")
@answers_refusals
def settings(
    change: Annotated[list[str] | None, typer.Argument(help="NAME=VALUE to decide otherwise.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is decided about incidents, or decide otherwise."""
    open_state()
    import json
    from dataclasses import asdict

    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    values: dict[str, Any] = {}
    for one in change or ():
        name, found, text = one.partition("=")
        if not found:
            refuse(f"{one} is no setting; restoration_share=0.9 is.", EXIT_USAGE)
        try:
            values[name.strip()] = json.loads(text)
        except ValueError:
            values[name.strip()] = text
    saved = incidents.configuration()
    if values:
        saved = incidents.save_configuration(values=values, actor=shell_actor(), at=utc_now())
    if as_json:
        print_json(asdict(saved))
    else:
        print_table(("Setting", "Value"), [(name, str(value) or "–") for name, value in asdict(saved).items()])
