"""What a meter's event codes mean, as DSMR and IDIS number them: the same codes stand in most meters read over DLMS/COSEM."""

LOGS = {
    0: "standard",
    1: "fraud",
    2: "disconnect",
    3: "M-Bus",
    4: "communication",
    5: "power quality",
}

_WORDS = {
    1: "Power down",
    2: "Power up",
    3: "Daylight saving changed",
    4: "Clock adjusted, old time",
    5: "Clock adjusted, new time",
    6: "Clock invalid",
    7: "Replace battery",
    8: "Battery voltage low",
    9: "Tariff activated",
    10: "Error register cleared",
    11: "Alarm register cleared",
    12: "Program memory error",
    13: "RAM error",
    14: "Non-volatile memory error",
    15: "Watchdog error",
    16: "Measurement system error",
    17: "Firmware ready for activation",
    18: "Firmware activated",
    19: "Passive tariff programmed",
    20: "External alert",
    21: "Communication module removed",
    22: "Communication module inserted",
    40: "Terminal cover removed",
    41: "Terminal cover closed",
    42: "Strong magnetic field",
    43: "No strong magnetic field any more",
    44: "Meter cover removed",
    45: "Meter cover closed",
    46: "Failed log-in",
    47: "Configuration changed",
    48: "Global key changed",
    49: "Decryption or authentication failed",
    50: "Replay attack",
    60: "Disconnected by hand",
    61: "Connected by hand",
    62: "Disconnected remotely",
    63: "Connected remotely",
    64: "Disconnected locally",
    65: "Limiter threshold exceeded",
    66: "Limiter threshold fine again",
    67: "Limiter threshold changed",
    68: "Disconnect or connect failed",
    69: "Reconnected locally",
    76: "Phase reversed",
    77: "Voltage too low, L1",
    78: "Voltage too low, L2",
    79: "Voltage too low, L3",
    80: "Voltage too high, L1",
    81: "Voltage too high, L2",
    82: "Voltage too high, L3",
    83: "Voltage normal, L1",
    84: "Voltage normal, L2",
    85: "Voltage normal, L3",
    86: "Phase failed, L1",
    87: "Phase failed, L2",
    88: "Phase failed, L3",
    90: "Phase returned, L1",
    91: "Phase returned, L2",
    92: "Phase returned, L3",
    100: "Communication error",
    255: "Log cleared",
}


def name_of(code: int) -> str:
    """What happened, in words; the bare code where it is not known."""
    return _WORDS.get(code, f"Event {code}")


def log_of(log: int) -> str:
    """Which of the meter's logs it stood in."""
    return LOGS.get(log, f"log {log}")
