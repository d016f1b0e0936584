"""Who is without supply, as diagrams and maps show it: what hangs below a root, and what was read since."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from tests.interfaces.console.conftest import Console, forget_kept
from tests.interfaces.console.outages import open_incident, text_of

from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.api import TopologyArrays, Tree
from meterops.interfaces.console.supply_state import Root, SupplyState, spread
from meterops.kernel.clock import utc_now
from meterops.practices.events.models import Situation

AT = datetime(2026, 11, 27, 9, tzinfo=UTC)


def begin(mrid: str, kind: str, started_at: datetime, tree: str = "ELECTRICAL") -> None:
    """Let a situation be open at a node, and pages look anew."""
    node = inventory.get_item(mrid)
    Situation.objects.create(
        id=uuid4(), kind=kind, tree=tree, node_id=node.id, node_mrid=mrid,
        started_at=started_at, opened_at=started_at, changed_at=started_at,
    )  # fmt: skip
    forget_kept()


def trees_of(electrical: list[int], communication: list[int]) -> dict[Tree, TopologyArrays]:
    """Two trees over the same items, whose ids are 10, 20, 30 and so on."""
    n = len(electrical)
    ids, none = np.arange(10, 10 * n + 1, 10, dtype=np.int64), np.full(n, np.nan)

    def arrays(parent: list[int]) -> TopologyArrays:
        return TopologyArrays(
            ids, np.array(parent, np.int32), np.zeros(n, np.uint8), none, none, np.ones(n, np.float32)
        )

    return {Tree.ELECTRICAL: arrays(electrical), Tree.COMMUNICATION: arrays(communication)}


@given(st.data())
def test_an_item_is_in_the_worst_state_of_what_it_hangs_under(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 30))
    parents = [[data.draw(st.integers(-1, i - 1)) for i in range(n)] for _ in range(2)]
    kinds = st.sampled_from([SupplyState.DARK, SupplyState.SILENT, SupplyState.PHASE])
    drawn = data.draw(st.lists(st.tuples(st.integers(0, n), kinds, st.sampled_from(list(Tree))), max_size=6))
    roots = [Root(10 + 10 * place, kind, tree, AT) for place, kind, tree in drawn]
    trees = trees_of(*parents)
    found = spread(trees, roots)
    needed = spread({tree: trees[tree] for tree in {one.tree for one in roots}}, roots)
    ids = np.arange(0, 10 * n + 20, 5)
    assert needed.of(ids).tolist() == found.of(ids).tolist()
    order = (SupplyState.QUIET, SupplyState.SILENT, SupplyState.PHASE, SupplyState.DARK)
    for item in range(n):
        reached = [SupplyState.QUIET]
        for tree, parent in zip((Tree.ELECTRICAL, Tree.COMMUNICATION), parents, strict=True):
            at = item
            while at >= 0:
                reached += [one.state for one in roots if one.tree is tree and one.node_id == 10 + 10 * at]
                at = parent[at]
        assert found.of_one(10 + 10 * item) is max(reached, key=order.index)
    assert found.of_one(5) is SupplyState.QUIET
    assert found.of_one(10_000) is SupplyState.QUIET


def test_a_meter_read_since_says_so_and_one_read_before_does_not() -> None:
    found = spread(trees_of([-1, 0, 0], [-1, -1, -1]), [Root(10, SupplyState.DARK, Tree.ELECTRICAL, AT)])
    read_at = np.array([int(AT.timestamp()) + 1, int(AT.timestamp())])
    assert found.of(np.array([20, 30]), read_at).tolist() == [SupplyState.ANSWERS, SupplyState.DARK]


def test_the_diagram_shows_a_dark_feeder_and_only_that(console: Console) -> None:
    begin("TR-0000/F2", "OUTAGE", utc_now())
    number = open_incident(inventory.get_item("TR-0000/F2").id)
    transformer = inventory.get_item("TR-0000").id
    answer = console.client().get(f"/grid/items/{transformer}/one-line")
    dark = [box for box in answer.context["diagram"].boxes if box.meter.state == "dark"]
    assert {box.meter.id for box in dark} == set(
        inventory.ids_of_end_devices(inventory.EndDeviceFilter(under=("TR-0000/F2",))).tolist()
    )
    assert 0 < len(dark) < 12
    assert answer.context["diagram"].bus.look == "ok"
    assert {wire.look for wire in answer.context["diagram"].wires} == {"ok", "dark"}
    page = answer.content.decode()
    assert f"without supply {len(dark)}" in page
    assert f'href="/incidents/{number}"' in page
    assert page.count('<rect class="box dark"') == len(dark)
    by_reading = text_of(console.client(), f"/grid/items/{transformer}/one-line?by=read")
    assert "box dark" not in by_reading.partition("The same as a table")[0]


def test_what_was_read_since_the_outage_began_is_drawn_otherwise(console: Console) -> None:
    begin("TR-0000", "OUTAGE", utc_now() - timedelta(hours=1))
    transformer = inventory.get_item("TR-0000").id
    answer = console.client().get(f"/grid/items/{transformer}/one-line?part=diagram", headers={"HX-Request": "true"})
    looks = [box.meter.state for box in answer.context["diagram"].boxes]
    assert looks.count("answers") > 5
    assert answer.context["diagram"].bus.look == "dark"
    legend = json.loads(console.client().get("/grid/states?by=supply").headers["X-Legend"])
    assert {one["label"]: one["count"] for one in legend}["read since"] == looks.count("answers")


@pytest.mark.parametrize(("kind", "label"), [("COMMUNICATION", "without contact"), ("PHASE", "below a missing phase")])
def test_the_map_names_what_is_not_an_outage(operator: Client, street: int, kind: str, label: str) -> None:
    begin("T1F1", kind, utc_now())
    answer = operator.get("/grid/states?by=supply")
    legend = json.loads(answer.headers["X-Legend"])
    assert {one["label"]: (one["count"], one["nodes"]) for one in legend} == {
        "nothing known against it": (1, False),
        label: (2, True),
    }
    assert f"{label} 2" in text_of(operator, f"/grid/items/{street}/one-line")
