"""promtool as a measuring instrument: rules, input series and questions in, numbers out.

`promtool test rules` compares, and prints what it got where a comparison fails. So every question expects a value that
nothing ever has, and the answers are read from the failures. What fires, and when, is thus decided by Prometheus' own rule
manager on a simulated clock. It evaluates every group at the file's interval, whatever the group says, so an engine's file
carries the interval of its alerts.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.rulelab.traffic import Counter
from slo_rules import promql
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile

NEVER = -987_654_321.0
TIMEOUT_S = 300
_ANSWER = re.compile(r"time: (?P<time>[^,\n]+),\s+exp: [^\n]*\n\s+got: (?P<got>[^\n]*)")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one scene at its end: PromQL that gives one sample without labels, or none."""

    rules: RuleFile
    eval_s: int
    series: tuple[Counter, ...]
    at_s: int
    expr: str


def ask(questions: Sequence[Question]) -> list[float | None]:
    """Answers in the order of the questions; None where the expression gives nothing. `RuntimeError` if promtool balks."""
    with tempfile.TemporaryDirectory(prefix="rulelab-") as name:
        folder = Path(name)
        files = [_write(folder, number, question) for number, question in enumerate(questions)]
        done = subprocess.run(
            ["promtool", "test", "rules", *files],
            cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    answers = [_number(found["got"]) for found in _ANSWER.finditer(done.stdout + done.stderr)]
    if len(answers) != len(questions):
        msg = f"promtool answered {len(answers)} of {len(questions)} questions: {(done.stdout + done.stderr)[-2000:]}"
        raise RuntimeError(msg)
    return answers


def first_s(condition: str, at_s: int, eval_s: int) -> str:
    """PromQL: when `condition` first held, in seconds since the start; nothing when it never did."""
    return f"min(min_over_time((timestamp({condition}))[{promql.duration(at_s)}:{promql.duration(eval_s)}]))"


def lasted_s(condition: str, at_s: int, eval_s: int) -> str:
    """PromQL: for how many seconds `condition` held; nothing when it never did."""
    held = f"(count({condition}) > bool 0)[{promql.duration(at_s)}:{promql.duration(eval_s)}]"
    return f"sum(sum_over_time({held})) * {eval_s}"


def _write(folder: Path, number: int, question: Question) -> str:
    (folder / f"rules-{number}.yml").write_text(render_rules(question.rules))
    wrong = [{"labels": "{}", "value": NEVER}]
    test = {
        "interval": promql.duration(question.series[0].scrape_s),
        "input_series": [
            {"series": series.selector, "values": _values(series, question.at_s)} for series in question.series
        ],
        "promql_expr_test": [
            {"expr": question.expr, "eval_time": promql.duration(question.at_s), "exp_samples": wrong}
        ],
    }
    document = {
        "rule_files": [f"rules-{number}.yml"],
        "evaluation_interval": promql.duration(question.eval_s),
        "tests": [test],
    }
    path = f"test-{number:04d}.yml"
    (folder / path).write_text(yaml.safe_dump(document, sort_keys=False, width=1_000_000))
    return path


def _values(series: Counter, until_s: int) -> str:
    """A replica that is gone fails its next scrape, and Prometheus marks its series as stale at once."""
    before = f"_x{series.absent_scrapes} " if series.absent_scrapes else ""
    ends_s = (series.absent_scrapes + len(series.values)) * series.scrape_s
    return f"{before}{notation(series.values.tolist())}{' stale' if ends_s < until_s else ''}"


def notation(values: Iterable[int]) -> str:
    """promtool's shorthand: `0+300x9 3300+0x4` for ten samples that grow by 300 and five that stand still."""
    parts: list[str] = []
    start: int | None = None
    last = step = more = 0
    for value in values:
        if start is None:
            start, last, step, more = value, value, 0, 0
        elif more == 0 or value - last == step:
            step, more, last = value - last, more + 1, value
        else:
            parts.append(f"{start}+{step}x{more}")
            start, last, step, more = value, value, 0, 0
    return " ".join([*parts, f"{start}+{step}x{more}"])


def _number(got: str) -> float | None:
    return None if got.strip() == "nil" else float(got.rsplit(maxsplit=1)[-1])
