"""Every error in one shape: RFC 9457 problem details that name the culprit and the way out."""

from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from contracts.serving_api import Problem
from slo_rules.errors import SloError

MEDIA_TYPE = "application/problem+json"
_FIXES = {
    "missing": "add this field",
    "extra_forbidden": "remove this field, or correct its spelling",
    "json_invalid": "send valid JSON",
}


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.title)
        self.problem = problem
        self.headers = dict(headers or {})


def problem(status: int, title: str, **about: str | None) -> ProblemError:
    """A problem to raise; `about` may give detail, field and fix."""
    return ProblemError(Problem(status=status, title=title, **about))


def not_found(what: str, name: str) -> ProblemError:
    """404 for one thing."""
    return problem(404, f"no {what} {name}", fix=f"list what there is, and check the {what}'s id")


def unusable(error: SloError, slo: str = "") -> ProblemError:
    """422 for an objective that cannot be: the first fault by field, all of them in the detail. `slo`: its id, once known."""
    return problem(
        422,
        f"{slo} is not a usable objective" if slo else "not a usable objective",
        detail=str(error),
        field=error.field,
        fix=error.fix,
    )


def install(app: FastAPI) -> None:
    """Answer every error of `app` in this shape."""

    async def ours(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)  # noqa: S101  # registered for this class alone
        return _answer(error.problem, error.headers)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this class alone
        return _answer(_validation_problem(error))

    async def framework(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class alone
        return _answer(Problem(status=error.status_code, title=str(error.detail)), dict(error.headers or {}))

    async def unexpected(_request: Request, _error: Exception) -> Response:
        return _answer(Problem(status=500, title="the controller failed to answer", fix="see its log; try again"))

    app.add_exception_handler(ProblemError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(Exception, unexpected)


def _answer(body: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(
        body.model_dump(exclude_none=True), status_code=body.status, headers=headers, media_type=MEDIA_TYPE
    )


def _validation_problem(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return Problem(
        status=422,
        title="the request is not valid",
        detail=f"{field}: {first['msg']}",
        field=field,
        fix=_FIXES.get(first["type"], f"send a value that fits: {first['msg'].lower()}"),
    )
