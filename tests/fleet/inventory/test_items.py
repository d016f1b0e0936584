"""Items: places with a past, sources that own attributes, states that follow one another, questions about the whole fleet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from tests.fleet.inventory.conftest import ACTOR, NODES, NOW, files

from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.models import ConfigurationItem, Link
from meterops.kernel import audit

ELECTRICAL, COMMUNICATION = inventory.Tree.ELECTRICAL, inventory.Tree.COMMUNICATION
Filter = inventory.EndDeviceFilter
LATER = NOW + timedelta(days=30)


def item(mrid: str) -> int:
    return inventory.get_item(mrid).id


def test_moving_a_transformer_moves_its_meters_and_keeps_the_past(street: dict[str, int]) -> None:
    inventory.apply_import(
        files=[inventory.ImportFile("n.csv", b"mrid,kind,parent_electrical\nF2,FEEDER,SS1\n")], actor=ACTOR, at=NOW
    )
    assert inventory.move(item_id=item("T1"), tree=ELECTRICAL, parent_id=item("F2"), actor=ACTOR, at=LATER)
    assert inventory.count_end_devices(Filter(under=("F2",))) == 4
    assert inventory.count_end_devices(Filter(under=("F1",))) == 4
    assert inventory.count_end_devices(Filter(under=("SS1",))) == 8
    then = inventory.ancestors(street["M0"], ELECTRICAL, LATER - timedelta(seconds=1))
    assert [one.mrid for one in then] == ["P0", "T1", "F1", "SS1"]
    assert not inventory.move(item_id=item("T1"), tree=ELECTRICAL, parent_id=item("F2"), actor=ACTOR, at=LATER)
    assert inventory.find_problems() == []


def test_places_that_cannot_be_are_refused(street: dict[str, int]) -> None:
    with pytest.raises(inventory.ParentNotAllowed, match="POWER_TRANSFORMER"):
        inventory.move(item_id=item("T1"), tree=ELECTRICAL, parent_id=item("P0"), actor=ACTOR, at=LATER)
    inventory.apply_import(
        files=[inventory.ImportFile("n.csv", b"mrid,kind,parent_electrical\nF2,FEEDER,F1\n")], actor=ACTOR, at=NOW
    )
    with pytest.raises(inventory.LinkMakesCycle, match="F2 hangs below F1"):
        inventory.move(item_id=item("F1"), tree=ELECTRICAL, parent_id=item("F2"), actor=ACTOR, at=LATER)
    inventory.move(item_id=item("T1"), tree=ELECTRICAL, parent_id=item("SS1"), actor=ACTOR, at=LATER)
    with pytest.raises(inventory.MoveBeforeLastMove):
        inventory.move(item_id=item("T1"), tree=ELECTRICAL, parent_id=item("F1"), actor=ACTOR, at=NOW)


def test_the_database_itself_refuses_two_places_at_once(street: dict[str, int]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Link.objects.create(
            tree=ELECTRICAL, child_id=item("T1"), parent_id=item("SS1"),
            starts_at=NOW - timedelta(days=5), ends_at=NOW + timedelta(days=5), source="GIS",
        )  # fmt: skip


def test_the_owner_overwrites_and_a_lesser_source_queues(street: dict[str, int]) -> None:
    m1 = street["M1"]
    owner = inventory.set_attributes(
        item_id=m1, values={"firmware_version": "2.0"}, source=inventory.Source.HEAD_END, actor=ACTOR, at=NOW
    )
    assert owner.written == ("firmware_version",)
    lesser = inventory.set_attributes(
        item_id=m1, values={"firmware_version": "1.0"}, source=inventory.Source.WAREHOUSE, actor=ACTOR, at=LATER
    )
    assert lesser.queued == ("firmware_version",)
    assert inventory.get_end_device(m1).firmware_version == "2.0"
    inventory.set_attributes(
        item_id=m1, values={"firmware_version": "1.0"}, source=inventory.Source.WAREHOUSE, actor=ACTOR, at=LATER
    )
    (waiting,) = inventory.list_disagreements()
    assert (waiting.present, waiting.proposed) == ("2.0", "1.0")
    inventory.accept_disagreement(disagreement_id=waiting.id, actor=ACTOR, at=LATER, reason="label seen")
    assert inventory.get_end_device(m1).firmware_version == "1.0"
    assert inventory.count_disagreements() == 0
    with pytest.raises(inventory.DisagreementIsSettled):
        inventory.reject_disagreement(disagreement_id=waiting.id, actor=ACTOR, at=LATER)
    assert [entry.attribute for entry in inventory.history_of(m1)][:2] == ["firmware_version"] * 2


def test_what_was_rejected_is_not_queued_again(street: dict[str, int]) -> None:
    m1 = street["M1"]
    say = {"model": "S9"}
    inventory.set_attributes(item_id=m1, values={"model": "S1"}, source=inventory.Source.WAREHOUSE, actor=ACTOR, at=NOW)
    inventory.set_attributes(item_id=m1, values={"model": "S2"}, source=inventory.Source.WAREHOUSE, actor=ACTOR, at=NOW)
    inventory.set_attributes(item_id=m1, values=say, source=inventory.Source.FIELD, actor=ACTOR, at=NOW)
    (waiting,) = inventory.list_disagreements()
    inventory.reject_disagreement(disagreement_id=waiting.id, actor=ACTOR, at=LATER)
    inventory.set_attributes(item_id=m1, values=say, source=inventory.Source.FIELD, actor=ACTOR, at=LATER)
    assert inventory.count_disagreements() == 0


def test_states_follow_their_table_and_leave_a_trace(street: dict[str, int]) -> None:
    m1, state = street["M1"], inventory.ItemState
    inventory.change_state(item_id=m1, state=state.INACTIVE, actor=ACTOR, at=NOW, reason="flat is empty")
    inventory.change_state(item_id=m1, state=state.RETIRED, actor=ACTOR, at=LATER)
    with pytest.raises(inventory.StateNotReachable, match="M1 is RETIRED; it can become nothing any more"):
        inventory.change_state(item_id=m1, state=state.ACTIVE, actor=ACTOR, at=LATER)
    assert [entry.after for entry in audit.list_entries(subject="M1", action="change state")] == ["RETIRED", "INACTIVE"]


@pytest.mark.parametrize("before", inventory.ItemState)
@pytest.mark.parametrize("after", inventory.ItemState)
def test_every_step_is_taken_or_refused_as_the_table_says(
    street: dict[str, int], before: inventory.ItemState, after: inventory.ItemState
) -> None:
    ConfigurationItem.objects.filter(pk=street["M1"]).update(state=before)
    allowed = before == after or after in inventory.TRANSITIONS[before]
    if allowed:
        inventory.change_state(item_id=street["M1"], state=after, actor=ACTOR, at=NOW)
        assert inventory.get_item(street["M1"]).state == after
    else:
        with pytest.raises(inventory.StateNotReachable):
            inventory.change_state(item_id=street["M1"], state=after, actor=ACTOR, at=NOW)


def test_filters_pages_and_facets_agree(street: dict[str, int]) -> None:
    wanted = Filter(under=("T1",))
    assert sorted(inventory.ids_of_end_devices(wanted).tolist()) == sorted(street[f"M{n}"] for n in (0, 2, 4, 6))
    assert inventory.facets(wanted, ["model"]) == {"model": {"S1": 4}}
    seen, after = [], ""
    for _ in range(9):
        page = inventory.page_of_end_devices(Filter(), sort="-serial", after=after, limit=3)
        seen += [row.serial for row in page.rows]
        if not (after := page.after):
            break
    assert seen == [f"M{n}" for n in reversed(range(8))]
    assert Filter.from_dict(wanted.as_dict()) == wanted
    with pytest.raises(inventory.FilterNotValid, match="colour"):
        Filter.from_dict({"colour": "red"})


def test_search_finds_whatever_it_is_called(street: dict[str, int]) -> None:
    for text in ("mill lane", "MILL", "t1"):
        assert "T1" in [hit.mrid for hit in inventory.search(text)]
    assert [hit.mrid for hit in inventory.search("m3")] == ["M3"]
    assert inventory.search("%") == []


def test_the_tree_in_columns(street: dict[str, int]) -> None:
    tree = inventory.topology_arrays(ELECTRICAL)
    place = {int(one): number for number, one in enumerate(tree.id)}
    up = tree.parent[place[street["M0"]]]
    assert tree.id[up] == item("P0")
    assert tree.id[tree.parent[up]] == item("T1")
    assert tree.y[up] == pytest.approx(52.2)
    assert tree.parent[place[item("SS1")]] == -1


QUESTIONS: dict[str, Callable[[list[int]], object]] = {
    "addresses_of": inventory.addresses_of,
    "serials_of": inventory.serials_of,
    "ids_by_host": lambda ids: inventory.ids_by_host(f"127.0.0.{n}" for n in range(len(ids))),
    "addresses_on_route": lambda ids: inventory.addresses_on_route(item("R1")),
    "columns": lambda ids: inventory.columns_of_end_devices(["model", "transformer_id"]),
    "count": lambda ids: inventory.count_end_devices(Filter(under=("SS1",))),
    "ids": lambda ids: inventory.ids_of_end_devices(Filter(under=("T1",), text="M")),
    "facets": lambda ids: inventory.facets(Filter(), ["model", "firmware_version"]),
    "page": lambda ids: inventory.page_of_end_devices(Filter(), sort="serial", limit=500),
    "search": lambda ids: inventory.search("m"),
    "topology": lambda ids: inventory.topology_arrays(ELECTRICAL),
    "meters_per": lambda ids: inventory.meters_per("transformer_id"),
    "problems": lambda ids: inventory.find_problems(),
    "list_items": inventory.list_items,
}


def test_questions_about_the_fleet_do_not_grow_with_it(street: dict[str, int]) -> None:
    def queries(ids: list[int]) -> dict[str, int]:
        counts = {}
        for name, ask in QUESTIONS.items():
            with CaptureQueriesContext(connection) as found:
                ask(ids)
            counts[name] = len(found)
        return counts

    few = queries(list(street.values()))
    points = "".join(f"Q{n},USAGE_POINT,,T{1 + n % 2},,,\n" for n in range(400))
    rows = "".join(f"N{n},Q{n},R1,127.0.1.{n % 250}\n" for n in range(400))
    inventory.apply_import(files=files(NODES + points, "serial,usage_point,route,host\n" + rows), actor=ACTOR, at=NOW)
    more = inventory.ids_of_end_devices().tolist()
    assert len(more) == 408
    assert queries(more) == few


def test_a_place_has_the_past_that_was_true_then(street: dict[str, int]) -> None:
    """Three moves: every moment has one parent, a period holds its start and not its end, the first place has no start."""
    places = ["P0"]
    for day, place in enumerate(("P1", "P2", "P3"), 1):
        inventory.move(
            item_id=street["M0"], tree=ELECTRICAL, parent_id=item(place), actor=ACTOR, at=NOW + timedelta(days=day)
        )
        places.append(place)
    for day, place in enumerate(places):
        at = NOW + timedelta(days=day)
        for moment in (at, at + timedelta(days=1, microseconds=-1)):
            found = inventory.parent_of(street["M0"], ELECTRICAL, moment)
            assert found is not None
            assert found.mrid == place
    present = inventory.parent_of(street["M0"], ELECTRICAL)
    assert present is not None
    assert present.mrid == "P3"
    first = inventory.parent_of(street["M0"], ELECTRICAL, NOW - timedelta(days=400))
    assert first is not None
    assert first.mrid == "P0"
    assert inventory.find_problems() == []
