"""From an SVG to a PNG: a headless Chromium that opens the file and photographs it.

Without a browser on this machine there is no PNG; the SVG is kept either way, and any browser shows it.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_S = 60.0
"""Starting a browser takes a second or two; on a busy machine several times that."""


class CameraError(Exception):
    """The browser made no picture; the message has its own words."""


@dataclass(frozen=True, slots=True)
class Camera:
    """One browser."""

    program: str

    def photograph(self, svg: Path, png: Path, *, width: int, height: int) -> None:
        """Write `png`, exactly that many pixels; `CameraError` when none came out."""
        with tempfile.TemporaryDirectory(prefix="trimtab-browser-") as profile:
            argv = [
                self.program,
                "--headless",
                "--no-sandbox",  # root in a container has no other way, and the file is our own
                "--disable-gpu",
                "--disable-background-networking",
                "--no-first-run",
                "--hide-scrollbars",
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                f"--screenshot={png.resolve()}",
                svg.resolve().as_uri(),
            ]
            try:
                done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise CameraError(f"{self.program} could not photograph {svg}") from error
        if done.returncode != 0 or not png.is_file():
            raise CameraError(f"{self.program} made no {png}: {done.stderr.strip()[-300:]}")


def find_camera() -> Camera | None:
    """The first browser that is installed; None without one."""
    return next((Camera(path) for name in NAMES if (path := shutil.which(name))), None)
