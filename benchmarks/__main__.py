"""Every benchmark at laptop size, one after the other, each in a process of its own.

    python -m benchmarks [NAME ...] [--list]

What each printed goes through; the results lie in `benchmarks/results`. Exit code 1 when one failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Final

LAPTOP: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "dlms_session": ((),),
    "lake": ((),),
    "simulator_physics": (("--meters", "1000"), ("--meters", "10000")),
    "queue": ((),),
    "live": ((),),
    "flood": (("--meters", "10000"), ("--meters", "100000")),
    "read_fleet": (("--meters", "1000"), ("--meters", "10000")),
    "storm": (("--meters", "10000", "--seeds", "20"), ("--meters", "100000", "--seeds", "20")),
}
"""The runs of each benchmark; costs that must grow with the meters are measured a decade apart."""


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(LAPTOP))
    parser.add_argument("--list", action="store_true", help="only say what there is")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(LAPTOP))
        return 0
    unknown = [name for name in asked.names if name not in LAPTOP]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(LAPTOP)}")
    failed = []
    for name in asked.names or LAPTOP:
        for arguments in LAPTOP[name]:
            command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
            print(f"\n== benchmarks.{name} {' '.join(arguments)}", flush=True)
            if subprocess.run(command, check=False).returncode:
                failed.append(f"{name} {' '.join(arguments)}".strip())
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
