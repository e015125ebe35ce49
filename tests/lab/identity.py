"""The keys of the lab: those that log in, those of the hosts, and the certificate authority."""

from dataclasses import dataclass
from pathlib import Path

from .cache import Cache
from .certificates import Authority
from .command import run

# The account knows the first one alone; the departed person's is denied by the audit's settings.
KEYS = {
    "account": ("ed25519", "256"),
    "foreign": ("ed25519", "256"),
    "departed": ("ed25519", "256"),
    "weak": ("rsa", "1024"),
}


@dataclass(frozen=True)
class Identity:
    """What is secret or public about the lab; made once a week, for the machine's image holds it.

    Attributes:
        folder: Where the files lie.
        authority: Issues the hosts' certificates.
    """

    folder: Path
    authority: Authority

    @property
    def account_key(self) -> str:
        """The public key line that the account and the hosts know."""
        return self.public_key("account")

    @property
    def account_private_key(self) -> str:
        """The key that logs in, in OpenSSH's form."""
        return (self.folder / "account").read_text()

    @property
    def denied(self) -> str:
        """Fingerprint of the departed person's key."""
        return run(["ssh-keygen", "-lf", str(self.folder / "departed.pub")]).stdout.split()[1]

    def public_key(self, name: str) -> str:
        """A public key line, by its name in ``KEYS``."""
        return (self.folder / f"{name}.pub").read_text()

    def host_keys(self, host: str) -> list[Path]:
        """The files of a host's ssh keys; the public ones end in ``.pub``."""
        return sorted((self.folder / "hosts" / host / "etc/ssh").iterdir())


def identity(cache: Cache, hosts: tuple[str, ...]) -> Identity:
    """Return the lab's keys, with ssh keys for these hosts."""

    def make(part: Path) -> None:
        for name, (kind, bits) in KEYS.items():
            generate = ["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-C", f"{name}@lab"]
            run([*generate, "-f", str(part / name)])
        for host in hosts:
            (part / "hosts" / host / "etc/ssh").mkdir(parents=True)
            run(["ssh-keygen", "-A", "-f", str(part / "hosts" / host)])
        Authority.make(part / "authority")

    folder = cache.get("identity", repr((hosts, KEYS)), make)
    return Identity(folder, Authority(folder / "authority"))
