"""Names of OBIS codes (Blue Book, object identification), for people who look at what a meter sent."""

from __future__ import annotations

from typing import Final

from meterops.protocols.dlms.obis import Obis

_QUANTITIES: Final = {
    1: "Active {}+{} ({})",
    2: "Active {}-{} ({})",
    3: "Reactive {}+{} ({})",
    4: "Reactive {}-{} ({})",
}
_TARIFFS: Final = 2


def _electricity() -> dict[str, str]:
    names: dict[str, str] = {}
    for quantity, form in _QUANTITIES.items():
        power, energy = ("W", "Wh") if quantity <= 2 else ("var", "varh")
        names[f"1.0.{quantity}.7.0.255"] = form.format("power", "", power)
        names[f"1.0.{quantity}.8.0.255"] = form.format("energy", " total", energy)
        if quantity > 2:
            continue
        for tariff in range(1, _TARIFFS + 1):
            names[f"1.0.{quantity}.8.{tariff}.255"] = form.format("energy", f" T{tariff}", energy)
        for phase in (1, 2, 3):
            names[f"1.0.{20 * phase + quantity}.7.0.255"] = form.format("power", f" L{phase}", power)
    for phase in (1, 2, 3):
        names[f"1.0.{20 * phase + 11}.7.0.255"] = f"Current L{phase} (A)"
        names[f"1.0.{20 * phase + 12}.7.0.255"] = f"Voltage L{phase} (V)"
    return names


_NAMES: Final = {
    Obis.parse(code): name
    for code, name in {
        **_electricity(),
        "1.0.13.7.0.255": "Power factor",
        "1.1.0.2.129.255": "Meter type identifier",
        "0.0.1.0.0.255": "Clock / datetime",
        "0.0.42.0.0.255": "Logical device name",
        "0.0.96.1.0.255": "Meter serial number",
        "0.0.96.1.1.255": "Meter ID",
        "0.0.96.1.7.255": "Meter firmware",
    }.items()
}


def name_of(obis: Obis) -> str | None:
    """What the object is commonly called, None where it has no name here."""
    return _NAMES.get(obis)
