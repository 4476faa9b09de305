"""A running ``meshdns serve``, as an operator starts it."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from tests.rig.digging import DigReply, dig
from tests.rig.nameserver import NameServer
from tests.rig.ports import free_port


class Instance(NameServer):
    """One instance with the given settings; its state and settings file live in `folder`."""

    title: ClassVar[str] = "meshdns"

    def __init__(self, settings: Mapping[str, Any], *, flags: Sequence[str] = ()) -> None:
        super().__init__()
        self.http = free_port()
        self._settings = dict(settings)
        self._flags = tuple(flags)

    @property
    def state_dir(self) -> Path:
        """Where the view is."""
        return self.folder / "state"

    def files(self) -> Mapping[str, str]:
        """The settings file."""
        own = {
            "apiVersion": "meshdns/v1",
            "listen": [f"{self.address}:{self.port}"],
            "stateDir": "./state",
            "workers": 1,
            "probe": {"type": "none"},
            "http": {"listen": f"{self.address}:{self.http}"},
            "lameduck": "0s",
        }
        return {"meshdns.yaml": yaml.safe_dump({**own, **self._settings})}

    def command(self) -> Sequence[str]:
        """The installed command."""
        program = str(Path(sys.executable).with_name("meshdns"))
        return [program, "serve", "--config", str(self.folder / "meshdns.yaml"), *self._flags]

    def ask(self, name: str, rtype: str = "A", **options: Any) -> DigReply:
        """Dig at this instance."""
        return dig(name, rtype, server=self.address, port=self.port, **options)

    def addresses(self, name: str, rtype: str = "A") -> list[str]:
        """The sorted addresses of a name; what else came is in the failure of the comparison."""
        reply = self.ask(name, rtype)
        return sorted(reply.rdata) if reply.status == "NOERROR" else [reply.status]

    def children(self) -> dict[str, list[int]]:
        """The pids of the child processes by the module they run."""
        found: dict[str, list[int]] = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                words = status.with_name("cmdline").read_bytes().split(b"\0")
            except (OSError, IndexError, ValueError):
                continue
            if parent == self.pid and b"-m" in words:
                module = words[words.index(b"-m") + 1].decode()
                found.setdefault(module.split(".")[1], []).append(int(status.parent.name))
        return found

    def kill(self, pid: int, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one of this instance's processes."""
        os.kill(pid, signum)
