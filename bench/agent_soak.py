"""Six hours of an agent's life in six minutes: are its memory and its open files flat?

    python -m bench.agent_soak [--hours 6] [--factor 60] [--picture soak.svg]

The real agent on a clock that runs `factor` times as fast, over simulated GPUs that its NVML worker samples as often:
two replicas are probed five times a second, Prometheus scrapes every five seconds, a controller holds polls, and every
ten minutes something breaks: a replica is killed or frozen, an Xid happens, the worker is killed. All in simulated time.
Prints Markdown; the exit code is 1 when a curve is not flat.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from bench.agentlab.flatness import Curve
from bench.agentlab.machine import load_line, machine_line
from bench.agentlab.soak import Diary, Plan, soak
from bench.agentlab.svg import picture

RSS_GROWTH_MB_PER_H_MAX = 0.35
"""A megabyte over the second half, which is one arena of Python's allocator. A leak of 10 bytes per probe would be more."""
RSS_MB_MAX = {"agent": 70.0, "worker": 40.0}
FDS_DRIFT_MAX = 1.0
FDS_SPREAD_MAX = 12.0
"""A scrape, a sync, a probe and a replica that starts hold files for a moment."""
MB = 1e6


def curves_of(diary: Diary) -> dict[str, list[Curve]]:
    """By what is measured."""
    found: dict[str, list[Curve]] = {"RSS": [], "PSS": [], "open files": []}
    for process in ("agent", "worker"):
        looks = diary.of(process)
        found["RSS"].append(Curve(process, "MB", tuple((look.at_h, look.rss_bytes / MB) for look in looks)))
        found["PSS"].append(Curve(process, "MB", tuple((look.at_h, look.pss_bytes / MB) for look in looks)))
        found["open files"].append(Curve(process, "", tuple((look.at_h, float(look.fds)) for look in looks)))
    return found


def not_flat(curves: dict[str, list[Curve]]) -> list[str]:
    """One sentence per bound that does not hold."""
    faults = []
    for curve in curves["RSS"]:  # PSS also moves with what others on the machine share
        if curve.slope_per_h > RSS_GROWTH_MB_PER_H_MAX:
            faults.append(f"{curve.name}: grows {curve.slope_per_h:.2f} MB/h")
        if curve.highest > RSS_MB_MAX[curve.name]:
            faults.append(f"{curve.name}: {curve.highest:.1f} MB")
    faults += [
        f"{curve.name}: {curve.lowest:.0f}–{curve.highest:.0f} open files, drift {curve.drift:+.0f}"
        for curve in curves["open files"]
        if abs(curve.drift) > FDS_DRIFT_MAX or curve.highest - curve.lowest > FDS_SPREAD_MAX
    ]
    return faults


def table(curves: dict[str, list[Curve]]) -> str:
    """Markdown."""
    rows = [
        "| process | figure | lowest–highest | drift, last third − first | slope per hour |",
        "|---|---|---|---|---|",
    ]
    for figure, of_processes in curves.items():
        rows += [
            f"| {curve.name} | {figure} | {curve.lowest:.1f}–{curve.highest:.1f} {curve.unit} "
            f"| {curve.drift:+.2f} {curve.unit} | {curve.slope_per_h:+.3f} {curve.unit} |"
            for curve in of_processes
        ]
    return "\n".join(rows)


def work_done(diary: Diary) -> str:
    """What the agent did meanwhile, counted by itself where it can."""
    mishaps = ", ".join(f"{count} × {what}" for what, count in diary.mishaps.items())
    return (
        f"Meanwhile: {diary.scrapes} scrapes ({diary.scrapes_unanswered} unanswered), {diary.syncs} syncs, "
        f"{diary.total('agent_probe_seconds_count'):.0f} probes, {diary.total('agent_reflexes_total'):.0f} reflexes; "
        f"broken on purpose: {mishaps}."
    )


def main() -> int:
    """Soak, print, judge."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hours", type=float, default=6.0)
    options.add_argument("--factor", type=float, default=60.0)
    options.add_argument("--gpus", type=int, default=8)
    options.add_argument("--picture", type=Path)
    asked = options.parse_args()
    print(f"Machine: {machine_line()}.\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="agent-soak-") as folder:
        diary = soak(Plan(hours=asked.hours, factor=asked.factor, gpus=asked.gpus), Path(folder))
    curves = curves_of(diary)
    print(f"{asked.hours:g} hours at {asked.factor:g} × real time, {asked.gpus} simulated GPUs.\n")
    print(table(curves) + "\n\n" + work_done(diary))
    print(f"At the end: {load_line()}.")
    if asked.picture is not None:
        asked.picture.parent.mkdir(parents=True, exist_ok=True)
        asked.picture.write_text(
            picture([("resident memory (RSS), MB", curves["RSS"]), ("open files", curves["open files"])])
        )
    faults = not_flat(curves)
    for sentence in faults:
        print(f"NOT FLAT: {sentence}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
