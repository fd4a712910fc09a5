"""The application: routes, limits and errors put together."""

from typing import Any

from fastapi import APIRouter, FastAPI

from contracts.serving_api import Problem
from controller.api import agents, alerts, fleet, intents, probes, slo_documents, slos, story
from controller.api.limits import BodyLimit
from controller.api.parts import ApiParts
from controller.api.problems import install

DESCRIPTION = """Trimtab's controller keeps a fleet of text-to-speech servers inside its objectives.

Everything that changes the fleet is an *intent* or an *objective*: it is recorded here and acted on by the loop, which
tells in `/api/v1/decisions` what it did and why. Errors are RFC 9457 problems that name the field and the fix.
"""


class _Api(FastAPI):
    """Also describes bodies that handlers read by themselves."""

    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        known = schema["components"]["schemas"]
        known |= {name: model for name, model in slo_documents.schemas().items() if name not in known}
        return schema


def create_api(parts: ApiParts) -> FastAPI:
    """A FastAPI application over `parts`."""
    app = _Api(title="Trimtab controller", version="1", description=DESCRIPTION)
    app.state.parts = parts
    v1 = APIRouter(prefix="/api/v1", responses={401: {"model": Problem}, 403: {"model": Problem}})
    for module in (agents, slos, intents, story, fleet, alerts):
        v1.include_router(module.router)
    app.include_router(v1)
    app.include_router(probes.router)
    app.add_middleware(BodyLimit)
    install(app)
    return app
