"""Fetches readings: the capability `fetch` from a service, which is a file here, `archive` what was published last."""

from __future__ import annotations

import asyncio
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from mesh_agent import Agent, Context, Fatal, Output, Retryable

ARCHIVE = "sources/archive.csv"
#: How far yesterday's readings are to be trusted, from 0 to 1.
ARCHIVE_QUALITY = 0.3

agent = Agent("fetcher")

Readings = dict[str, Optional[float]]


@dataclass
class Service:
    file: str
    #: How long the service takes to answer.
    seconds: float = 0.0


def number(text: Optional[str]) -> Optional[float]:
    try:
        return float(text or "")
    except ValueError:
        return None


def read(file: str) -> Readings:
    try:
        with Path(file).open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            if rows.fieldnames != ["station", "temperature"]:
                raise Fatal("malformed", f"{file} has no stations and temperatures")
            return {row["station"]: number(row["temperature"]) for row in rows}
    except OSError as error:
        raise Retryable("unavailable", f"{file}: {error.strerror}") from error


@agent.capability("fetch")
async def fetch(_ctx: Context, service: Service) -> Output:
    await asyncio.sleep(service.seconds)
    readings = read(service.file)
    there = sum(value is not None for value in readings.values())
    return Output(readings, quality=there / len(readings) if readings else 0.0)


@agent.capability("archive")
async def archive(_ctx: Context, _input: object) -> Output:
    """In the form of a merge: one source, which has all the weight."""
    source = {"source": "archive", "share": 1.0, "output": read(ARCHIVE)}
    return Output({"sources": [source]}, quality=ARCHIVE_QUALITY)


if __name__ == "__main__":
    agent.run()
