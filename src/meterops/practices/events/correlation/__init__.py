"""From evidence of single meters to the few nodes that explain it. Pure: arrays in, changes of situations out."""

from meterops.practices.events.correlation.correlator import Correlator
from meterops.practices.events.correlation.settings import CorrelationSettings
from meterops.practices.events.correlation.situations import (
    Change,
    Evidence,
    MemberIds,
    SituationChange,
    SituationKind,
    TreeName,
)
from meterops.practices.events.correlation.topology import Topology

__all__ = [
    "Change",
    "CorrelationSettings",
    "Correlator",
    "Evidence",
    "MemberIds",
    "SituationChange",
    "SituationKind",
    "Topology",
    "TreeName",
]
