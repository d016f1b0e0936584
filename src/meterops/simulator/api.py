"""The simulator's door: make a region, write what its operator would be sent, serve its meters."""

from __future__ import annotations

from meterops.simulator.export import write_shipment
from meterops.simulator.fleet import AnotherFleet
from meterops.simulator.meter_bench import BenchMeter, BenchPush, serve_meter
from meterops.simulator.region import Addressing, Region, generate_region, usual_addressing
from meterops.simulator.scenario import Scenario, ScenarioRefused, find_scenario, list_scenarios
from meterops.simulator.serving import FleetReady, serve_fleet

__all__ = [
    "Addressing",
    "AnotherFleet",
    "BenchMeter",
    "BenchPush",
    "FleetReady",
    "Region",
    "Scenario",
    "ScenarioRefused",
    "find_scenario",
    "generate_region",
    "list_scenarios",
    "serve_fleet",
    "serve_meter",
    "usual_addressing",
    "write_shipment",
]
