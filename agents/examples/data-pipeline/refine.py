"""Makes one set of readings of many: `blend` weighs them, `validate` says what is wrong with that, `publish` writes it."""

from __future__ import annotations

import csv
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Optional

from mesh_agent import Agent, Context

#: What a thermometer outdoors can show, in degrees Celsius.
LOWEST, HIGHEST = -40.0, 50.0
#: How far a reading may be from the middle of all of its station.
FARTHEST = 5.0
#: Share of the stations that must have a reading.
FEWEST = 0.5
PUBLISHED = Path("published.csv")

agent = Agent("refiner")


@dataclass
class Source:
    source: str
    share: float
    output: dict[str, Optional[float]]


@dataclass
class Leave:
    """A reading that is left out."""

    source: str
    station: str


@dataclass
class Blend:
    sources: list[Source]
    without: list[Leave]


@dataclass
class Blended:
    #: By station the reading of each source.
    parts: dict[str, dict[str, float]]
    readings: dict[str, Optional[float]]
    without: list[Leave]


@agent.capability("blend")
async def blend(_ctx: Context, task: Blend) -> Blended:
    stations = sorted({station for source in task.sources for station in source.output})
    parts: dict[str, dict[str, float]] = {station: {} for station in stations}
    for source in task.sources:
        for station, value in source.output.items():
            if value is not None and Leave(source.source, station) not in task.without:
                parts[station][source.source] = value
    shares = {source.source: source.share for source in task.sources}
    readings = {station: weighted(part, shares) for station, part in parts.items()}
    return Blended(parts, readings, task.without)


def weighted(part: dict[str, float], shares: dict[str, float]) -> Optional[float]:
    weight = sum(shares[source] for source in part)
    return round(sum(shares[source] * value for source, value in part.items()) / weight, 1) if weight else None


@agent.capability("validate")
async def validate(_ctx: Context, blended: Blended) -> dict[str, Any]:
    objections = [
        Leave(source, station)
        for station, part in blended.parts.items()
        for source, value in part.items()
        if not LOWEST <= value <= HIGHEST or abs(value - median(part.values())) > FARTHEST
    ]
    there = sum(value is not None for value in blended.readings.values())
    if there < FEWEST * len(blended.readings):
        verdict = "critical_failure"
    else:
        verdict = "needs_revision" if objections else "approved"
    without = [*blended.without, *objections]
    return {
        "verdict": verdict,
        "readings": blended.readings,
        "used": sorted({source for part in blended.parts.values() for source in part}),
        "problems": [f"{leave.station} by {leave.source}" for leave in without],
        "without": [asdict(leave) for leave in without],
    }


@agent.capability("publish")
async def publish(_ctx: Context, readings: dict[str, Optional[float]]) -> dict[str, Optional[float]]:
    """Replaces what was published before; once more makes no difference."""
    new = PUBLISHED.with_suffix(".new")
    with new.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("station", "temperature"), *readings.items()])
    os.replace(new, PUBLISHED)
    return readings


if __name__ == "__main__":
    agent.run()
