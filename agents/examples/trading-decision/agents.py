"""Five agents in one process: `market-data`, `technical`, `sentiment`, `risk` and `decision`. Each could be one of its own."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from mesh_agent import Agent, Context, Fatal

MARKET = Path("market")
#: Days of the short and of the long average.
SHORT, LONG = 10, 30
GOOD = {"beats", "contract", "growth", "praise", "profit", "record", "strong", "wins"}
BAD = {"complaint", "cuts", "investigation", "loss", "recalls", "warns", "weak"}
#: Most of the capital that one day's usual move may cost.
AT_RISK = 0.01
#: How much better than nothing signals must be to act on them.
THRESHOLD = 0.25

agent = Agent("trader")


@dataclass
class Share:
    symbol: str


@dataclass
class Closes:
    closes: list[float]


@dataclass
class Headlines:
    headlines: list[str]


@dataclass
class Exposure:
    capital: float
    price: float
    volatility: float
    drawdown: float


@dataclass
class Risk:
    level: str
    most_shares: int


@dataclass
class Signals:
    symbol: str
    held: int
    trend: float
    mood: float
    risk: Risk


@agent.capability("market-data")
def market_data(_ctx: Context, share: Share) -> dict[str, Any]:
    prices, news = MARKET / f"{share.symbol}.csv", MARKET / f"{share.symbol}.txt"
    if not prices.is_file():
        raise Fatal("unknown_symbol", f"there are no prices of {share.symbol}")
    with prices.open(encoding="utf-8", newline="") as file:
        closes = [float(row["close"]) for row in csv.DictReader(file)]
    headlines = news.read_text(encoding="utf-8").splitlines() if news.is_file() else []
    return {"closes": closes, "headlines": headlines}


@agent.capability("technical")
async def technical(_ctx: Context, task: Closes) -> dict[str, float]:
    closes = task.closes
    if len(closes) < LONG:
        raise Fatal("too_short", f"{LONG} days are needed, there are {len(closes)}")
    moves = [after / before - 1 for before, after in zip(closes, closes[1:])]
    highest = max(closes[-LONG:])
    return {
        "price": closes[-1],
        "trend": round(fmean(closes[-SHORT:]) / fmean(closes[-LONG:]) - 1, 4),
        "volatility": round(stdev(moves[-LONG:]), 4),
        "drawdown": round(1 - closes[-1] / highest, 4),
    }


@agent.capability("sentiment")
async def sentiment(_ctx: Context, task: Headlines) -> dict[str, float]:
    """From -1, nothing but bad words, to 1."""
    words = [word for line in task.headlines for word in re.findall(r"[a-z]+", line.lower())]
    good, bad = sum(word in GOOD for word in words), sum(word in BAD for word in words)
    if not good + bad:
        raise Fatal("no_news", "no headline says anything")
    return {"mood": round((good - bad) / (good + bad), 2)}


@agent.capability("risk")
async def risk(_ctx: Context, task: Exposure) -> Risk:
    shares = task.capital / task.price
    if task.volatility > 0:
        shares = min(shares, AT_RISK * task.capital / (task.price * task.volatility))
    score = task.volatility / 0.03 + task.drawdown / 0.15
    level = "low" if score < 1 else "medium" if score < 2 else "high"
    return Risk(level, math.floor(shares if level != "high" else shares / 2))


@agent.capability("decision")
async def decision(_ctx: Context, signals: Signals) -> dict[str, Any]:
    score = round(0.6 * math.tanh(signals.trend * 20) + 0.4 * signals.mood, 2)
    wanted = signals.held
    if score > THRESHOLD and signals.risk.level != "high":
        wanted = max(signals.held, signals.risk.most_shares)
    elif score < -THRESHOLD:
        wanted = 0
    change = wanted - signals.held
    action = "buy" if change > 0 else "sell" if change < 0 else "hold"
    return {
        "symbol": signals.symbol,
        "action": action,
        "shares": abs(change),
        "score": score,
        "risk": signals.risk.level,
        "because": f"trend {signals.trend:+.1%}, mood {signals.mood:+.2f}",
    }


if __name__ == "__main__":
    agent.run()
