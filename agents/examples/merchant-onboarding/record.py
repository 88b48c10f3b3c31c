#!/usr/bin/env python3
"""Records a command on a terminal as an animated SVG; without arguments, `make demo` as demo.svg beside this file.

    record.py [--output FILE] [--columns N] [--rows N] [COMMAND…]

The command runs on a pseudo-terminal, so it behaves as for a person. What is shown is what it printed, with two
changes of time: waits of more than a second are cut to one, and lines that came at once are spread so that the eye can
follow. The status lines of cargo are left out. Viewers that do not animate, or whose user wants no motion, show the
last frame. Nothing is written if the command fails; its exit code is passed on. Needs Python 3.9 on Linux or macOS.
"""

import argparse
import codecs
import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import sys
import termios
import time
import unicodedata
from pathlib import Path
from xml.sax.saxutils import escape

from terminal import BLANK, ESCAPES, Screen, Style, width

HERE = Path(__file__).resolve().parent

KEY_SECONDS = 0.07  # between typed keys
LINE_SECONDS = 0.05  # between lines that came at once
BURST_SECONDS = 2.0  # for all lines that came at once
IDLE_SECONDS = 1.0  # the longest wait that is shown
HOLD_SECONDS = 8.0  # for the last frame, before it begins again
LIMIT_BYTES = 150_000  # what a page should load for one picture

# What cargo says of its progress: a word that ends in the twelfth column.
CARGO = re.compile(
    r"(?=.{12} ) +"
    r"(Adding|Blocking|Building|Checking|Compiling|Downloaded|Downloading|Finished|Fresh|Locking|Updating) "
)


def main():
    arguments = parser().parse_args()
    command = arguments.command or ["make", "demo"]
    code, chunks = run(command, arguments.columns, arguments.rows)
    if code:
        sys.stdout.write("".join(text for _, text in chunks))
        sys.exit(code)
    screen = Screen(arguments.columns, arguments.rows)
    frames = film(screen, shlex.join(command), without_cargo(chunks))
    picture = draw(frames, arguments.columns)
    size = len(picture.encode())
    if size > LIMIT_BYTES:
        sys.exit(f"record: the picture would have {size} bytes, more than {LIMIT_BYTES}: record a shorter command")
    arguments.output.write_text(picture, encoding="utf-8")
    print(f"{arguments.output}: {len(frames)} frames, {size} bytes", file=sys.stderr)


def parser():
    made = argparse.ArgumentParser(description="Records a command on a terminal as an animated SVG.")
    made.add_argument("--output", type=Path, default=HERE / "demo.svg", help="file to write [default: %(default)s]")
    made.add_argument("--columns", type=int, default=100, help="columns of the terminal [default: %(default)s]")
    made.add_argument("--rows", type=int, default=50, help="rows of the terminal [default: %(default)s]")
    made.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="[default: make demo]")
    return made


# --- running ----------------------------------------------------------------------------------------------------


def run(command, columns, rows):
    """Runs a command on a terminal of its own, and returns its exit code and what it printed, each with its time."""
    # Under `make record` the recorded `make` would echo its recipes and say where it is.
    environment = {**os.environ, "MAKEFLAGS": "s", "TERM": "xterm-256color", "CARGO_TERM_PROGRESS_WHEN": "never"}
    for name in ("MAKELEVEL", "MFLAGS", "NO_COLOR"):
        environment.pop(name, None)
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvpe(command[0], command, environment)
        except OSError as error:
            os.write(2, f"record: {command[0]}: {error.strerror}\n".encode())
        os._exit(127)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    begun, chunks, status = time.monotonic(), [], None
    try:
        while data := read(terminal):
            chunks.append((time.monotonic() - begun, decoder.decode(data)))
        _, status = os.waitpid(pid, 0)
    finally:
        if status is None:  # interrupted: the command is not left behind
            os.killpg(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
        os.close(terminal)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    return code, chunks


def read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # what Linux says when the last program has left the terminal
        return b""


def without_cargo(chunks):
    """Cuts the output into whole lines (the rest of a chunk goes with the next one) and leaves out those of cargo."""
    kept, rest, at = [], "", 0.0
    for at, text in chunks:
        *lines, rest = (rest + text).split("\n")
        kept += [(at, line + "\n") for line in lines if not CARGO.match(ESCAPES.sub("", line))]
        if "\r" in rest or "\x1b" in rest:  # a line that moves is shown as it moves
            kept.append((at, rest))
            rest = ""
    return kept + ([(at, rest)] if rest else [])


# --- the film ---------------------------------------------------------------------------------------------------

PROMPT = "\x1b[1;32m$\x1b[0m "


def film(screen, typed, chunks):
    """What can be seen and from when on: a person types the command, it prints, and the prompt comes back."""
    now, frames = 0.0, []

    def show(text, seconds):
        nonlocal now
        screen.feed(text)
        frames.append((now, screen.picture()))
        now += seconds

    show(PROMPT, IDLE_SECONDS / 2)
    for key in typed:
        show(key, KEY_SECONDS)
    now += KEY_SECONDS * 3
    show("\r\n", 0)
    before = 0.0
    for at, texts in bursts(chunks):
        now += min(at - before, IDLE_SECONDS)
        before = at
        for text in texts:
            show(text, min(LINE_SECONDS, BURST_SECONDS / len(texts)))
    show(PROMPT, HOLD_SECONDS)
    return frames + [(now, None)]


def bursts(chunks):
    """Lines that came within a blink of each other, together."""
    together = []
    for at, text in chunks:
        if together and at - together[-1][0] < LINE_SECONDS:
            together[-1][1].append(text)
        else:
            together.append((at, [text]))
    return together


# --- the picture ------------------------------------------------------------------------------------------------

SIZE = 14  # pixels of the type
CELL, LINE = 8.4, 19  # pixels of a column and a row
MARGIN, BAR = 16, 34  # pixels around the text, and of the window's bar above it
PAPER, INK, FRAME = "#0f1419", "#d7dae0", "#1b222b"
FONTS = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"


def draw(frames, columns):
    """One group for all that is seen at the same times; those of the last frame are seen where nothing moves."""
    end = frames[-1][0]
    last = frames[-2][0]
    groups, used = {}, 1
    for piece, seen in pieces(frames).items():
        used = max(used, piece[0] + 1)
        groups.setdefault(tuple(seen), []).append(piece)
    styles, bodies = [], []
    for number, (seen, inside) in enumerate(groups.items()):
        still = seen[-1][1] > last
        drawn = "".join(cursor(*piece[:2]) if piece[2] is None else line(*piece[::2]) for piece in inside)
        if seen == ((0.0, end),):
            bodies.append(drawn)
            continue
        styles.append(f"@keyframes k{number}{{{keyframes(seen, end)}}}#g{number}{{animation-name:k{number}}}")
        hidden = "" if still else ' visibility="hidden"'
        bodies.append(f'<g id="g{number}"{hidden}>{drawn}</g>')
    wide, high = round(columns * CELL + 2 * MARGIN), BAR + used * LINE + MARGIN
    dots = "".join(
        f'<circle cx="{MARGIN + 6 + 20 * n}" cy="17" r="6" fill="{colour}"/>'
        for n, colour in enumerate(("#e06c75", "#e5c07b", "#98c379"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
        f'font-family="{FONTS}" font-size="{SIZE}" fill="{INK}">\n<title>Recording of a terminal</title>\n'
        f"<style>text{{white-space:pre}}@media(prefers-reduced-motion:no-preference){{"
        f"g{{animation:{end:.2f}s step-end infinite}}{''.join(styles)}}}</style>\n"
        f'<rect width="{wide}" height="{high}" rx="8" fill="{PAPER}"/>'
        f'<path d="M0 {BAR - 4}V8a8 8 0 0 1 8-8H{wide - 8}a8 8 0 0 1 8 8V{BAR - 4}z" fill="{FRAME}"/>{dots}\n'
        + "\n".join(bodies)
        + "\n</svg>\n"
    )


def pieces(frames):
    """Lines and cursors where they are on the screen: (row, column, cells or None), and from when till when."""
    seen = {}
    for (begin, picture), (end, _) in zip(frames, frames[1:]):
        if begin == end:
            continue
        lines, at = picture
        shown = [(row, 0, cells) for row, cells in enumerate(lines) if any(cell != BLANK for cell in cells)]
        for piece in shown + ([(*at, None)] if at else []):
            spans = seen.setdefault(piece, [])
            if spans and spans[-1][1] == begin:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((begin, end))
    return seen


def keyframes(seen, end):
    steps = {} if seen[0][0] == 0 else {0.0: "hidden"}
    for begin, until in seen:
        steps[begin] = "visible"
        steps[until] = "hidden"
    if seen[-1][1] == end:
        steps[end] = "visible"
    return "".join(f"{100 * at / end:.3f}%{{visibility:{what}}}" for at, what in steps.items())


def line(row, cells):
    """A line as pieces of text, each put where its columns are: fonts differ in how wide they are."""
    y = BAR + row * LINE
    papers, texts = [], []
    for column, columns, text, style in runs(cells):
        x = f"{MARGIN + column * CELL:g}"
        ink, paper = style.ink, style.paper
        if style.reverse:
            ink, paper = paper or PAPER, ink or INK
        if paper:
            papers.append(f'<rect x="{x}" y="{y}" width="{columns * CELL:g}" height="{LINE}" fill="{paper}"/>')
        marks = f' fill="{ink}"' if ink else ""
        marks += ' font-weight="bold"' if style.bold else ""
        marks += ' opacity=".6"' if style.dim else ""
        marks += ' font-style="italic"' if style.italic else ""
        marks += ' text-decoration="underline"' if style.underline else ""
        if not is_right_to_left(text):  # the letters of those scripts are joined and must not be spread
            marks += f' textLength="{columns * CELL:g}"'
        if text.strip():
            texts.append(f'<text x="{x}" y="{y + SIZE}"{marks}>{escape(text)}</text>')
    return "".join(papers + texts)


def runs(cells):
    """Cuts a line where the style changes, between scripts of other widths, and at wide gaps."""
    found, column, open_run = [], 0, None
    for text, style in cells:
        if text == "":
            continue
        columns = sum(width(character) for character in text)
        kind = (style, columns == 2, is_right_to_left(text))
        blank = text == " " and style == Style()
        if open_run and (open_run[0] == kind or blank and not open_run[0][1] and open_run[0][0] == Style()):
            open_run[2] += columns
            open_run[3] += text
        else:
            open_run = [kind, column, columns, text]
            found.append(open_run)
        column += columns
    for (style, *_), first, _, text in found:
        painted = style.paper or style.reverse or style.underline  # then blanks are seen too
        for part in re.finditer(".+" if painted else r"\S+(?: \S+)*", text):
            before = sum(map(width, text[: part.start()]))
            yield first + before, sum(map(width, part.group())), part.group(), style


def is_right_to_left(text):
    return any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)


def cursor(row, column):
    x = MARGIN + column * CELL
    return f'<rect x="{x:g}" y="{BAR + row * LINE}" width="{CELL}" height="{LINE - 2}" opacity=".7"/>'


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("record: interrupted")
