"""Documents → shapes, and every way in which a document is no such shape, told as path, problem and fix."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import reduce
from typing import Any, ParamSpec, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from slo_rules.errors import SloError, SloFaults, faults_in
from slo_rules.openslo.reader import join, step
from slo_rules.openslo.schema import KINDS, Document

T = TypeVar("T")
P = ParamSpec("P")
FAULTS_MAX = 20
"""As many as a person mends before asking again."""
_REASONS = {
    "raw": ("a stored ratio has lost how many events it stands for", "name counters: total, and good or bad"),
    "rawType": ("a stored ratio has lost how many events it stands for", "name counters: total, and good or bad"),
    "compositeWeight": (
        "objectives of several indicators have no common promise in OpenSLO",
        "write one SLO for each and name them in an SLO with the annotation trimtab/parts",
    ),
    "objectives.indicator": (
        "objectives of several indicators have no common promise in OpenSLO",
        "write one SLO for each and name them in an SLO with the annotation trimtab/parts",
    ),
    "objectives.indicatorRef": (
        "objectives of several indicators have no common promise in OpenSLO",
        "write one SLO for each and name them in an SLO with the annotation trimtab/parts",
    ),
}
"""Fields of OpenSLO that we refuse, by name or by list and name: why, and what to write instead."""
_FIXES = {
    "string_type": "write text, in quotes where it looks like something else, or remove the field",
    "string_too_long": "shorten it",
    "too_long": "keep fewer",
    "string_pattern_mismatch": "use lower case letters, digits and dashes, at most 63",
    "float_type": "write a number without quotes",
    "finite_number": "write a finite number",
    "bool_type": "write true or false",
    "list_type": "write a list: lines that begin with a dash",
    "model_type": "write fields: `name: value` lines below it",
    "dict_type": "write fields: `name: value` lines below it",
    "dict_attributes_type": "write fields: `name: value` lines below it",
    "control_character": "write printable characters",
    "line_break": "write one line",
    "slice_window": "write minutes such as 1, or a duration such as 1m",
}
_PLACES = {
    "counter": "only counters can be counted: record one, and write counter: true",
    "objectives": "write one objective: budget, alerts and state belong to one promise; a second one is a second SLO",
    "budgetingMethod": "write Occurrences or Timeslices; a mean of ratios (RatioTimeslices) gives a night's ten requests the"
    " weight of a day's thousands",
    "timeWindow": "write one window",
    "conditions": "write exactly one condition, as OpenSLO asks",
    "alertWhenNoData": "remove it: missing data always alerts, because nothing is known then",
    "alertWhenBreaching": "remove it: an SLO that burns always alerts",
    "target": "write a ratio such as 0.95",
    "targetPercent": "write a percentage such as 95",
    "metadata": "write metadata with a name",
    "timeSliceWindow": "write minutes such as 1, or a duration such as 1m",
}
"""What helps at a certain field, whatever is wrong with it."""


def shape_of(value: object, where: str) -> Document:
    """The document as its kind's shape; `SloFaults` with everything that is wrong with it."""
    if not isinstance(value, dict):
        raise SloFaults(
            (SloError(where or "document", "is not a mapping", "write an OpenSLO document, separated by ---"),)
        )
    kind = value.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        problem = "is missing" if kind is None else "is not a kind of openslo/v1"
        raise SloFaults((SloError(join(where, "kind"), problem, f"write one of {', '.join(KINDS)}"),))
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[:FAULTS_MAX]
        raise SloFaults(tuple(_fault(detail, model, where) for detail in details)) from error


class Attempts:
    """Runs what may fail one after the other and keeps the faults: the rest of a document is still worth reading."""

    def __init__(self, places: Mapping[str, str] | None = None) -> None:
        """`places` says where the fields that values name in their refusals stand in the document."""
        self._places = places or {}
        self._faults: list[SloError] = []

    def make(self, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """The value, or None once its faults are noted."""
        try:
            return make(*args, **kwargs)
        except SloError as error:
            self.note(error)
        return None

    def note(self, error: SloError) -> None:
        """Keep a fault, told with its place in the document."""
        self._faults.extend(
            SloError(self._places.get(fault.field, fault.field), fault.problem, fault.fix) for fault in faults_in(error)
        )

    def finish(self) -> None:
        """Raise what was kept, if anything: one fault as itself, several as `SloFaults`, the first `FAULTS_MAX`."""
        if len(self._faults) == 1:
            raise self._faults[0]
        if self._faults:
            raise SloFaults(tuple(self._faults[:FAULTS_MAX]))


def _fault(detail: ErrorDetails, model: type[BaseModel], where: str) -> SloError:
    path = join(where, reduce(step, (part for part in detail["loc"] if part != "[key]"), ""))
    name = str(detail["loc"][-1])
    if detail["type"] == "extra_forbidden":
        return _unknown(path, detail["loc"], model)
    if detail["type"] == "missing":
        return SloError(path, "is missing", _PLACES.get(name, f"add {name}"))
    by_place = next((_PLACES[part] for part in (name, _list_of(detail["loc"])) if part in _PLACES), None)
    expected = (
        f"write {detail['ctx']['expected']}" if detail["type"] == "literal_error" else "compare with docs/slos.md"
    )
    return SloError(path, _problem(detail), by_place or _FIXES.get(detail["type"], expected))


def _problem(detail: ErrorDetails) -> str:
    """Pydantic's sentence, as one about the field."""
    return detail["msg"].replace("Input should be", "should be").replace("String should", "should")


def _unknown(path: str, location: tuple[int | str, ...], model: type[BaseModel]) -> SloError:
    name = str(location[-1])
    reason = _REASONS.get(name) or _REASONS.get(f"{_list_of(location)}.{name}")
    if reason is not None:
        return SloError(path, f"is refused: {reason[0]}", reason[1])
    known = _fields_at(model, location[:-1])
    close = get_close_matches(name, known, n=1)
    fix = f"did you mean {close[0]}?" if close else f"remove it; known here: {', '.join(known)}"
    return SloError(path, "is not a field here", fix)


def _list_of(location: tuple[int | str, ...]) -> str:
    """The list whose entry the location is in, directly: `objectives` for `objectives[0].target`."""
    return str(location[-3]) if len(location) >= 3 and isinstance(location[-2], int) else ""  # noqa: PLR2004


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields that the shape at `location` has."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = _shape_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _shape_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  # a type expression
    """The shape within `X | None` or `list[X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _shape_in(part))), None)
