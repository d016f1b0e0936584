"""Meterops runs a smart-meter fleet the way good IT departments run their estate."""

__version__ = "0.1.0"
