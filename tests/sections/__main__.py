"""``python -m tests.sections [SECTION...]``: write into case files what real roots print."""

from __future__ import annotations

import sys

from .root import RootError
from .samples import printed, rewritten, same, samples
from .stage import STAGES


def regenerate(section: str) -> None:
    """Rewrite the texts of a section that no root prints, once: the tests say what is left."""
    known: dict[str, str] = {}
    # From the end of each file, so that the places of those before it stay.
    for sample in reversed(list(samples(section))):
        if not _is_printed(sample.text, known, section):
            sample.path.write_text(rewritten(sample, known[sample.text]), encoding="utf-8")
            _say(f"{sample.name}: {section} rewritten")


def _is_printed(text: str, known: dict[str, str], section: str) -> bool:
    if text not in known:
        try:
            known[text] = printed(section, text)
        except (RootError, ValueError, KeyError) as error:
            _say(f"{section}: {error}: {text[:200]!r}")
            known[text] = text
    return same(section, text, known[text])


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or STAGES:
        regenerate(name)
