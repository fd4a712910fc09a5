"""YAML text ↔ plain values, under bounds: what a stranger's file may cost, and what it may mean.

Values are built from the parser's events and never by a YAML library's constructors, so a tag can make no object, a date
stays the text it is, and "no" is a word: plain scalars follow YAML 1.2's core schema. Aliases are allowed and count with
everything they repeat, which stops a billion laughs at the same bound as a long file. Every refusal is a `SloError` that
names the file, the document and the path inside it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import yaml

from slo_rules.errors import SloError

TEXT_BYTES_MAX = 1_048_576
"""A thousand documents with long descriptions; more is not a file of SLOs."""
VALUES_MAX = 200_000
"""Scalars, lists and mappings of one file with aliases written out: a thousand documents have about 40,000."""
DEPTH_MAX = 30
"""OpenSLO's own deepest path has 12 steps."""
DOCUMENTS_MAX = 5_000
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,5})?")
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_LINE_CHARS = 120
_PARSER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
"""libyaml reads a file of a thousand documents thirty times faster."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One document of a text and what to call it: `slos.yaml[2]`, the third."""

    where: str
    value: object


def decode(text: str, source: str) -> tuple[Decoded, ...]:
    """Every document that is not empty, in order; `source` begins the path of every refusal."""
    _check_size(text, source)
    try:
        documents = tuple(_Builder(source, yaml.parse(text, Loader=_PARSER)).documents())
    except yaml.YAMLError as error:
        raise SloError(
            source, f"not valid YAML: {_one_line(error)}", "check the indentation around that line"
        ) from error
    found = tuple(document for document in documents if document.value is not None)
    if not found:
        raise SloError(source, "holds no document", "write at least one SLO")
    return found


def encode(documents: Iterable[object]) -> str:
    """YAML text that `decode` reads back as the same values, separated by `---`."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, width=_LINE_CHARS, allow_unicode=True, explicit_start=False
    )


def plain_scalar(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means: YAML 1.2's core schema, in decimal."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


@dataclass(slots=True)
class _Builder:
    """Values from parser events; recursion is bounded by `DEPTH_MAX`."""

    source: str
    events: Iterator[yaml.Event]
    values: int = 0
    where: str = ""
    anchors: dict[str, tuple[object, int]] = field(default_factory=dict)
    """Finished values by anchor, and how many values they hold: an anchor inside itself is not finished, so unknown."""

    def documents(self) -> Iterator[Decoded]:
        index = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.where = f"{self.source}[{index}]"
                if index == DOCUMENTS_MAX:
                    raise SloError(self.source, f"holds more than {DOCUMENTS_MAX} documents", "split the file")
                self.anchors.clear()
                yield Decoded(self.where, self._value(next(self.events), "", 0))
                index += 1

    def _value(self, event: yaml.Event, path: str, depth: int) -> object:
        if depth > DEPTH_MAX:
            raise self._fault(path, f"nests deeper than {DEPTH_MAX}", "write an OpenSLO document")
        before = self.values
        self._count(1, path)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            raise TypeError(f"the parser gave {event} where a value begins")
        if event.tag is not None:
            raise self._fault(path, f"has the YAML tag {_short(event.tag)}", "remove the tag: plain values are enough")
        value = self._untagged(event, path, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, self.values - before)
        return value

    def _untagged(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, path: str, depth: int) -> object:
        if isinstance(event, yaml.ScalarEvent):
            return plain_scalar(event.value) if event.implicit[0] else event.value
        return self._mapping(path, depth) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path, depth)

    def _mapping(self, path: str, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._value(event, path, depth + 1)
            if not isinstance(key, str) or key == "<<":
                raise self._fault(path, f"has the key {_short(key)}", "use names as keys; write merged fields out")
            below = step(path, key)
            if key in found:
                raise self._fault(below, "appears twice", "remove one of them")
            found[key] = self._value(next(self.events), below, depth + 1)
        return found

    def _sequence(self, path: str, depth: int) -> list[object]:
        found: list[object] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self._value(event, step(path, len(found)), depth + 1))
        return found

    def _alias(self, event: yaml.AliasEvent, path: str) -> object:
        known = self.anchors.get(event.anchor or "")
        if known is None:
            raise self._fault(path, f"repeats *{_short(event.anchor)}, which nothing before it defines", "write it out")
        self._count(known[1], path)
        return known[0]

    def _count(self, values: int, path: str) -> None:
        self.values += values
        if self.values > VALUES_MAX:
            raise self._fault(path, f"the file holds more than {VALUES_MAX} values", "split it; write aliases out")

    def _fault(self, path: str, problem: str, fix: str) -> SloError:
        return SloError(join(self.where, path), problem, fix)


def step(path: str, key: str | int) -> str:
    """One step further: `spec.objectives` and 0 → `spec.objectives[0]`; names that are no words go into brackets, too."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not re.fullmatch(r"[A-Za-z_]\w{0,60}", key, re.ASCII):
        return f"{path}[{_short(key) if len(key) > _KEY_CHARS_MAX or not key.isprintable() else key}]"
    return f"{path}.{key}" if path else key


def join(where: str, path: str) -> str:
    """`slos.yaml[0]` and `spec.service` → `slos.yaml[0].spec.service`."""
    return f"{where}.{path}" if where and path and not path.startswith("[") else where + path


_KEY_CHARS_MAX = 80


def _short(value: object) -> str:
    """Something of a hostile value, to recognise it by."""
    text = repr(value)
    return text if len(text) <= _KEY_CHARS_MAX else f"{text[:_KEY_CHARS_MAX]}…"


def _check_size(text: str, source: str) -> None:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise SloError(source, "holds half a character (a surrogate)", "write UTF-8 text") from error
    if size > TEXT_BYTES_MAX:
        raise SloError(source, f"{size} bytes are more than {TEXT_BYTES_MAX}", "split the file")


def _one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would read as something else, indents lists, and never writes aliases."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  # ours is fixed
        return super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    lines = text.split("\n")
    if len(lines) > 1 and all(line and not line.startswith((" ", "\t")) for line in lines):
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    style = None if plain_scalar(text) == text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
