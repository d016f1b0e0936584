"""Units of physical values: the enumeration of the scaler_unit attribute (Blue Book, class Register)."""

from __future__ import annotations

from typing import Final

_SYMBOLS: Final = (
    "a", "mo", "wk", "d", "h", "min", "s", "°", "°C", "currency", "m", "m/s", "m³", "m³", "m³/h", "m³/h", "m³/d",
    "m³/d", "l", "kg", "N", "Nm", "Pa", "bar", "J", "J/h", "W", "VA", "var", "Wh", "VAh", "varh", "A", "C", "V",
    "V/m", "F", "Ω", "Ωm²/m", "Wb", "T", "A/m", "H", "Hz", "1/(Wh)", "1/(varh)", "1/(VAh)", "V²h", "A²h", "kg/s",
    "S", "K", "1/(V²h)", "1/(A²h)", "1/m³", "%", "Ah",
)  # fmt: skip
_UNITS: Final = {
    **dict(enumerate(_SYMBOLS, start=1)),
    60: "Wh/m³",
    61: "J/m³",
    62: "Mol %",
    63: "g/m³",
    64: "Pa s",
    65: "J/kg",
    66: "g/cm²",
    67: "atm",
    70: "dBm",
    71: "dBµV",
    72: "dB",
}


def unit_symbol(number: int) -> str | None:
    """The symbol of a unit, None for 0, 254 (other), 255 (a count) and what is not assigned."""
    return _UNITS.get(number)
