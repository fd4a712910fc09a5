"""Twelve minutes of an agent's life in twelve seconds: `make soak-agent` in small, for leaks that are not small."""

import pytest

from bench.agentlab.soak import Plan, Sample, soak

FDS_GROWTH_MAX = 6
"""A scrape, a sync and a replica that starts hold files for a moment. A leak of one per scrape would be a hundred."""
RSS_GROWTH_MB_MAX = 12.0
"""What is used for the first time, as imports and caches. A leak of a page per scrape would be more."""


def thirds(samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    """The first and the last third."""
    third = len(samples) // 3
    return samples[:third], samples[-third:]


@pytest.mark.compiler
def test_neither_files_nor_memory_pile_up(tmp_path):
    diary = soak(Plan(hours=0.2, factor=60.0, gpus=2, sample_every_s=10.0), tmp_path)
    assert diary.scrapes > 60
    assert diary.scrapes_unanswered == 0
    assert diary.syncs > 20
    assert diary.total("agent_probe_seconds_count") > 200
    assert sum(diary.mishaps.values()) >= 1
    for process in ("agent", "worker"):
        early, late = thirds(diary.of(process))
        assert max(look.fds for look in late) <= max(look.fds for look in early) + FDS_GROWTH_MAX
        assert max(look.rss_bytes for look in late) <= max(look.rss_bytes for look in early) + RSS_GROWTH_MB_MAX * 1e6
