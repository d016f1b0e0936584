"""Companion profiles: what a family of meters has, how it wants to be spoken to, and its named quirks. As data, in TOML files."""

from meterops.protocols.dlms.profiles.loader import (
    CompanionProfile,
    ProfileNotValid,
    ProfileUnknown,
    list_profiles,
    load_profile,
    load_profile_file,
)

__all__ = [
    "CompanionProfile",
    "ProfileNotValid",
    "ProfileUnknown",
    "list_profiles",
    "load_profile",
    "load_profile_file",
]
