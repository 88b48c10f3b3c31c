"""What counts mean beside those of the baseline, and beside each other."""

import re

# What a count may be above that of the baseline: more than other versions of the C library or another processor make
# of it, and less than a change that somebody should know of.
MORE = 0.05
# What it may be below: what is won is lost again unseen, unless a new baseline keeps it.
LESS = 0.10
# What an event may cost at the most behind many finished tasks, in what it costs behind the fewest. Look-ups by id grow with
# the logarithm of what they look through; anything else shows at once.
GROWTH = 1.25
# How long a scenario may take: ten times what the longest does on a slow machine.
MOST_SECONDS = 600
FINISHED = re.compile(r"(fold-.+)-(\d+)")

STORE = "make instructions WRITE=1"


def judge(counts, stored, rustc):
    """Sentences about what is wrong; none if nothing is.

    `counts` has the instructions of each scenario by its name, None if it did not end in time; `stored` is the baseline
    of this machine, or None.
    """
    problems = growth(counts)
    for name, count in counts.items():
        if count is None:
            problems.append(
                f"{name} did not end within {MOST_SECONDS} s, as it happens when an event costs more with each finished task"
            )
    if stored is None:
        return problems
    if stored["rustc"] != rustc:
        problems.append(f"the baseline was made with rustc {stored['rustc']}, this is {rustc}: `{STORE}` makes a new one")
        return problems
    for name, count in counts.items():
        before = stored["counts"].get(name)
        if count is None:
            continue
        if before is None:
            problems.append(f"{name} has no baseline: `{STORE}` makes one")
        elif count > before * (1 + MORE):
            problems.append(
                f"{name} takes {number(count)} instructions, {difference(count, before)} compared with the "
                f"{number(before)} of the baseline, where {MORE:.0%} more are allowed"
            )
        elif count < before * (1 - LESS):
            problems.append(
                f"{name} takes {number(count)} instructions instead of {number(before)} ({difference(count, before)}): "
                f"that is good, and `{STORE}` keeps it so"
            )
    for name in stored["counts"]:
        if name not in counts:
            problems.append(f"{name} is in the baseline and there is no such scenario: `{STORE}` forgets it")
    return problems


def growth(counts):
    """What is wrong with how the costs of an event grow with the finished tasks of its run."""
    shapes = {}
    for name, count in counts.items():
        found = FINISHED.fullmatch(name)
        if found and count is not None:
            shapes.setdefault(found[1], {})[int(found[2])] = count
    problems = []
    for shape, costs in shapes.items():
        few = min(costs)
        for finished, cost in costs.items():
            if cost > costs[few] * GROWTH:
                problems.append(
                    f"{shape}: an event behind {number(finished)} finished tasks takes {number(cost)} instructions, "
                    f"{cost / costs[few]:.2f} times the {number(costs[few])} behind {few}, where {GROWTH} times are allowed: "
                    "something goes through all that has finished, and no baseline makes that right"
                )
    return problems


def table(counts, stored):
    """The lines of a table: scenario, instructions, baseline, difference."""
    rows = [("scenario", "instructions", "baseline", "difference")]
    for name, count in counts.items():
        before = stored["counts"].get(name) if stored else None
        rows.append((name, number(count), number(before), difference(count, before)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield f"{row[0]:<{widths[0]}}  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:]))


def number(count):
    return "-" if count is None else f"{count:,}".replace(",", " ")


def difference(count, before):
    return f"{(count - before) / before * 100:+.1f} %" if count and before else "-"
