"""``python -m tests.sections [SECTION...]``: write into case files what real roots print."""

from __future__ import annotations

import sys

from .root import RootError
from .samples import printed, rewritten, same, samples
from .stage import STAGES


def regenerate(section: str) -> None:
    """Rewrite the texts of a section that no root prints."""
    known: dict[str, str] = {}
    while wrong := next(
        (s for s in samples(section) if not _is_printed(s.text, known, section)), None
    ):
        wrong.path.write_text(rewritten(wrong, known[wrong.text]), encoding="utf-8")
        _say(f"{wrong.name}: {section} rewritten")
        known[known[wrong.text]] = known[wrong.text]


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
