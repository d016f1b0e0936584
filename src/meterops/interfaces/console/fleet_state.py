"""What several pages ask of the whole fleet, kept for a few seconds so that ten open screens cost one look."""

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.api import KIND_CODES, ItemKind, Tree
from meterops.fleet.telemetry import api as telemetry
from meterops.interfaces.console.map_points import METER, TRANSFORMER, Points
from meterops.interfaces.console.reading_state import Contacts
from meterops.interfaces.console.supply_state import Supply, roots_of, spread
from meterops.kernel.clock import utc_now
from meterops.practices.events import api as events

T = TypeVar("T")
MOST_SITUATIONS = 5000


class Kept(Generic[T]):
    """An answer that is good for `seconds`, or as long as `version` stays the same; made by one caller at a time."""

    def __init__(self, make: Callable[[], T], seconds: float, version: Callable[[], Any] = lambda: None) -> None:
        self._make, self._seconds, self._version = make, seconds, version
        self._lock = threading.Lock()
        self._answer: tuple[float, Any, T] | None = None

    def get(self) -> T:
        """The answer, made anew where it has grown old."""
        with self._lock:
            version = self._version()
            if self._answer is None or self._answer[0] < time.monotonic() or self._answer[1] != version:
                self._answer = (time.monotonic() + self._seconds, version, self._make())
            return self._answer[2]

    def forget(self) -> None:
        """Have the next caller make it anew."""
        with self._lock:
            self._answer = None


def _contacts() -> Contacts:
    found = telemetry.device_contacts(telemetry.lake(), now=utc_now())
    return Contacts(
        found.device_ids.astype(np.int64),
        found.last_attempt,
        found.last_success,
        found.last_error,
        found.clock_drift_ms,
    )


def _map() -> Points:
    tree = TREES[Tree.ELECTRICAL].get()
    is_meter = tree.kind == KIND_CODES[ItemKind.END_DEVICE]
    is_transformer = tree.kind == KIND_CODES[ItemKind.POWER_TRANSFORMER]
    shown = np.flatnonzero((is_meter | is_transformer) & ~np.isnan(tree.x) & ~np.isnan(tree.y))
    shown = shown[np.argsort(is_meter[shown], kind="stable")]
    place = np.full(len(tree) + 1, -1, dtype=np.int32)
    place[shown] = np.arange(len(shown), dtype=np.int32)
    above = _transformer_above(tree.parent, is_transformer)
    return Points(
        id=tree.id[shown].astype(np.uint32),
        latitude=tree.y[shown],
        longitude=tree.x[shown],
        parent=np.where(is_meter[shown], place[above[shown]], -1).astype(np.int32),
        kind=np.where(is_meter[shown], METER, TRANSFORMER).astype(np.uint8),
    )


def _transformer_above(parent: Any, is_transformer: Any) -> Any:
    """For every node the transformer it hangs under, itself included; -1 where there is none."""
    above = np.where(is_transformer, np.arange(len(parent)), -1)
    for _ in range(16):
        open_nodes = np.flatnonzero((above < 0) & (parent >= 0))
        found = above[parent[open_nodes]]
        if not (found >= 0).any():
            break
        above[open_nodes] = found
    return above


def _inventory_version() -> tuple[int, str]:
    imports = inventory.list_imports(limit=1)
    return inventory.count_end_devices(), imports[0].id if imports else ""


def _supply() -> Supply:
    """Only the trees that open situations lie in are asked for: a fleet in which all is well costs nothing."""
    roots = roots_of(events.list_situations(limit=MOST_SITUATIONS))
    return spread({tree: TREES[tree].get() for tree in {one.tree for one in roots}}, roots)


def _tree(tree: Tree) -> Kept[inventory.TopologyArrays]:
    return Kept(lambda: inventory.topology_arrays(tree), seconds=60.0, version=_inventory_version)


CONTACTS: Kept[Contacts] = Kept(_contacts, seconds=3.0)
MAP: Kept[Points] = Kept(_map, seconds=60.0, version=_inventory_version)
TREES: dict[Tree, Kept[inventory.TopologyArrays]] = {
    tree: _tree(tree) for tree in (Tree.ELECTRICAL, Tree.COMMUNICATION)
}
SUPPLY: Kept[Supply] = Kept(_supply, seconds=2.0)
HEALTH: Kept[events.AlarmHealth] = Kept(lambda: events.alarm_health(now=utc_now()), seconds=2.0)
"""The load of alarms as the top bars of all open screens show it."""
