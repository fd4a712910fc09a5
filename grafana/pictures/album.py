"""Dashboards as files: asked, drawn and photographed one after the other."""

from dataclasses import dataclass
from pathlib import Path

from grafana.model import Dashboard
from grafana.pictures.camera import Camera
from grafana.pictures.page import WIDTH, height_of, page
from grafana.pictures.scene import look_at
from grafana.pictures.source import Source
from grafana.render import file_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """Where the numbers come from, which camera there is, and up to which moment."""

    source: Source
    camera: Camera | None
    until_s: float
    range_s: int

    def keep(self, dashboard: Dashboard, directory: Path) -> Path:
        """Draw one; the path of its PNG, or of its SVG where there is no camera."""
        scene = look_at(dashboard, self.source, until_s=self.until_s, range_s=self.range_s)
        svg = directory / Path(file_name(dashboard)).with_suffix(".svg")
        svg.write_text(page(scene), encoding="utf-8")
        if self.camera is None:
            return svg
        png = svg.with_suffix(".png")
        self.camera.photograph(svg, png, width=WIDTH, height=height_of(scene))
        return png
