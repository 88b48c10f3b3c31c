"""Four agents in one process: `fetch`, `validate`, `transform` and `store`. Each could be one of its own."""

from __future__ import annotations

import json
import os
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Union

from mesh_agent import Agent, Context, Fatal, Retryable

API = os.environ.get("API_URL", "http://127.0.0.1:8099")
DATABASE = "products.db"
FETCH_SECONDS = 5
LARGEST_BYTES = 8_000_000
#: HTTP statuses that are worth another attempt.
PASSING = {408, 425, 429, 500, 502, 503, 504}
#: The greatest share of records that may be wrong.
MOST_REFUSED = 0.5

SCHEMA = """
    create table if not exists products (sku text primary key, name text, cents integer, in_stock integer);
    create table if not exists imports (key text primary key, source text, products integer);
"""

agent = Agent("importer")


@dataclass
class Address:
    path: str


@dataclass
class Records:
    records: list[dict[str, Any]]


@dataclass
class Product:
    sku: str
    name: str
    cents: int
    in_stock: bool


@dataclass
class Import:
    products: list[Product]
    source: str


@agent.capability("fetch")
def fetch(_ctx: Context, address: Address) -> Any:
    url = API + address.path
    try:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as response:
            body = response.read(LARGEST_BYTES + 1)
    except urllib.error.HTTPError as error:
        kind: type[Union[Fatal, Retryable]] = Retryable if error.code in PASSING else Fatal
        raise kind(f"http_{error.code}", f"{url}: {error.reason}") from error
    except OSError as error:
        raise Retryable("unreachable", f"{url}: {error}") from error
    if len(body) > LARGEST_BYTES:
        raise Fatal("too_large", f"{url} answers with more than {LARGEST_BYTES} bytes")
    try:
        return json.loads(body)
    except ValueError as error:
        raise Fatal("not_json", f"{url}: {error}") from error


def wrong(record: dict[str, Any]) -> list[str]:
    """What is wrong with a record."""
    problems = [f"no {key}" for key in ("sku", "name") if not str(record.get(key) or "").strip()]
    try:
        if not 0 <= Decimal(str(record.get("price"))) < 1_000_000:
            problems.append("price out of range")
    except InvalidOperation:
        problems.append("no price")
    if type(record.get("stock")) is not int or record["stock"] < 0:
        problems.append("no stock")
    return problems


@agent.capability("validate")
async def validate(_ctx: Context, task: Records) -> dict[str, Any]:
    problems = [wrong(record) for record in task.records]
    refused = [
        {"record": number, "problems": found} for number, found in enumerate(problems, 1) if found
    ]
    if len(refused) > MOST_REFUSED * len(task.records):
        raise Fatal("bad_data", f"{len(refused)} of {len(task.records)} records are wrong")
    valid = [record for record, found in zip(task.records, problems) if not found]
    return {"valid": valid, "refused": refused}


@agent.capability("transform")
async def transform(_ctx: Context, task: Records) -> list[Product]:
    """Prices in cents, names with single spaces; of a product that comes twice, the last."""
    products = {}
    for record in task.records:
        cents = int((Decimal(str(record["price"])) * 100).to_integral_value())
        name = " ".join(record["name"].split())
        products[record["sku"]] = Product(record["sku"], name, cents, record["stock"] > 0)
    return list(products.values())


@agent.capability("store")
def store(ctx: Context, task: Import) -> dict[str, int]:
    return stored(ctx.idempotency_key, task)


def stored(key: str, task: Import) -> dict[str, int]:
    """In one transaction with the key of the task: when that is done again, the key is there and nothing changes."""
    rows = [(product.sku, product.name, product.cents, product.in_stock) for product in task.products]
    with closing(sqlite3.connect(DATABASE)) as database:
        database.executescript(SCHEMA)
        with database:
            once = database.execute("insert or ignore into imports values (?, ?, ?)", (key, task.source, len(rows)))
            if once.rowcount == 1:
                database.executemany("insert or replace into products values (?, ?, ?, ?)", rows)
        return {table: count(database, table) for table in ("imports", "products")}


def count(database: sqlite3.Connection, table: str) -> int:
    (rows,) = database.execute(f"select count(*) from {table}").fetchone()
    return int(rows)


if __name__ == "__main__":
    agent.run()
