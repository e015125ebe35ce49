"""Parts of a section that went missing: a command failed while the section went on.

The frame of the script tells that a section came to its end, and with which status. A section of
several commands ends with 0, and prints a line ``!! WHAT`` for one of them that failed, or for a
file that was not read, so that what is left is not taken for all there is.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_droplet.model import NotObservedError, SectionOutput
from pytest_droplet.text import one_line

MARK = "!! "


def not_whole(text: str) -> Iterator[str]:
    """Yield what could not be read to its end, by the marks of a section's output."""
    for line in text.split("\n"):
        if line.startswith(MARK):
            yield one_line(line[len(MARK) :], 100)


def garbled(line: str) -> NotObservedError:
    """Return the error of a line that has not the form that its section prints."""
    return NotObservedError(f"a line is not as its section prints it: {one_line(line, 60)!r}")


def whole(output: SectionOutput) -> SectionOutput:
    """Return a section's output, of which no part is missing.

    Raises:
        NotObservedError: It ended with another status than 0, or a line tells which part could
            not be read.
    """
    said = one_line(output.stderr, 120)
    for part in not_whole(output.stdout):
        reason = f"{part} could not be read to its end"
        raise NotObservedError(f"{reason}: {said}" if said else reason)
    if output.rc != 0:
        raise NotObservedError(one_line(output.stderr) or f"it ended with status {output.rc}")
    return output
