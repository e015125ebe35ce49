"""Files that a run writes: whole at their place or not at all, by one run at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_droplet import files
from pytest_droplet.files import BusyError, Draft


@pytest.fixture
def umask() -> Iterator[None]:
    """As most systems have it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_file_is_at_its_place_once_it_is_whole(tmp_path: Path) -> None:
    """Until then what was there stays; nothing is left beside it."""
    place = tmp_path / "folder/report.csv"
    place.parent.mkdir()
    place.write_text("before")
    draft = Draft(place)
    draft.path.write_text("after")
    assert place.read_text() == "before"
    draft.put()
    draft.discard()
    assert place.read_text() == "after"
    assert list(place.parent.iterdir()) == [place]


def test_a_file_that_was_not_finished_is_gone(tmp_path: Path) -> None:
    """And what was there before is not."""
    place = tmp_path / "report.csv"
    draft = Draft(place)
    draft.path.write_text("half")
    draft.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("private", "before", "after"),
    [
        (False, None, 0o644),
        (False, 0o640, 0o640),
        (True, None, 0o600),
        (True, 0o644, 0o600),
    ],
)
def test_who_may_read_it(tmp_path: Path, before: int | None, after: int, *, private: bool) -> None:
    """As the umask says, or as it was; a private one is its owner's."""
    place = tmp_path / "report"
    if before is not None:
        place.touch()
        place.chmod(before)
    draft = Draft(place, private=private)
    draft.put()
    assert place.stat().st_mode & 0o777 == after


def test_a_second_run_is_told(tmp_path: Path) -> None:
    """As long as the first one lives, and in its own words: one line that says what to do."""
    first = Draft(tmp_path / "report")
    with pytest.raises(BusyError, match="another run is writing it; name another path"):
        Draft(tmp_path / "report")
    first.put()
    Draft(tmp_path / "report").discard()


def test_windows_renames_no_file_that_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no locks the file is closed before it goes to its place."""
    monkeypatch.setattr(files, "fcntl", None)
    place = tmp_path / "report"
    draft = Draft(place, private=True)
    draft.path.write_text("whole")
    opened = [os.path.realpath(link) for link in Path("/dev/fd").iterdir()]
    assert str(draft.path) not in opened
    draft.put()
    assert place.read_text() == "whole"


def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """The lock goes with the process; what it wrote is not mixed with the new file."""
    code = (
        "import os, sys; from pathlib import Path; from pytest_droplet.files import Draft\n"
        "draft = Draft(Path(sys.argv[1])); draft.path.write_text('left'); os.kill(os.getpid(), 9)"
    )
    place = tmp_path / "report"
    subprocess.run([sys.executable, "-c", code, place], check=False)
    assert [p.name for p in tmp_path.iterdir()] == ["report.part"]
    draft = Draft(place)
    assert draft.path.read_text() == ""
    draft.put()
    assert list(tmp_path.iterdir()) == [place]


def test_runs_that_take_turns_do_not_mix(tmp_path: Path) -> None:
    """Whoever comes while another puts its file to its place gets a file of its own."""
    place = tmp_path / "report"
    wrong: list[str] = []

    def write(name: str) -> None:
        for _ in range(300):
            try:
                draft = Draft(place)
            except BusyError:
                continue
            draft.path.write_text(name)
            if draft.path.read_text() != name:
                wrong.append(name)
            draft.put()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert place.read_text() in {"a", "b", "c", "d"}


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    """A device or a pipe cannot be replaced."""
    draft = Draft(Path(os.devnull), private=True)
    mode = Path(os.devnull).stat().st_mode
    draft.path.write_text("x")
    draft.put()
    draft.discard()
    assert Path(os.devnull).stat().st_mode == mode
    assert list(tmp_path.iterdir()) == []


def test_a_link_keeps_its_target(tmp_path: Path) -> None:
    """The file that a link leads to is written, and the link stays."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    draft = Draft(tmp_path / "link")
    draft.path.write_text("x")
    draft.put()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "x"


def test_a_folder_is_no_place_for_a_file(tmp_path: Path) -> None:
    """The error names it."""
    with pytest.raises(IsADirectoryError) as caught:
        Draft(tmp_path)
    assert caught.value.filename == str(tmp_path) or caught.value.filename == tmp_path
