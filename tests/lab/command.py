"""Run the machine's own commands, and say on stderr what is being built."""

import subprocess
import sys
from collections.abc import Mapping, Sequence


class LabError(RuntimeError):
    """The lab could not be built, started or changed; the message holds the command's words."""


def say(text: str) -> None:
    """Print one line of progress on stderr."""
    print(f"lab: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the log that people read


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = 1800,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command of the machine to its end.

    Args:
        argv: The command and its arguments.
        stdin: What it reads; by default nothing.
        env: Its whole environment; None hands on ours.
        timeout_s: Seconds after which it is killed.
        check: Whether another exit code than 0 is an error.

    Returns:
        Exit code, stdout and stderr as text; bytes that are not UTF-8 are replaced.

    Raises:
        LabError: It failed, with the end of what it wrote, or it took too long.
    """
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            env=env,
            timeout=timeout_s,
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{argv[0]}: not done within {timeout_s} s") from error
    if check and done.returncode:
        tail = (done.stderr or done.stdout).strip()[-1500:]
        raise LabError(f"{' '.join(argv[:5])[:200]}: exit code {done.returncode}: {tail}")
    return done
