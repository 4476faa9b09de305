"""etcd: the store behind the API servers."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar
from urllib.request import urlopen

from tests.rig.build import built_program
from tests.rig.component import Component
from tests.rig.ports import free_port


class Etcd(Component):
    """One member without peers; `url` is for its clients. Data live as long as the ``with`` block.

    It starts on a copy of the folder `seed`, else empty.
    """

    title: ClassVar[str] = "etcd"

    def __init__(self, seed: Path | None = None) -> None:
        super().__init__()
        self._seed = seed
        self._peer_url = f"http://{self.address}:{free_port()}"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://{self.address}:{self.port}"

    @property
    def data(self) -> Path:
        """Where the data are."""
        return self.folder / "data"

    def start(self) -> None:
        """Start on what is there from before, the first time on the seed."""
        if self._seed is not None and not self.data.exists():
            shutil.copytree(self._seed, self.data)
        super().start()

    def command(self) -> Sequence[str]:
        """The store in `folder`, never synced to disk: nobody reads it after a crash."""
        return [
            str(built_program("etcd")),
            f"--data-dir={self.data}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={self._peer_url}",
            f"--initial-advertise-peer-urls={self._peer_url}",
            f"--initial-cluster=default={self._peer_url}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def ready(self) -> bool:
        """Whether its health page says so."""
        with urlopen(f"{self.url}/health", timeout=2) as reply:  # noqa: S310 - the address is ours
            return b'"true"' in reply.read()
