#!/usr/bin/env python3
"""Counts the instructions of each scenario of mesh-instructions and compares them with the baseline.

    check.py target/instructions/mesh-instructions            # exit 1 if anything is wrong
    check.py --write target/instructions/mesh-instructions    # stores the counts as the new baseline

`make instructions` builds the program and runs this. Valgrind is the one in target/tools, which `make tools` fetches, or
else that of the system. Where it does not run, such as on macOS, nothing is counted, and that is said.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from judge import MOST_SECONDS, STORE, judge, table

ROOT = Path(__file__).resolve().parent.parent.parent
BASELINE = Path(__file__).resolve().parent / "baseline.json"
TOOL = ROOT / "target" / "tools" / "valgrind"
# The function of the program that holds what is counted, as demangled from either form of symbol.
MEASURED = "*mesh_instructions*::measured*"
# Machines that Valgrind is fetched for: there it is a defect if nothing can be counted.
SERVED = ("x86_64", "aarch64")


class CountError(Exception):
    """Why nothing can be counted, in words for whoever runs this."""


def main():
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--write", action="store_true", help="store the counts as the new baseline")
    arguments.add_argument("program", type=Path, help="mesh-instructions, built with the profile `instructions`")
    given = arguments.parse_args()
    if platform.system() != "Linux" or machine() not in SERVED:
        print(f"instructions: skipped, as Valgrind is not fetched for {platform.system()} on {machine()}")
        return
    try:
        check(given.program.resolve(), given.write)
    except (CountError, OSError) as error:
        sys.exit(f"instructions: {error}")


def check(program, write):
    begin = time.monotonic()
    counts = count_all(program)
    seconds = time.monotonic() - begin
    rustc = rustc_version()
    libc = " ".join(platform.libc_ver())
    baseline = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    stored = baseline.get(machine())
    print("\n".join(table(counts, stored)))
    print(f"{len(counts)} scenarios counted in {seconds:.0f} s; each count is that of one call")
    if write and None not in counts.values():
        stored = baseline[machine()] = {"rustc": rustc, "libc": libc, "counts": counts}
        BASELINE.write_text(json.dumps(baseline, indent=2) + "\n", encoding="utf-8")
        print(f"stored in {BASELINE.relative_to(ROOT)}")
    if stored is None:
        print(f"there is no baseline for {machine()}: only growth is judged; `{STORE}` makes one")
    problems = judge(counts, stored, rustc)
    if not problems:
        return
    for problem in problems:
        print(f"instructions: {problem}", file=sys.stderr)
    if stored and stored["libc"] != libc:
        print(f"The baseline was made with {stored['libc']}, this is {libc}: that may be all.", file=sys.stderr)
    annotate = TOOL / "bin" / "callgrind_annotate" if TOOL.exists() else "callgrind_annotate"
    sys.exit(
        f"Which functions they are spent in: {annotate} {profile_of(program, 'SCENARIO')}\n"
        f"If a change is meant and worth it, `{STORE}` stores the new counts; commit {BASELINE.relative_to(ROOT)} with it."
    )


def count_all(program):
    """Instructions of one call of each scenario by its name; None for one that does not end in time."""
    valgrind, environment = find_valgrind()
    listed = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=False)
    if listed.returncode != 0:
        raise CountError(f"{program} does not list its scenarios")
    scenarios = [line.split() for line in listed.stdout.splitlines()]
    # The last ones take longest, and so begin first.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [
            (name, int(repetitions), pool.submit(count, valgrind, environment, program, name))
            for name, repetitions in reversed(scenarios)
        ]
        counted = {name: (task.result(), repetitions) for name, repetitions, task in running}
    calls = {name: counted[name] for name, _ in scenarios}
    return {name: total and round(total / repetitions) for name, (total, repetitions) in calls.items()}


def count(valgrind, environment, program, name):
    """Instructions of all calls of a scenario; None if it does not end in time."""
    profile = profile_of(program, name)
    command = [valgrind, "--tool=callgrind", f"--toggle-collect={MEASURED}", f"--callgrind-out-file={profile}"]
    # What is in the environment lies on the stack and so moves what is on it: it is the same each time.
    settings = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    try:
        done = subprocess.run([*command, program, name], timeout=MOST_SECONDS, check=False, **settings)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        raise CountError(f"{name} failed under {valgrind}:\n{done.stdout}")
    total = re.search(r"^totals: (\d+)$", profile.read_text(encoding="utf-8"), re.MULTILINE)
    if total is None or int(total[1]) == 0:
        raise CountError(f"nothing of {name} was counted: {program} has no function like {MEASURED}")
    return int(total[1])


def profile_of(program, name):
    return program.parent / f"{name}.callgrind"


def find_valgrind():
    """The program, and the environment that it runs in."""
    fetched = TOOL / "bin" / "valgrind"
    if fetched.exists():
        return fetched, {"VALGRIND_LIB": str(TOOL / "libexec")}
    installed = shutil.which("valgrind")
    if installed is None:
        raise CountError("there is no Valgrind: `make tools` fetches it and says why if it cannot; or install it")
    return installed, {"PATH": os.defpath}


def rustc_version():
    """The version that the toolchain file of the project asks for."""
    told = subprocess.run(["rustc", "--version"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return told.stdout.split()[1]


def machine():
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())


if __name__ == "__main__":
    main()
