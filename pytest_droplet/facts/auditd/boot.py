"""The boot entry that the host will use next: what it will start with, not what it did.

GRUB's menu is read from ``grub.cfg`` (Debian, Ubuntu), or from Boot Loader Specification files
where ``grub.cfg`` says ``blscfg`` (AlmaLinux, Rocky Linux, Fedora, CentOS Stream) or is absent
(systemd-boot).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pytest_droplet.facts import Observation, fact
from pytest_droplet.facts.host.kernel import KernelArguments, parse_kernel_arguments
from pytest_droplet.facts.host.whole import garbled, whole
from pytest_droplet.model import NotObservedError, Section
from pytest_droplet.text import one_line

BOOT = Section.of_files("facts/auditd/boot.sh", root=True)

_PRINTED = re.compile(
    r"\s*(GRUB_(CMDLINE_LINUX|DEFAULT)|(options|title|version|default)\s|menuentry|submenu|linux"
    r"|set default=|blscfg|\}|(kernelopts|saved_entry|next_entry|tuned_params)=)"
)
_LINUX = re.compile(r"\s*linux(?:16|efi)?\s+\S+(.*)")
_MENU = re.compile(r"\s*(menuentry|submenu)\s+(?:'([^']*)'|\"([^\"]*)\"|(\S+))(.*)")
_MENU_ID = re.compile(r"(?:\$menuentry_id_option|--id[ =])\s*'?\"?([^'\"\s{]+)")
_DEFAULT = re.compile(r"\s*set default=\"?([^\"]*)\"?\s*")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


@dataclass(frozen=True, slots=True)
class BootEntry:
    """The boot entry that will be used next.

    ``variants`` are its kernel command lines: one, or several where the entry chooses between
    them at boot. ``configured`` are the values of GRUB_CMDLINE_LINUX and its like, by file, which
    count only once the menu is made anew.
    """

    title: str
    path: str
    variants: tuple[KernelArguments, ...]
    configured: tuple[tuple[str, KernelArguments], ...] = ()

    def last(self, name: str) -> tuple[str | None, ...]:
        """Return the value of an argument in each variant, None where one lacks it."""
        return tuple(variant.last(name) for variant in self.variants)

    def __str__(self) -> str:
        text = " | ".join(map(str, self.variants))
        return one_line(f"{self.title or 'entry'} in {self.path}: {text}", 300)


@dataclass(slots=True)
class _Item:
    """An entry or submenu of grub.cfg, with what stands inside it."""

    title: str
    id: str
    is_menu: bool
    lines: list[str] = field(default_factory=list)
    items: list[_Item] = field(default_factory=list)


@fact("cat /boot/grub/grub.cfg /boot/loader/entries/*.conf", sections=(BOOT,))
def droplet_boot_entry(observation: Observation) -> BootEntry:
    """Return the boot entry that will be used next.

    Raises:
        NotObservedError: There is no boot loader that is known, or its default names no entry.
    """
    return parse_boot(whole(observation.section(BOOT.name)).stdout)


def parse_boot(text: str) -> BootEntry:
    """Find the next boot entry in the files of the boot loader.

    Raises:
        NotObservedError: No entry with a kernel was found.

    Source: GRUB's manual (``default``, ``grubenv``), Boot Loader Specification; update-grub's
    output on Debian 12 and 13.
    """
    files = list(_files(text))
    by_name = dict(reversed(files))
    environment: dict[str, str] = {}
    for path, lines in files:
        if path.endswith("/grubenv"):
            environment.update(line.partition("=")[::2] for line in lines if "=" in line)
    configured = tuple(_configured(files))
    entries = [(p, lines) for p, lines in files if p.startswith("/boot/loader/entries/")]
    for path in ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"):
        lines = by_name.get(path, [])
        if any(line.strip() == "blscfg" for line in lines) and entries:
            spec = environment.get("next_entry") or environment.get("saved_entry") or "0"
            return _loader_entry(entries, spec, environment, configured)
        if any(_LINUX.match(line) for line in lines):
            return _menu_entry(path, lines, environment, configured)
    if entries:
        spec = next((line.split()[-1] for line in by_name.get("/boot/loader/loader.conf", [])), "")
        return _loader_entry(entries, spec, environment, configured)
    raise NotObservedError("no entry of a boot loader was found below /boot")


def _files(text: str) -> Iterator[tuple[str, list[str]]]:
    path, lines = "", list[str]()
    for line in text.split("\n"):
        if line.startswith("F /"):
            if path:
                yield path, lines
            path, lines = line[2:], []
        elif line.strip() and not _PRINTED.match(line):
            raise garbled(line)
        else:
            lines.append(line)
    if path:
        yield path, lines


def _configured(
    files: Sequence[tuple[str, list[str]]],
) -> Iterator[tuple[str, KernelArguments]]:
    for path, lines in files:
        if path.startswith("/etc/"):
            for line in lines:
                name, equals, value = line.partition("=")
                if equals and "GRUB_CMDLINE_LINUX" in name:
                    yield path, parse_kernel_arguments(value.strip().strip("\"'"))


def _loader_entry(
    entries: Sequence[tuple[str, list[str]]],
    spec: str,
    environment: Mapping[str, str],
    configured: tuple[tuple[str, KernelArguments], ...],
) -> BootEntry:
    """Choose by id, by place, or else the newest: the boot loader's own order."""
    ordered = sorted(entries, key=lambda e: _version_key(e[0]), reverse=True)
    chosen = ordered[0]
    if spec.isdecimal() and int(spec) < len(ordered):
        chosen = ordered[int(spec)]
    for entry in ordered:
        name = entry[0].rpartition("/")[2].removesuffix(".conf")
        if fnmatchcase(name, spec.removesuffix(".conf")) or f"title {spec}" in entry[1]:
            chosen = entry
            break
    path, lines = chosen
    title = next((line.partition(" ")[2] for line in lines if line.startswith("title ")), "")
    options = " ".join(
        re.split(r"\s", line, maxsplit=1)[1] for line in lines if re.match(r"options\s", line)
    )
    return BootEntry(title, path, (_expanded(options, environment),), configured)


def _menu_entry(
    path: str,
    lines: Sequence[str],
    environment: Mapping[str, str],
    configured: tuple[tuple[str, KernelArguments], ...],
) -> BootEntry:
    items = _menu(lines)
    found = [m[1] for line in lines if (m := _DEFAULT.fullmatch(line))]
    spec = next((s for s in found if not s.startswith("$")), "0")
    if "${saved_entry}" in found:
        spec = environment.get("saved_entry") or "0"
    spec = environment.get("next_entry") or spec
    chosen = _chosen(items, spec) or _chosen(items, "0")
    if chosen is None:
        raise NotObservedError(f"{path}: no menu entry with a kernel was found")
    variants = tuple(
        _expanded(match[1], environment) for line in chosen.lines if (match := _LINUX.match(line))
    )
    if not variants:
        raise NotObservedError(f"{path}: the entry {one_line(chosen.title, 60)} names no kernel")
    return BootEntry(chosen.title, path, variants, configured)


def _menu(lines: Sequence[str]) -> list[_Item]:
    top: list[_Item] = []
    stack: list[_Item] = []
    for line in lines:
        match = _MENU.match(line)
        if match is not None:
            title = match[2] or match[3] or match[4] or ""
            named = _MENU_ID.search(match[5])
            item = _Item(title, named[1] if named else "", match[1] == "submenu")
            (stack[-1].items if stack else top).append(item)
            stack.append(item)
        elif line.strip().startswith("}"):
            if stack:
                stack.pop()
        elif stack:
            stack[-1].lines.append(line)
    return top


def _chosen(items: Sequence[_Item], spec: str) -> _Item | None:
    """Follow ``1>2``, ids or titles into submenus; a submenu itself means its first entry."""
    first, _, rest = spec.partition(">")
    chosen = None
    if first.isdecimal() and len(first) < 6 and int(first) < len(items):
        chosen = items[int(first)]
    chosen = chosen or next((i for i in items if first and first in {i.id, i.title}), None)
    depth = 0
    while chosen is not None and chosen.is_menu and depth < 16:
        if rest:
            return _chosen(chosen.items, rest)
        chosen = chosen.items[0] if chosen.items else None
        depth += 1
    return chosen


def _expanded(text: str, environment: Mapping[str, str]) -> KernelArguments:
    """Expand variables as GRUB does: one that is not set is empty."""
    if "kernelopts" in _VARIABLE.findall(text) and "kernelopts" not in environment:
        raise NotObservedError("the entry asks for $kernelopts, which grubenv does not set")
    return parse_kernel_arguments(_VARIABLE.sub(lambda m: environment.get(m[1], ""), text))


def _version_key(path: str) -> list[tuple[int, int, str]]:
    """Order as rpm does: numbers as numbers, above letters; a rescue entry comes last."""
    name = path.rpartition("/")[2].removesuffix(".conf")
    if "rescue" in name:
        return []
    version = re.sub(r"^[0-9a-f]{32}-", "", name)
    return [
        (1, int(piece[:18]), "") if piece.isdecimal() else (0, 0, piece)
        for piece in re.findall(r"[0-9]+|[A-Za-z]+", version)
    ]
