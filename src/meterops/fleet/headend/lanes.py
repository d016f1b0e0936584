"""Which work overtakes which."""

from enum import IntEnum


class Lane(IntEnum):
    """A lane's number is its order: a lower one overtakes a higher one between two sessions."""

    CONTROL = 10
    ON_DEMAND = 20
    OUTAGE_CHECK = 30
    SCHEDULED_READ = 50
    CONFIGURATION = 60
    FIRMWARE = 70
