"""For whoever runs the process: alive, ready, metrics. Open to all, and short."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from chassis.version import program_version
from controller.api.parts import Parts

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

router = APIRouter(tags=["probes"])


@router.get("/livez")
async def live() -> dict[str, bool | str]:
    """200 while the event loop turns; with the version, so that a host can compare itself with its controller."""
    return {"live": True, "version": program_version()}


@router.get("/readyz")
async def ready(parts: Parts) -> Response:
    """200 while this controller leads and its last tick worked: agents should be sent nowhere else."""
    reason = parts.status().why_not_ready
    return JSONResponse({"ready": not reason, "reason": reason}, status_code=503 if reason else 200)


@router.get("/metrics", response_class=Response)
async def metrics(parts: Parts) -> Response:
    """For Prometheus."""
    return Response(parts.render_metrics(), media_type=METRICS_TYPE)
