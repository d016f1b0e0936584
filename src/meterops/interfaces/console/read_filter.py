"""The meters that are in a state of reading, as far as a list can hold them."""

from dataclasses import replace

from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.api import EndDeviceFilter
from meterops.interfaces.console.fleet_state import CONTACTS
from meterops.interfaces.console.reading_state import ReadState
from meterops.kernel.clock import utc_now

LONGEST = 10_000
"""A list of more meters than this is no list a person works through; the rest follows when the first are dealt with."""

NAMES = {
    ReadState.READ: "read",
    ReadState.FAILING: "failing",
    ReadState.SILENT: "silent",
    ReadState.NEVER: "never",
}
STATES = {name: state for state, name in NAMES.items()}


def narrow(
    wanted: EndDeviceFilter, *, state: str = "", error: str = "", clock_off: bool = False
) -> tuple[EndDeviceFilter, int]:
    """The filter with only the meters in a state, whose newest session ended in an error class, or whose clock is off.

    Returns the filter and how many meters fit in all, which may be more than the filter names.
    """
    if state not in STATES and not error and not clock_off:
        return wanted, -1
    ids = inventory.ids_of_end_devices(wanted)
    contacts = CONTACTS.get()
    if state in STATES:
        ids = contacts.of(ids, utc_now()).ids_in(STATES[state])
    if error:
        ids = contacts.with_error(ids, error)
    if clock_off:
        ids = contacts.with_clock_off(ids)
    chosen = tuple(ids[:LONGEST].tolist())
    return replace(wanted, ids=chosen or (0,)), len(ids)
