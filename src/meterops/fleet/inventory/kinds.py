"""What exists and how it hangs together: kinds of items, the two trees, the sources, and what may hang under what.

Pure: no table is touched here. The words are those of IEC 61968 (CIM).
"""

from enum import StrEnum
from typing import Final


class ItemKind(StrEnum):
    """What sort of thing a configuration item is."""

    SUBSTATION = "SUBSTATION"
    FEEDER = "FEEDER"
    POWER_TRANSFORMER = "POWER_TRANSFORMER"
    LV_FEEDER = "LV_FEEDER"
    USAGE_POINT = "USAGE_POINT"
    HEAD_END = "HEAD_END"
    ROUTE = "ROUTE"
    DATA_CONCENTRATOR = "DATA_CONCENTRATOR"
    END_DEVICE = "END_DEVICE"


KIND_CODES: Final[dict[ItemKind, int]] = {kind: code for code, kind in enumerate(ItemKind)}
"""Small numbers for arrays and binary answers; a kind keeps its number, new kinds come last."""


class Tree(StrEnum):
    """Which of the two trees a link belongs to."""

    ELECTRICAL = "ELECTRICAL"
    COMMUNICATION = "COMMUNICATION"


class Source(StrEnum):
    """Who said so."""

    HEAD_END = "HEAD_END"
    GIS = "GIS"
    BILLING = "BILLING"
    WAREHOUSE = "WAREHOUSE"
    FIELD = "FIELD"
    DISCOVERY = "DISCOVERY"
    IMPORT = "IMPORT"


class Transport(StrEnum):
    """How a meter's APDUs are framed on their way."""

    WRAPPER = "WRAPPER"
    HDLC = "HDLC"


ALLOWED_PARENTS: Final[dict[Tree, dict[ItemKind, tuple[ItemKind, ...]]]] = {
    Tree.ELECTRICAL: {
        ItemKind.FEEDER: (ItemKind.SUBSTATION, ItemKind.FEEDER),
        ItemKind.POWER_TRANSFORMER: (ItemKind.FEEDER, ItemKind.SUBSTATION),
        ItemKind.LV_FEEDER: (ItemKind.POWER_TRANSFORMER, ItemKind.LV_FEEDER),
        ItemKind.USAGE_POINT: (ItemKind.LV_FEEDER, ItemKind.POWER_TRANSFORMER, ItemKind.FEEDER),
        ItemKind.DATA_CONCENTRATOR: (ItemKind.POWER_TRANSFORMER, ItemKind.LV_FEEDER, ItemKind.SUBSTATION),
        ItemKind.END_DEVICE: (ItemKind.USAGE_POINT, ItemKind.LV_FEEDER, ItemKind.POWER_TRANSFORMER),
    },
    Tree.COMMUNICATION: {
        ItemKind.ROUTE: (ItemKind.HEAD_END,),
        ItemKind.DATA_CONCENTRATOR: (ItemKind.ROUTE,),
        ItemKind.END_DEVICE: (ItemKind.ROUTE, ItemKind.DATA_CONCENTRATOR),
    },
}

LEAF_KINDS: Final = (ItemKind.USAGE_POINT, ItemKind.END_DEVICE)
"""Kinds that no node hangs under: they make up nearly all of a fleet, and can be in no cycle."""
