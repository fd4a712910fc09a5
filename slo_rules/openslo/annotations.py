"""Our words in a document's `metadata.annotations`, read and written: what OpenSLO v1 has no field for.

trimtab/threshold: 200ms                 exact counters of our replicas: a request is good within this
trimtab/sli: total                       … or first_audio
trimtab/parts: speech=2, gateway         a composite: other SLOs, one event of `speech` counts twice
trimtab/page-within: 8m                  time to page when everything is bad
trimtab/owner: speech team
trimtab/depends-on: gateway              while that one burns, this one pages nobody
trimtab/exclusions: |                    maintenance, one a line, in UTC
  2026-08-01T02:00:00Z/2026-08-01T04:00:00Z database upgrade
  sunday 02:00-03:30 backups
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from contracts.vocabulary import SliKind, SloId
from slo_rules.errors import SloError
from slo_rules.indicators import PARTS_MAX, Composite, ExactCounters, Part
from slo_rules.model import EXCLUSIONS_MAX, PAGE_WITHIN_S_DEFAULT
from slo_rules.openslo.schema import LINE_CHARS_MAX, NAME_PATTERN
from slo_rules.openslo.units import duration_s, duration_text, positive_number, shown
from slo_rules.promql import number
from slo_rules.windows import Exclusion, Weekday, WeeklyExclusion

OURS = "trimtab/"
THRESHOLD = f"{OURS}threshold"
SLI = f"{OURS}sli"
PARTS = f"{OURS}parts"
PAGE_WITHIN = f"{OURS}page-within"
OWNER = f"{OURS}owner"
DEPENDS_ON = f"{OURS}depends-on"
EXCLUSIONS = f"{OURS}exclusions"
KNOWN = (THRESHOLD, SLI, PARTS, PAGE_WITHIN, OWNER, DEPENDS_ON, EXCLUSIONS)
_NAME = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"))
_INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_INTERVAL = re.compile(rf"({_INSTANT})/({_INSTANT})(?: (.*))?", re.ASCII)
_WEEKLY = re.compile(r"([a-z]+) (\d\d):(\d\d)-(\d\d):(\d\d)(?: (.*))?", re.ASCII)
_INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_EXCLUSION_FIX = "write 2026-08-01T02:00:00Z/2026-08-01T04:00:00Z reason, or sunday 02:00-03:30 reason; UTC, one a line"
MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True)
class Notes:
    """The annotations of one SLO and where they stand."""

    texts: Mapping[str, str]
    path: str
    """Of the mapping itself, e.g. `slos.yaml[0].metadata.annotations`."""

    def at(self, name: str) -> str:
        """Path of one annotation."""
        return f"{self.path}[{name}]"

    def check_names(self) -> None:
        """Refuse what begins with our prefix and is none of ours; other prefixes belong to others."""
        for name in self.texts:
            if name.startswith(OURS) and name not in KNOWN:
                close = get_close_matches(name, KNOWN, n=1)
                fix = f"did you mean {close[0]}?" if close else f"remove it; known: {', '.join(KNOWN)}"
                raise SloError(self.at(name), "is not an annotation of ours", fix)
        if SLI in self.texts and THRESHOLD not in self.texts:
            raise SloError(self.at(SLI), "says what a threshold is about, and there is none", f"add {THRESHOLD}")

    def counters(self) -> ExactCounters:
        """The exact counters of our own replicas."""
        kinds = [kind.value for kind in SliKind]
        sli = self.texts.get(SLI, SliKind.TOTAL.value)
        if sli not in kinds:
            raise SloError(self.at(SLI), f"{shown(sli)} is not measured", f"write {' or '.join(kinds)}")
        return ExactCounters(float(duration_s(self.texts[THRESHOLD], path=self.at(THRESHOLD))), SliKind(sli))

    def composite(self) -> Composite:
        """Other SLOs and what one of their events counts."""
        entries = self.texts[PARTS].split(",")
        if len(entries) > PARTS_MAX:
            raise SloError(
                self.at(PARTS), f"{len(entries)} parts are over {PARTS_MAX}", "name fewer, the ones that matter"
            )
        return Composite(tuple(self._part(entry.strip()) for entry in entries))

    def page_within_s(self) -> float:
        """Seconds to page when everything is bad."""
        text = self.texts.get(PAGE_WITHIN)
        return PAGE_WITHIN_S_DEFAULT if text is None else float(duration_s(text, path=self.at(PAGE_WITHIN)))

    def owner(self) -> str:
        """Who is asked."""
        text = self.texts.get(OWNER, "")
        if len(text) > LINE_CHARS_MAX or "\n" in text or "\t" in text:
            raise SloError(self.at(OWNER), "is not one short line", f"write at most {LINE_CHARS_MAX} characters")
        return text

    def depends_on(self) -> SloId | None:
        """The SLO whose trouble is the cause of this one's."""
        text = self.texts.get(DEPENDS_ON)
        return None if text is None else self._name(text, DEPENDS_ON)

    def exclusions(self) -> tuple[Exclusion | WeeklyExclusion, ...]:
        """Times that do not count."""
        lines = [line.strip() for line in self.texts.get(EXCLUSIONS, "").splitlines() if line.strip()]
        if len(lines) > EXCLUSIONS_MAX:
            raise SloError(self.at(EXCLUSIONS), f"{len(lines)} are over {EXCLUSIONS_MAX}", "drop those that are past")
        return tuple(self._exclusion(line) for line in lines)

    def _name(self, text: str, annotation: str) -> SloId:
        if not _NAME.fullmatch(text):
            raise SloError(self.at(annotation), f"{shown(text)} is not the name of an SLO", "write its metadata.name")
        return SloId(text)

    def _part(self, entry: str) -> Part:
        name, equals, weight = (piece.strip() for piece in entry.partition("="))
        path = self.at(PARTS)
        return Part(self._name(name, PARTS), positive_number(weight, path=path) if equals else 1.0)

    def _exclusion(self, line: str) -> Exclusion | WeeklyExclusion:
        if interval := _INTERVAL.fullmatch(line):
            starts, ends = self._unix_s(interval[1]), self._unix_s(interval[2])
            return Exclusion(starts, ends, (interval[3] or "").strip())
        weekly = _WEEKLY.fullmatch(line)
        if weekly is None or weekly[1] not in list(Weekday):
            raise SloError(self.at(EXCLUSIONS), f"{shown(line)} is not a time", _EXCLUSION_FIX)
        starts, ends = self._minute(weekly[2], weekly[3]), self._minute(weekly[4], weekly[5])
        return WeeklyExclusion(Weekday(weekly[1]), starts, ends, (weekly[6] or "").strip())

    def _unix_s(self, text: str) -> int:
        try:
            return int(datetime.strptime(text, _INSTANT_FORMAT).replace(tzinfo=UTC).timestamp())
        except ValueError as error:
            raise SloError(self.at(EXCLUSIONS), f"{shown(text)} is not a time", _EXCLUSION_FIX) from error

    def _minute(self, hours: str, minutes: str) -> int:
        if int(minutes) >= MINUTES_PER_HOUR:
            raise SloError(self.at(EXCLUSIONS), f"{hours}:{minutes} is not a time of day", _EXCLUSION_FIX)
        return int(hours) * MINUTES_PER_HOUR + int(minutes)


def parts_text(composite: Composite) -> str:
    """The value of `PARTS`."""
    weights = ((part.slo, "" if part.weight == 1 else f"={number(part.weight)}") for part in composite.parts)
    return ", ".join(f"{slo}{weight}" for slo, weight in weights)


def counters_texts(counters: ExactCounters) -> dict[str, str]:
    """The annotations of exact counters."""
    return {THRESHOLD: duration_text(counters.threshold_s), SLI: counters.sli.value}


def exclusions_text(exclusions: tuple[Exclusion | WeeklyExclusion, ...]) -> str:
    """The value of `EXCLUSIONS`."""
    return "\n".join(_exclusion_line(exclusion) for exclusion in exclusions)


def _exclusion_line(exclusion: Exclusion | WeeklyExclusion) -> str:
    if isinstance(exclusion, Exclusion):
        when = f"{_instant(exclusion.starts_unix_s)}/{_instant(exclusion.ends_unix_s)}"
    else:
        times = (divmod(minute, MINUTES_PER_HOUR) for minute in (exclusion.starts_minute, exclusion.ends_minute))
        when = f"{exclusion.weekday.value} " + "-".join(f"{hours:02}:{minutes:02}" for hours, minutes in times)
    return f"{when} {exclusion.reason}".rstrip()


def _instant(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime(_INSTANT_FORMAT)
