"""What a selection of meters amounts to: who they are, how many premises, how many of them critical. Set-based."""

from dataclasses import dataclass

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from meterops.fleet.inventory.filters import EndDeviceFilter
from meterops.fleet.inventory.lifecycle import ItemState

CRITICAL_ATTRIBUTE = "critical"
"""Set to true on a usage point (or a meter) where somebody depends on supply: hospitals, home dialysis, pumping stations."""


@dataclass(frozen=True, slots=True)
class EndDeviceScope:
    """Meters in columns of one length, ascending by `end_device_id`, 0 for none, with what they amount to.

    A premise is a usage point; a meter without one counts as a premise of its own. `critical_id` (m,) are the meters of critical
    premises.
    """

    end_device_id: NDArray[np.int64]
    usage_point_id: NDArray[np.int64]
    route_id: NDArray[np.int64]
    critical_id: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.end_device_id)

    @property
    def premises(self) -> int:
        """How many premises."""
        return _premises(self.usage_point_id)

    @property
    def critical(self) -> int:
        """How many critical premises."""
        return _premises(self.usage_point_id[np.isin(self.end_device_id, self.critical_id)])


def scope_of(wanted: EndDeviceFilter) -> EndDeviceScope:
    """The meters that fit, retired ones left out: two queries, whatever their number."""
    found = wanted.select().exclude(state=ItemState.RETIRED)
    rows = list(found.order_by("pk").values_list("pk", "usage_point_id", "route_id").iterator(chunk_size=20_000))
    table = np.array([(pk, point or 0, route or 0) for pk, point, route in rows], dtype=np.int64).reshape(-1, 3)
    is_critical = Q(**{f"usage_point__attributes__{CRITICAL_ATTRIBUTE}": True}) | Q(
        **{f"item__attributes__{CRITICAL_ATTRIBUTE}": True}
    )
    critical = np.fromiter(found.filter(is_critical).values_list("pk", flat=True), dtype=np.int64)
    return EndDeviceScope(table[:, 0], table[:, 1], table[:, 2], np.sort(critical))


def _premises(usage_points: NDArray[np.int64]) -> int:
    return int((usage_points == 0).sum()) + len(np.unique(usage_points[usage_points > 0]))
