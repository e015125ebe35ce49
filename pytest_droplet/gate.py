"""What a finding does to the run: accepted by a waiver, below the gate, or failing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from pytest_droplet.ages import due_on
from pytest_droplet.baseline import Baseline
from pytest_droplet.catalogue import nearest, shipped
from pytest_droplet.model import Droplet, Verdict
from pytest_droplet.record import Finding, WaiverEntry, WaiverState, fingerprint
from pytest_droplet.verdict import with_note
from pytest_droplet.waivers import Waiver, find
from pytest_droplet.words import SEVERITIES, Severity


@dataclass(frozen=True)
class Judged:
    """What a run judged, to tell a waiver that nothing needs from one that was not asked for.

    Attributes:
        checks: Ids of the checks that have a verdict.
        droplets: The Droplets that they are about.
        account: All Droplets of the account.
        whole: Whether every check was judged that was selected by profile and arguments.
        all_tests: Whether no argument says which tests to run.
    """

    checks: AbstractSet[str] = frozenset()
    droplets: Sequence[Droplet] = ()
    account: Sequence[Droplet] = ()
    whole: bool = True
    all_tests: bool = True

    def state_of_unused(self, waiver: Waiver) -> WaiverState:
        """Return ``unused`` where what it is for was judged, or is not there at all.

        ``no-check``: neither this run nor the package has a check that it is for. That some test
        of the user's is it, which did not run, is believed where no id of ours is alike.
        """
        if not any(map(waiver.names, (*shipped(), *self.checks))):
            everything_ran = self.whole and self.all_tests
            if everything_ran or nearest(waiver.check):
                return "no-check"
        if not any(map(waiver.selection.matches, self.account)):
            return "unused"
        if not self.whole or not any(map(waiver.selection.matches, self.droplets)):
            return "not-judged"
        checks = any(waiver.names(check) for check in self.checks)
        if not checks and (not self.all_tests or any(map(waiver.names, shipped()))):
            return "not-judged"
        return "unused"


@dataclass(frozen=True)
class Gate:
    """What a site accepts.

    Attributes:
        today: The day that waivers are judged at.
        waivers: In the order of the file.
        least: Findings of a lesser severity do not fail the run.
        new_only: Nor do findings that the baseline had.
        overdue: Those of them whose days are over fail all the same.
        days: Days that findings may be open, by severity; not due at all where there are none.
        baseline: The earlier record.
        account_id: Id of the account that is judged; empty: it is not known.
    """

    today: date
    waivers: tuple[Waiver, ...] = ()
    least: Severity = "low"
    new_only: bool = False
    baseline: Baseline | None = None
    account_id: str = ""
    overdue: bool = False
    days: Mapping[Severity, int] = field(default_factory=dict)

    def settle(self, verdict: Verdict, droplet: Droplet | None) -> Verdict:
        """Return the verdict with its waiver, and whether it fails the run.

        A waiver in force makes a failure (or, where it says so, an unknown) ``waived``; that of
        a cause is also for what it causes. One that has expired leaves the failure, and the
        message says since when.
        """
        if verdict.outcome not in {"fail", "unknown"}:
            return verdict
        matching = [
            i
            for check in (verdict.check, verdict.caused_by)
            if check is not None
            for i in find(self.waivers, check, droplet)
            if verdict.outcome == "fail" or self.waivers[i].unknown
        ]
        for number in matching:
            if self.today <= self.waivers[number].expires:
                shown = self._shown(number, expired=False)
                if verdict.outcome == "unknown":
                    shown |= {"unknown": True}
                return replace(verdict, outcome="waived", waiver=shown)
        if matching:
            note = f"the waiver expired on {self.waivers[matching[0]].expires}"
            shown = self._shown(matching[0], expired=True)
            verdict = replace(with_note(verdict, note), waiver=shown)
        if verdict.outcome != "fail":
            return verdict
        mark = fingerprint(verdict.check, verdict.droplet_id, self.account_id)
        why = self.below(verdict.check, verdict.droplet_id, verdict.severity, mark)
        return verdict if why is None else replace(verdict, below=why)

    def below(
        self, check: str, droplet_id: int | None, severity: Severity, mark: str
    ) -> str | None:
        """Return why a finding of this fingerprint does not fail the run; None where it does."""
        if SEVERITIES.index(severity) > SEVERITIES.index(self.least):
            return f"{severity} is below the gate, which is {self.least}"
        known = self.baseline and self.baseline.had(check, droplet_id, mark)
        if not known or not self.baseline or not (self.new_only or self.overdue):
            return None
        since = f"known since the baseline of {self.baseline.judged_at.date()}"
        if not self.overdue:
            return since
        first_seen = self.baseline.first_seen(check, droplet_id, mark)
        due = first_seen and due_on(severity, first_seen, self.days)
        if due is None:
            return f"{since}, and no days are set for {severity}"
        return f"{since}, due on {due}" if self.today <= due else None

    def _shown(self, number: int, *, expired: bool) -> dict[str, Any]:
        waiver = self.waivers[number]
        return {
            "number": number + 1,
            "reason": waiver.reason,
            "expires": waiver.expires.isoformat(),
            "owner": waiver.owner,
            "ticket": waiver.ticket,
            "expired": expired,
        }

    def waiver_states(self, results: Iterable[Finding], judged: Judged) -> list[WaiverEntry]:
        """Return each waiver and whether it was used, has expired, or matches nothing any more.

        One for what this run did not judge is neither: ``not-judged``.
        """
        used = {waiver["number"] for line in results if (waiver := line.get("waiver"))}
        return [
            {
                "check": waiver.check,
                "select": waiver.droplets,
                "reason": waiver.reason,
                "expires": waiver.expires.isoformat(),
                "owner": waiver.owner,
                "ticket": waiver.ticket,
                "state": judged.state_of_unused(waiver)
                if number not in used
                else ("expired" if waiver.expires < self.today else "used"),
            }
            for number, waiver in enumerate(self.waivers, 1)
        ]
