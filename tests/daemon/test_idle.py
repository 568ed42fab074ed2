"""A daemon that waits for bars takes little: memory, processor, libraries."""

from __future__ import annotations

from pathlib import Path

from benchmarks.idle import project, weigh


def test_twenty_instruments_without_frames_fit_80_mb_and_load_nothing_heavy(tmp_path: Path) -> None:
    idle = weigh(project(tmp_path / "project"), tmp_path / "state", 1.0)

    assert idle.mapped == ()
    assert idle.resident_mb <= 80
    assert idle.own_mb <= 60
