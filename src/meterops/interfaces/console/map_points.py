"""The map's binary answers: where everything stands, and in which state each meter is.

Points, little-endian: the word `MOPS` and the count n as uint32, then columns of n: x and y in metres as float32, id as uint32,
the parent's index as int32 (-1 for none), kind as uint8 (1 a transformer, 0 a meter). States: n uint8 in the same order.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAGIC = 0x53504F4D
METER, TRANSFORMER = 0, 1
EARTH_RADIUS_M = 6_371_000.0


@dataclass(frozen=True, slots=True)
class Points:
    """Transformers first, then their meters; columns of equal length."""

    id: npt.NDArray[np.uint32]
    latitude: npt.NDArray[np.float64]
    longitude: npt.NDArray[np.float64]
    parent: npt.NDArray[np.int32]
    kind: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.id)


def encode(points: Points) -> bytes:
    """The answer that `map.ts` reads."""
    x, y = project(points.latitude, points.longitude)
    head = np.array([MAGIC, len(points)], dtype="<u4")
    columns = (
        head,
        x.astype("<f4"),
        y.astype("<f4"),
        points.id.astype("<u4"),
        points.parent.astype("<i4"),
        points.kind.astype("u1"),
    )
    return b"".join(column.tobytes() for column in columns)


def project(
    latitude: npt.NDArray[np.float64], longitude: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Metres east and north of the middle of all points. Good for a region; a continent would look stretched."""
    if len(latitude) == 0:
        return latitude, longitude
    middle_latitude = float(latitude.min() + latitude.max()) / 2
    middle_longitude = float(longitude.min() + longitude.max()) / 2
    x = np.radians(longitude - middle_longitude) * EARTH_RADIUS_M * np.cos(np.radians(middle_latitude))
    return x, np.radians(latitude - middle_latitude) * EARTH_RADIUS_M
