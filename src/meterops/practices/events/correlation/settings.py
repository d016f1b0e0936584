"""What the correlator is told about the world. Costs are in nats: a cost of x means odds of one to e^x."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CorrelationSettings:
    """The defaults fit a million meters; times are seconds of event time."""

    root_cost: float = 13.0
    """How unlikely it is beforehand that a given node fails in a given hour: e^-13 is one in 440,000."""
    phase_root_cost: float = 9.0
    """The same of one phase of a node: fuses blow more often than anything else."""
    phase_share: float = 0.33
    """When that many meters run and miss a phase for each that is dark, a phase is gone and not the supply."""
    child_contradiction: float = 8.0
    """A parent does not explain a child that would be that much likelier to have supply than not."""
    least_noise: float = 0.001
    most_noise: float = 0.05
    """Share of meters that cry out though nothing is wrong around them. Learned between these bounds."""
    least_mute: float = 0.0001
    most_mute: float = 0.1
    """Share of paths that lose every gasp of an outage. Learned between these bounds."""
    least_heard: int = 2
    """A node is no root on the word of a single meter below it."""
    least_rate: float = 0.1
    """Nor when fewer of those that could be heard are: a whole district with a little noise is no outage."""
    hold_down_s: float = 5.0
    """A root is told when it has stood this long: a child waits for its possible parent, a momentary interruption passes."""
    settle_s: float = 45.0
    """After supply returns below a root, what is left is looked at when nothing more has returned for this long."""
    longest_settle_s: float = 300.0
    contradiction_margin_s: float = 2.0
    """An answer contradicts darkness when it is this much later than the darkness began: clocks are not exact."""
    memory_s: float = 3600.0
    """Evidence that explains nothing is forgotten after this."""
    delivery: float = 0.85
    """Share of last gasps that arrive from meters whose path does not hang on the supply that they lose."""
    report_every_s: float = 10.0
    """A situation whose figures change is told anew at most this often."""
    storm_enter_per_s: float = 50.0
    storm_leave_per_s: float = 10.0
    """Pieces of evidence a second, averaged over half a minute, from which and until which it is a storm."""
