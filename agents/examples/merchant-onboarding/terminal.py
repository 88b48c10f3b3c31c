"""As much of a terminal as programs use that print lines and move progress bars: what `record.py` draws."""

import re
import unicodedata
from typing import NamedTuple

ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_78=>])")


class Style(NamedTuple):
    """How a character looks: colours as CSS or None for those of the terminal."""

    ink: "str | None" = None
    paper: "str | None" = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False


BASE = ("#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0")
BRIGHT = ("#6b7280", "#ff7b86", "#b5e08d", "#ffd98a", "#82c4ff", "#dd9bf0", "#7fd6e0", "#ffffff")
COLOURS = ((30, "ink", BASE), (40, "paper", BASE), (90, "ink", BRIGHT), (100, "paper", BRIGHT))
FLAGS = {1: ("bold", True), 2: ("dim", True), 3: ("italic", True), 4: ("underline", True), 7: ("reverse", True)}
FLAGS_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",)}


def indexed(number):
    """A colour of the 256 of xterm."""
    if number < 16:
        return (BASE + BRIGHT)[number]
    if number < 232:
        levels = (0, 95, 135, 175, 215, 255)
        number -= 16
        return "#%02x%02x%02x" % (levels[number // 36], levels[number // 6 % 6], levels[number % 6])
    grey = 8 + 10 * (number - 232)
    return "#%02x%02x%02x" % (grey, grey, grey)


def restyled(style, codes):
    """A style after the numbers of an SGR sequence (ECMA-48, 8.3.117)."""
    codes = list(codes) or [0]
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = Style()
        elif code in FLAGS:
            style = style._replace(**dict([FLAGS[code]]))
        elif code in FLAGS_OFF:
            style = style._replace(**{name: False for name in FLAGS_OFF[code]})
        elif code in (38, 48):
            kind = codes.pop(0) if codes else 0
            colour = None
            if kind == 5 and codes:
                colour = indexed(min(codes.pop(0), 255))
            elif kind == 2 and len(codes) >= 3:
                colour = "#%02x%02x%02x" % tuple(min(codes.pop(0), 255) for _ in range(3))
            style = style._replace(**{"ink" if code == 38 else "paper": colour})
        elif code in (39, 49):
            style = style._replace(**{"ink" if code == 39 else "paper": None})
        else:
            for first, name, colours in COLOURS:
                if first <= code < first + 8:
                    style = style._replace(**{name: colours[code - first]})
    return style


def width(character):
    """Terminal columns of a character."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


BLANK = (" ", Style())
COVERED = ("", Style())  # the second column of a wide character


class Screen:
    """Lines of cells, each a character with its style, and a cursor."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines = [[BLANK] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.style, self.cursor = Style(), True

    def feed(self, text):
        at = 0
        while at < len(text):
            sequence = ESCAPES.match(text, at)
            if sequence:
                self.escape(sequence.group())
                at = sequence.end()
            else:
                self.put(text[at])
                at += 1

    def put(self, character):
        if character == "\n":
            self.down()
        elif character == "\r":
            self.column = 0
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character == "\t":
            self.column = min(self.columns - 1, (self.column // 8 + 1) * 8)
        elif character >= " " and character != "\x7f":
            self.write(character)

    def write(self, character):
        columns = width(character)
        if columns == 0:
            line = self.lines[self.row]
            before = self.column - 1
            while before > 0 and line[before] == COVERED:
                before -= 1
            if before >= 0:
                line[before] = (line[before][0] + character, line[before][1])
            return
        if self.column + columns > self.columns:  # only now: a full line followed by a line break is one line
            self.column = 0
            self.down()
        cells = [(character, self.style)] + [COVERED] * (columns - 1)
        self.lines[self.row][self.column : self.column + columns] = cells
        self.column += columns

    def down(self):
        if self.row + 1 < self.rows:
            self.row += 1
        else:
            self.lines = self.lines[1:] + [[BLANK] * self.columns]

    def escape(self, sequence):
        if not sequence.startswith("\x1b[") or sequence[2:3] in ("?", ">", "<", "="):
            if sequence in ("\x1b[?25l", "\x1b[?25h"):
                self.cursor = sequence.endswith("h")
            return
        kind, numbers = sequence[-1], [int(part) for part in re.findall(r"\d+", sequence)]
        count = max(1, numbers[0]) if numbers else 1
        if kind == "m":
            self.style = restyled(self.style, numbers)
        elif kind in "AF":
            self.row = max(0, self.row - count)
        elif kind in "BE":
            self.row = min(self.rows - 1, self.row + count)
        elif kind == "C":
            self.column = min(self.columns - 1, self.column + count)
        elif kind == "D":
            self.column = max(0, self.column - count)
        elif kind == "G":
            self.column = min(self.columns, count) - 1
        elif kind in "Hf":
            self.row = min(self.rows, count) - 1
            self.column = min(self.columns, numbers[1] if len(numbers) > 1 else 1) - 1
        elif kind == "K":
            self.erase(self.row, numbers[0] if numbers else 0)
        elif kind == "J":
            part = numbers[0] if numbers else 0
            self.erase(self.row, part)
            below, above = range(self.row + 1, self.rows), range(self.row)
            for row in [*(below if part != 1 else ()), *(above if part != 0 else ())]:
                self.erase(row, 2)
        if kind in "EF":
            self.column = 0

    def erase(self, row, part):
        """0: from the cursor on, 1: up to it, 2: all."""
        first = 0 if part else self.column
        last = self.column + 1 if part == 1 else self.columns
        for column in range(first, min(last, self.columns)):
            self.lines[row][column] = BLANK

    def picture(self):
        """What can be seen: the lines, and where the cursor is."""
        cursor = (self.row, min(self.column, self.columns - 1)) if self.cursor else None
        return tuple(tuple(line) for line in self.lines), cursor
