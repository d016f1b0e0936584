"""The one-line diagram of a transformer: where each wire, stop and meter box stands. Pure geometry, no drawing.

A low-voltage feeder runs down; its meters stand in boxes to the right of its stops. What branches off leaves on a row of its
own below the feeder's own meters, so that no wire crosses a box.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

ROW = 30
BOX = 12
BOX_STEP = 16
BOX_OFFSET = 12
BRANCH_STEP = 40
COLUMN_GAP = 28
MARGIN = 24
BUS_Y = 76
BOXES_PER_STOP = 6
LABEL_WIDTH = 7.0


@dataclass(frozen=True, slots=True)
class Meter:
    """What a box stands for; `state` is the name of its look ("ok", "silent", "dark")."""

    id: int
    title: str
    state: str = "ok"


@dataclass(frozen=True, slots=True)
class Branch:
    """A feeder with the meters on it, nearest first, and what branches off it; `look` is that of its wires."""

    label: str
    meters: Sequence[Meter] = ()
    branches: Sequence["Branch"] = ()
    look: str = "ok"


@dataclass(frozen=True, slots=True)
class Line:
    """A wire from one point to another, drawn straight."""

    x1: float
    y1: float
    x2: float
    y2: float
    look: str = "ok"


@dataclass(frozen=True, slots=True)
class Point:
    """A stop or a feeder's fuse."""

    x: float
    y: float
    look: str = "ok"


@dataclass(frozen=True, slots=True)
class Label:
    """Words at a place."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Box:
    """A meter's box, by its upper left corner."""

    x: float
    y: float
    meter: Meter


@dataclass(slots=True)
class Diagram:
    """Everything to draw. Coordinates in pixels from the upper left."""

    width: float = 0.0
    height: float = 0.0
    transformer: Point = field(default_factory=lambda: Point(0, 0))
    bus: Line = field(default_factory=lambda: Line(0, 0, 0, 0))
    wires: list[Line] = field(default_factory=list)
    stops: list[Point] = field(default_factory=list)
    fuses: list[Point] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)


def lay_out(feeders: Sequence[Branch], *, loose: Sequence[Meter] = (), look: str = "ok") -> Diagram:
    """The diagram of a transformer's feeders, left to right; `loose` meters hang at the busbar itself, whose look is given."""
    diagram = Diagram()
    x = float(MARGIN + BOX)
    bottom = float(BUS_Y + ROW)
    branches = [*feeders, *([Branch("at the busbar", loose, look=look)] if loose else [])]
    for feeder in branches:
        right, below = _feeder(diagram, feeder, x)
        x = right + COLUMN_GAP
        bottom = max(bottom, below)
    diagram.width = max(x, 360.0) + MARGIN
    diagram.height = bottom + MARGIN
    diagram.bus = Line(MARGIN, BUS_Y, diagram.width - MARGIN, BUS_Y, look)
    diagram.transformer = Point(min(diagram.width / 2, 320.0), BUS_Y)
    return diagram


def _feeder(diagram: Diagram, feeder: Branch, x: float) -> tuple[float, float]:
    """Draw a feeder from the busbar down. Returns its right edge and its lowest point."""
    diagram.fuses.append(Point(x, BUS_Y + 12, feeder.look))
    diagram.labels.append(Label(x + 10, BUS_Y + 16, feeder.label))
    right, below = _branch(diagram, feeder, x, BUS_Y + 18.0, BUS_Y + ROW + 12.0)
    return max(right, x + 10 + LABEL_WIDTH * len(feeder.label)), below


def _branch(diagram: Diagram, branch: Branch, x: float, top: float, y: float) -> tuple[float, float]:
    """Draw a branch whose wire comes from `top`; its first row is at `y`. Returns its right edge and its lowest point."""
    right, last = x + BOX_OFFSET, top
    for start in range(0, len(branch.meters), BOXES_PER_STOP):
        here = branch.meters[start : start + BOXES_PER_STOP]
        diagram.stops.append(Point(x, y))
        for place, meter in enumerate(here):
            diagram.boxes.append(Box(x + BOX_OFFSET + place * BOX_STEP, y - BOX / 2, meter))
        right = max(right, x + BOX_OFFSET + len(here) * BOX_STEP)
        last, y = y, y + ROW
    lowest = last
    for child in branch.branches:
        diagram.stops.append(Point(x, y))
        diagram.wires.append(Line(x, y, x + BRANCH_STEP, y, child.look))
        diagram.labels.append(Label(x + BRANCH_STEP + 6, y + 4, child.label))
        child_right, below = _branch(diagram, child, x + BRANCH_STEP, y, y + ROW)
        right = max(right, child_right, x + BRANCH_STEP + 6 + LABEL_WIDTH * len(child.label))
        last, lowest = y, max(below, y)
        y = lowest + ROW
    if last > top:
        diagram.wires.append(Line(x, top, x, last, branch.look))
    return right, max(lowest, last)
