"""The makes and models of the simulated fleet: invented makers, real differences, and one version with planted defects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterops.protocols.dlms.security import SecuritySuite
from meterops.simulator.meter import MeterModel
from meterops.simulator.meter_image import SOUND, FirmwareDefects
from meterops.simulator.meter_objects import make_model
from meterops.simulator.meter_readings import Channel
from meterops.simulator.towns import Ints

PROFILE: Final = "dsmr5"
"""The companion profile that the operator's records name for all these meters."""


@dataclass(frozen=True, slots=True)
class FleetModel:
    """A make and model: what is on the plate, and the firmware versions in the field with their shares and defects."""

    flag: str
    """The maker's three letters, as in a system title."""
    code: int
    manufacturer: str
    name: str
    hardware: str
    phases: int
    versions: tuple[str, ...]
    shares: tuple[float, ...]
    defects: dict[str, FirmwareDefects] = field(default_factory=dict)
    max_pdu_size: int = 1024
    suite: SecuritySuite = SecuritySuite.SUITE_0

    def defects_of(self, version: str) -> FirmwareDefects:
        """What is wrong with a version."""
        return self.defects.get(version, SOUND)

    def make(self) -> MeterModel:
        """The model as the meter side needs it; its load profile has the totals and the voltages of its phases."""
        voltages = (Channel.VOLTAGE_L1, Channel.VOLTAGE_L2, Channel.VOLTAGE_L3)[: self.phases]
        return make_model(
            self.name,
            phases=self.phases,
            profile_channels=(Channel.IMPORT_WH, Channel.EXPORT_WH, *voltages),
            firmware=self.defects,
            max_pdu_size=self.max_pdu_size,
        )


MODELS: Final = (
    FleetModel("KSV", 10, "Kestrel Vaart", "KV100", "B2", 1, ("4.2.1", "4.3.0"), (0.35, 0.65)),
    FleetModel("KSV", 30, "Kestrel Vaart", "KV300", "B2", 3, ("4.2.1", "4.3.0"), (0.35, 0.65)),
    FleetModel(
        "NRD",
        21,
        "Noorderlicht",
        "N21",
        "1.4",
        1,
        ("2.0.7", "2.1.0"),
        (0.4, 0.6),
        {"2.0.7": FirmwareDefects(clock_drift_s_per_day=21.0, mute_share=0.02)},
        max_pdu_size=640,
    ),
    FleetModel(
        "NRD",
        23,
        "Noorderlicht",
        "N23",
        "1.4",
        3,
        ("2.0.7", "2.1.0", "2.2.0-rc1"),
        (0.4, 0.595, 0.005),
        {
            "2.0.7": FirmwareDefects(clock_drift_s_per_day=21.0, mute_share=0.02),
            "2.2.0-rc1": FirmwareDefects(profile_ends_early=True),
        },
        max_pdu_size=640,
    ),
    FleetModel("TRX", 90, "Transformator Instruments", "TX-Sum", "3", 3, ("1.8.2",), (1.0,)),
)
SUM_METER: Final = 4
_SINGLE_PHASE: Final = (0, 2)
_THREE_PHASE: Final = (1, 3)


def draw_models(dice: np.random.Generator, phase: NDArray[np.int8], transformer: Ints) -> NDArray[np.int8]:
    """Draw the model of each customer's meter: a neighborhood was fitted out by one maker, with exceptions."""
    maker = (dice.random(int(transformer[-1]) + 1) < 0.4).astype(np.intp)[transformer]
    maker = np.where(dice.random(len(phase)) < 0.08, 1 - maker, maker)
    return np.where(phase == 0, np.array(_THREE_PHASE)[maker], np.array(_SINGLE_PHASE)[maker]).astype(np.int8)


def draw_firmware(dice: np.random.Generator, model: NDArray[np.int8]) -> NDArray[np.int8]:
    """Draw the firmware version of each meter as its model's shares have it."""
    draw = dice.random(len(model))
    version = np.zeros(len(model), np.int8)
    for number, known in enumerate(MODELS):
        chosen = model == number
        bounds = np.cumsum(known.shares)[:-1]
        version[chosen] = np.searchsorted(bounds, draw[chosen], side="right")
    return version
