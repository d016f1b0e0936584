"""What the head-end tells others."""

from dataclasses import dataclass
from datetime import datetime

from meterops.kernel.facts import fact


@fact
@dataclass(frozen=True, slots=True)
class FleetOperationEnded:
    """Every route of an operation is through, or its deadline passed, or somebody cancelled it."""

    operation_id: str
    state: str
    schedule: str
    total: int
    succeeded: int
    failed: int
    ended_at: datetime
