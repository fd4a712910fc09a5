"""Ready documents for software whose metrics are known: each parses and compiles as it is, and says what to adapt."""

from pathlib import Path

from slo_rules.errors import SloError

TEMPLATES = Path(__file__).parent / "templates"


def template_names() -> tuple[str, ...]:
    """Names in order, e.g. `envoy-latency`."""
    return tuple(sorted(path.stem for path in TEMPLATES.glob("*.yaml")))


def template_text(name: str) -> str:
    """The document as YAML with comments; `SloError` for a name that is none."""
    if name not in template_names():
        raise SloError("template", "there is none of that name", f"choose one of {', '.join(template_names())}")
    return (TEMPLATES / f"{name}.yaml").read_text(encoding="utf-8")


def template_summary(name: str) -> str:
    """Its first sentence."""
    comments = (line.removeprefix("#").strip() for line in template_text(name).splitlines() if line.startswith("#"))
    return " ".join(comments).split(". ")[0].split(": pair")[0].rstrip(".")
