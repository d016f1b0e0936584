"""What simulated meters remember over a restart of the process: counters, keys, clocks, disconnectors, firmware."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from meterops.simulator.meter import COUNTER_RESERVE, MeterState, SimulatedMeter

FILE_NAME = "meters.sqlite"


class MeterStore:
    """Keeps the state of many meters in one file of a folder. It holds keys: the file is for its owner only.

    What matters at once (keys, switching, firmware) is written before the answer leaves. Counters are written by
    `flush`, to be called every second or so: a meter skips a whole reserve of its own counter after a restart, so it
    repeats none, and at worst takes a client's counter of the last second once more.
    """

    def __init__(self, folder: Path) -> None:
        """Open or make the store in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE_NAME
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE IF NOT EXISTS meter (serial TEXT PRIMARY KEY, state TEXT NOT NULL)")
        self._changed: dict[str, SimulatedMeter] = {}

    def load(self) -> dict[str, MeterState]:
        """Give what is known of every meter, by serial number."""
        rows = self._database.execute("SELECT serial, state FROM meter")
        return {serial: _decode(json.loads(text)) for serial, text in rows}

    def changed(self, meter: SimulatedMeter, *, at_once: bool) -> None:
        """Keep the state of a meter, at once or with the next flush."""
        if at_once:
            self._changed.pop(meter.serial, None)
            self._write((meter,))
        else:
            self._changed[meter.serial] = meter

    def flush(self) -> None:
        """Write everything that has changed."""
        if self._changed:
            changed, self._changed = self._changed, {}
            self._write(changed.values())

    def close(self) -> None:
        """Write everything and close the file."""
        self.flush()
        self._database.close()

    def _write(self, meters: Iterable[SimulatedMeter]) -> None:
        rows = [(meter.serial, json.dumps(_encode(meter))) for meter in meters]
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR REPLACE INTO meter (serial, state) VALUES (?, ?)", rows)
        self._database.execute("COMMIT")


def _encode(meter: SimulatedMeter) -> dict[str, Any]:
    state = meter.state
    return {
        "reserved_to": max(state.reserved_to, state.next_counter),
        "client_counters": state.client_counters,
        "clock_offset_s": meter.clock - meter.now(),
        "output_connected": state.output_connected,
        "control_state": state.control_state,
        "control_mode": state.control_mode,
        "alarm_register": state.alarm_register,
        "alarm_filter": state.alarm_filter,
        "firmware": state.firmware,
        "keys": {str(kind): key.hex() for kind, key in state.keys.items()},
        "password": state.password.hex(),
    }


def _decode(kept: dict[str, Any]) -> MeterState:
    start = kept["reserved_to"] + COUNTER_RESERVE
    return MeterState(
        next_counter=start,
        reserved_to=start,
        client_counters=kept["client_counters"],
        clock_offset_s=kept["clock_offset_s"],
        output_connected=kept["output_connected"],
        control_state=kept["control_state"],
        control_mode=kept["control_mode"],
        alarm_register=kept["alarm_register"],
        alarm_filter=kept["alarm_filter"],
        firmware=kept["firmware"],
        keys={int(kind): bytes.fromhex(key) for kind, key in kept["keys"].items()},
        password=bytes.fromhex(kept["password"]),
    )
