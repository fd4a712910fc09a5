"""OpenSLO v1 documents, the part of them that we can keep: one rolling window, one objective, requests counted.

Accepted, everything else is refused with its path::

    apiVersion: openslo/v1
    kind: SLO
    metadata:
      name: speech-latency                  # lower case, digits and dashes
      displayName: Speech latency           # for people; not used
      annotations:
        trimtab/threshold: 200ms            # a request is good when it takes at most this
        trimtab/sli: total                  # or first_audio; default total
        trimtab/page-within: 8m             # time to page when everything is bad; default 8m
        trimtab/owner: speech team
    spec:
      description: At least 95 % of requests …
      service: speech                       # for people; not used
      budgetingMethod: Occurrences          # events are counted; the default here
      timeWindow: [{duration: 30d, isRolling: true}]
      objectives: [{displayName: fast enough, target: 0.95}]

There is no `indicator`: replicas count good and bad events themselves, against the threshold in the annotation.
"""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.vocabulary import SliKind, SloId
from slo_rules.errors import SloError
from slo_rules.indicators import ExactCounters
from slo_rules.model import PAGE_WITHIN_S_DEFAULT, Slo
from slo_rules.windows import WINDOW_S_DEFAULT, RollingWindow

THRESHOLD = "trimtab/threshold"
SLI = "trimtab/sli"
PAGE_WITHIN = "trimtab/page-within"
OWNER = "trimtab/owner"
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""A DNS label, as OpenSLO asks: safe in metrics, URLs and file names."""
TEXT_CHARS_MAX = 1_000
"""A description is read on a pager."""
_DURATION = re.compile(r"^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d|w)$")
_UNIT_S = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3_600),
    "d": Decimal(86_400),
    "w": Decimal(604_800),
}
_PATHS = {
    "id": "metadata.name",
    "objective": "spec.objectives[0].target",
    "threshold_s": f"metadata.annotations[{THRESHOLD}]",
    "window_s": "spec.timeWindow[0].duration",
    "page_within_s": f"metadata.annotations[{PAGE_WITHIN}]",
}
"""Where a field of `Slo` stands in the document."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Annotations(_Part):
    threshold: Annotated[str, Field(alias=THRESHOLD)]
    sli: Annotated[SliKind, Field(alias=SLI)] = SliKind.TOTAL
    page_within: Annotated[str | None, Field(alias=PAGE_WITHIN)] = None
    owner: Annotated[str, Field(alias=OWNER, max_length=TEXT_CHARS_MAX)] = ""


class _Metadata(_Part):
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    displayName: str = ""  # noqa: N815  # OpenSLO's spelling
    annotations: _Annotations


class _TimeWindow(_Part):
    duration: str
    isRolling: Literal[True]  # noqa: N815  # OpenSLO's spelling


class _Objective(_Part):
    displayName: str = ""  # noqa: N815  # OpenSLO's spelling
    target: Annotated[float, Field(strict=True)]


class _Spec(_Part):
    description: Annotated[str, Field(max_length=TEXT_CHARS_MAX)] = ""
    service: str = ""
    budgetingMethod: Literal["Occurrences"] = "Occurrences"  # noqa: N815  # OpenSLO's spelling
    timeWindow: Annotated[tuple[_TimeWindow, ...], Field(max_length=1)] = ()  # noqa: N815  # OpenSLO's spelling
    objectives: Annotated[tuple[_Objective, ...], Field(min_length=1, max_length=1)]


class _Document(_Part):
    apiVersion: Literal["openslo/v1"]  # noqa: N815  # OpenSLO's spelling
    kind: Literal["SLO"]
    metadata: _Metadata
    spec: _Spec


def parse_document(raw: object) -> Slo:
    """One decoded document → `Slo`; `SloError` whose `field` is a path inside the document."""
    try:
        document = _Document.model_validate(raw)
    except ValidationError as error:
        raise _first_fault(error) from error
    notes, window = document.metadata.annotations, document.spec.timeWindow
    threshold_s = duration_s(notes.threshold, path=_PATHS["threshold_s"])
    window_s = duration_s(window[0].duration, path=_PATHS["window_s"]) if window else WINDOW_S_DEFAULT
    page_s = duration_s(notes.page_within, path=_PATHS["page_within_s"]) if notes.page_within else PAGE_WITHIN_S_DEFAULT
    try:
        return Slo(
            id=SloId(document.metadata.name),
            objective=document.spec.objectives[0].target,
            indicator=ExactCounters(float(threshold_s), notes.sli),
            window=RollingWindow(int(window_s)),
            page_within_s=float(page_s),
            description=document.spec.description,
            owner=notes.owner,
        )
    except SloError as error:
        raise located(error) from error


def located(error: SloError) -> SloError:
    """The same fault, said about the document instead of about `Slo`."""
    return SloError(_PATHS.get(error.field, error.field), error.problem, error.fix)


def duration_s(text: str, *, path: str) -> Decimal:
    """`200ms` → 0.2, `30d` → 2592000, exactly; `SloError` at `path` for anything else, months and years included."""
    match = _DURATION.match(text)
    if match is None:
        raise SloError(path, f"{text!r} is not a duration", "write a number and one of ms, s, m, h, d, w, e.g. 200ms")
    return Decimal(match[1]) * _UNIT_S[match[2]]


def _first_fault(error: ValidationError) -> SloError:
    """One fault at a time: the first usually explains the rest."""
    fault = error.errors(include_url=False, include_input=False)[0]
    if fault["type"] == "extra_forbidden":
        return SloError(_path(fault["loc"]), "is not supported", "remove it; `slo_rules/openslo.py` lists what is")
    fix = "add it" if fault["type"] == "missing" else "compare with slo_rules/objectives/speech-latency.yaml"
    return SloError(_path(fault["loc"]), fault["msg"], fix)


def _path(location: tuple[int | str, ...]) -> str:
    """`("spec", "objectives", 0, "target")` → `spec.objectives[0].target`."""
    path = ""
    for part in location:
        if isinstance(part, int) or "/" in part:
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path or "document"
