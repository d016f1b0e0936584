"""A simulated region: a grid, its customers, their meters, and the paths over which the head-end reaches them.

A region follows from its seed and its number of meters alone. Meters are numbered from 0: first those of customers, in
the order of the grid, then one at each transformer that measures the sum.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterops.protocols.dlms.security import KeyRing
from meterops.simulator.fleet_models import MODELS, SUM_METER, FleetModel, draw_firmware, draw_models
from meterops.simulator.grid import Grid, draw_customers, generate_grid
from meterops.simulator.loads import Customers, draw_customers_columns
from meterops.simulator.towns import Ints

_GRID_OF: Final = 0x6121D
_METERS_OF: Final = 0x3E7E5

FIRST_SAP: Final = 16
"""Server SAP of meter 0 where meters share an address."""
LAST_SAP: Final = 0x3FFF

CONCENTRATOR_SESSIONS: Final = 6
CELL_SESSIONS: Final = 48
METERS_PER_CELL: Final = 400


class Addressing(StrEnum):
    """How a meter is told from the others on this machine."""

    LOOPBACK = "loopback"
    """Each has an address 127.x.y.z of its own (Linux)."""
    PORT = "port"
    """All are at 127.0.0.1, each with a port of its own, counted up from the given one."""
    SAP = "sap"
    """All share 127.0.0.1 and one port; the server SAP says which is meant."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a meter is reached."""

    host: str
    port: int
    server_sap: int


@dataclass(frozen=True)
class Region:
    """The region. Columns of meters have `meters` entries; `meter_model` counts in `fleet_models.MODELS`."""

    seed: int
    meters: int
    grid: Grid
    customers: Customers
    meter_model: NDArray[np.int8]
    meter_firmware: NDArray[np.int8]
    meter_route: Ints
    """Number of the transformer whose concentrator the meter talks through; -1 - number of its cell when it has a modem."""
    meter_drift: NDArray[np.float64]
    """How fast the meter's clock runs ahead, in seconds a day."""
    cells: int

    @property
    def sum_meters(self) -> int:
        """How many meters stand at transformers."""
        return self.meters - self.grid.customers

    @cached_property
    def transformer_of(self) -> Ints:
        """The transformer above each meter."""
        own = np.arange(self.sum_meters, dtype=np.int32)
        return np.concatenate((self.grid.customer_transformer, own))

    def model(self, meter: int) -> FleetModel:
        """The model of a meter."""
        return MODELS[int(self.meter_model[meter])]

    def firmware(self, meter: int) -> str:
        """The firmware version a meter came with."""
        return self.model(meter).versions[int(self.meter_firmware[meter])]

    def serial(self, meter: int) -> str:
        """The serial number of a meter."""
        return f"{self.model(meter).flag}{self.model(meter).code:02}{_number_of(self.seed, meter):09}"

    def system_title(self, meter: int) -> bytes:
        """The system title of a meter: the maker's three letters, the model, the number on the plate (8 octets)."""
        model = self.model(meter)
        return model.flag.encode() + bytes((model.code,)) + _number_of(self.seed, meter).to_bytes(4, "big")

    def logical_device_name(self, meter: int) -> str:
        """The COSEM logical device name of a meter: the maker's letters and 13 digits (16 characters)."""
        model = self.model(meter)
        return f"{model.flag}{model.code:02}{_number_of(self.seed, meter):011}"

    def keys(self, meter: int) -> KeyRing:
        """The keys a meter comes with; they follow from seed and serial number."""
        serial = self.serial(meter)
        return KeyRing(
            encryption=self._secret("encryption", serial),
            authentication=self._secret("authentication", serial),
            master=self._secret("master", serial),
        )

    def password(self, meter: int) -> bytes:
        """The secret of a meter's low-level association."""
        return self._secret("password", self.serial(meter)).hex()[:8].encode()

    def _secret(self, purpose: str, serial: str) -> bytes:
        root = b"meterops simulated fleet " + str(self.seed).encode()
        return hmac.digest(root, f"{purpose} {serial}".encode(), "sha256")[:16]

    def route_mrid(self, meter: int) -> str:
        """The name of what a meter talks through: a concentrator, or the route of a radio cell."""
        route = int(self.meter_route[meter])
        return concentrator_mrid(route) if route >= 0 else cell_mrid(-1 - route)

    def serials(self) -> Iterator[str]:
        """The serial numbers of all meters, in their order."""
        return (self.serial(meter) for meter in range(self.meters))


def address_of(meter: int, port: int, addressing: Addressing) -> Address:
    """Where a meter is reached when the fleet is served at `port`.

    Raises `ValueError` where there are more meters than addresses of that kind.
    """
    if addressing is Addressing.LOOPBACK:
        second, rest = divmod(meter, 254 * 256)
        third, last = divmod(rest, 254)
        if second >= 254:
            raise ValueError(f"meter {meter} is beyond the last address 127.254.255.254")
        return Address(f"127.{1 + second}.{third}.{1 + last}", port, 1)
    if addressing is Addressing.PORT:
        if port + meter > 65_535:
            raise ValueError(f"meter {meter} is beyond port 65535; start at a lower port or have fewer meters")
        return Address("127.0.0.1", port + meter, 1)
    if FIRST_SAP + meter > LAST_SAP:
        raise ValueError(f"at most {LAST_SAP - FIRST_SAP + 1:,} meters can share an address by server SAP")
    return Address("127.0.0.1", port, FIRST_SAP + meter)


def usual_addressing() -> Addressing:
    """Loopback addresses where the system has them all (Linux), server SAPs elsewhere."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.1.0.1", 0))
        except OSError:
            return Addressing.SAP
    return Addressing.LOOPBACK


def transformer_mrid(number: int) -> str:
    """The name of a transformer in the records."""
    return f"TR-{number + 1:05}"


def concentrator_mrid(number: int) -> str:
    """The name of the concentrator in a transformer's house."""
    return f"DC-{number + 1:05}"


def cell_mrid(number: int) -> str:
    """The name of a radio cell's route."""
    return f"RT-CELL-{number + 1:03}"


def point_mrid(region: Region, meter: int) -> str:
    """The name of the usage point at which a meter stands."""
    customers = region.grid.customers
    return f"UP-{meter + 1:07}" if meter < customers else f"UP-{transformer_mrid(meter - customers)}"


def generate_region(*, seed: int, meters: int) -> Region:
    """Generate a region of exactly `meters` meters, one at each transformer among them.

    Raises `ValueError` for fewer than two meters or a negative seed.
    """
    if meters < 2:
        raise ValueError(f"a region has at least two meters, not {meters}")
    if seed < 0:
        raise ValueError(f"a seed is not negative: {seed}")
    dice = np.random.default_rng((seed, _GRID_OF))
    grid = generate_grid(dice, draw_customers(dice, meters))
    customers = draw_customers_columns(seed, grid.customers)
    dice = np.random.default_rng((seed, _METERS_OF))
    model = np.concatenate(
        (draw_models(dice, customers.phase, grid.customer_transformer), np.full(grid.transformers, SUM_METER, np.int8))
    )
    cells = max(1, round(0.15 * meters / METERS_PER_CELL))
    return Region(
        seed=seed,
        meters=meters,
        grid=grid,
        customers=customers,
        meter_model=model,
        meter_firmware=draw_firmware(dice, model),
        meter_route=_routes(dice, grid, customers, cells),
        meter_drift=_drifts(dice, meters),
        cells=cells,
    )


def _routes(dice: np.random.Generator, grid: Grid, customers: Customers, cells: int) -> Ints:
    """Most meters talk through their transformer's concentrator; one in eight, shops and sum meters have modems."""
    has_modem = (dice.random(len(customers)) < 0.1) | (customers.is_business & (dice.random(len(customers)) < 0.7))
    has_modem = np.concatenate((has_modem, np.ones(grid.transformers, np.bool_)))
    transformer = np.concatenate((grid.customer_transformer, np.arange(grid.transformers, dtype=np.int32)))
    cell = transformer.astype(np.int64) * cells // grid.transformers
    return np.where(has_modem, -1 - cell, transformer).astype(np.int32)


def _drifts(dice: np.random.Generator, meters: int) -> NDArray[np.float64]:
    """Half a second a day; one clock in a hundred is bad and runs off by 5 to 60 s a day."""
    drift = dice.normal(0.0, 0.5, meters)
    bad = dice.random(meters) < 0.01
    sign = np.where(dice.random(meters) < 0.5, -1.0, 1.0)
    return np.where(bad, sign * dice.uniform(5.0, 60.0, meters), drift)


def _number_of(seed: int, meter: int) -> int:
    """The number on a meter's plate: of one seed no two are equal."""
    return (seed % 200) * 10_000_000 + 1_000_001 + meter


__all__ = [
    "Address",
    "Addressing",
    "Region",
    "address_of",
    "cell_mrid",
    "concentrator_mrid",
    "generate_region",
    "point_mrid",
    "transformer_mrid",
    "usual_addressing",
]
