"""Credential plugins are bounded in time and output, and what they or a token file give is used until it is no more."""

import asyncio
import json
import os
import stat
import time
from pathlib import Path

import pytest

from meshdns.sources.auth.credentials import Credential, CredentialSource, run_plugin
from meshdns.sources.auth.kubeconfig import ClientConfig, ExecPlugin
from meshdns.sources.settings import SourceError

TITLE = "kubeconfig /k, context east"


async def provide(_: ClientConfig) -> str:
    """No auth provider is asked here."""
    raise AssertionError


def script(folder: Path, text: str) -> ClientConfig:
    """An access whose plugin is a shell script."""
    path = folder / "login"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return ClientConfig(TITLE, "https://east", plugin=ExecPlugin("./login", folder=str(folder)))


def printing(status: dict[str, str]) -> str:
    """A script that prints an ExecCredential."""
    return f"echo '{json.dumps({'kind': 'ExecCredential', 'status': status})}'"


def ask(access: ClientConfig, seconds: float = 10.0) -> Credential:
    """What the plugin gives."""
    assert access.plugin is not None
    return asyncio.run(run_plugin(access.plugin, access, environment=os.environ, seconds=seconds))


def test_a_plugin_gives_a_token_and_when_it_expires(tmp_path: Path) -> None:
    """It is told the version that is wanted and that nobody answers questions."""
    says = printing({"token": "t", "expirationTimestamp": "2030-01-02T03:04:05Z"})
    access = script(tmp_path, f'case "$KUBERNETES_EXEC_INFO" in *\'"interactive": false\'*) {says};; esac')
    found = ask(access)
    assert (found.token, found.expires_at) == ("t", 1893553445.0)


FAULTS = {
    "status": ("echo no session >&2; exit 3", "./login failed with status 3 (no session); run it by hand"),
    "garbage": ("echo hello", "./login gave no credentials ("),
    "nothing": (printing({}), "./login gave no credentials (neither a token nor a certificate with its key); run it"),
    "flood": ("yes", "./login printed more than 1048576 octets; run it by hand"),
    "flood of errors": ("yes >&2", "./login printed more than 1048576 octets; run it by hand"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_plugin_that_fails_is_named_with_what_to_do(tmp_path: Path, fault: str) -> None:
    """Whatever it prints, it is over soon and the reason is said."""
    text, reason = FAULTS[fault]
    with pytest.raises(SourceError) as caught:
        ask(script(tmp_path, text))
    assert str(caught.value).startswith(f"{TITLE}: {reason}")


def test_a_plugin_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """Its children go too."""
    access = script(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/child; wait")
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"gave no credentials in 0\.5 s; run it by hand to see what it waits for"):
        ask(access, seconds=0.5)
    assert time.monotonic() - begun < 60  # the sleep of a thousand was not waited for
    child = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    assert not child.exists() or child.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_a_missing_plugin_comes_with_its_hint() -> None:
    """The kubeconfig says how to install it."""
    access = ClientConfig(
        TITLE, "https://east", plugin=ExecPlugin("no-such-plugin-here", install_hint="install it from example.com")
    )
    with pytest.raises(SourceError, match=r"no-such-plugin-here cannot be run: .*; install it from example.com"):
        ask(access)


def test_a_credential_is_kept_until_it_expires_or_is_refused(tmp_path: Path) -> None:
    """The plugin counts how often it runs."""
    count = tmp_path / "count"
    says = printing({"token": "t", "expirationTimestamp": "1970-01-01T00:10:00Z"})
    access = script(tmp_path, f"echo x >> {count}; {says}")
    now = 0.0

    async def play() -> list[int]:
        nonlocal now
        login = CredentialSource(
            access, environment=os.environ, clock=lambda: now, wall_clock=lambda: now, auth_provider_token=provide
        )
        runs = []
        for moment, refused in ((0.0, False), (500.0, False), (589.0, False), (590.5, False), (600.0, True)):
            now = moment
            if refused:
                login.mark_rejected()
            await login.credential()
            runs.append(len(count.read_text().split()))
        return runs

    assert asyncio.run(play()) == [1, 1, 1, 2, 3]


def test_a_token_file_is_read_again_after_a_minute_and_when_refused(tmp_path: Path) -> None:
    """A file that is empty in between costs nothing; one that stays so is named once the token is refused."""
    path = tmp_path / "token"
    access = ClientConfig(TITLE, "https://east", token_file=str(path))
    now = 0.0

    async def play() -> None:
        nonlocal now
        login = CredentialSource(
            access, environment={}, clock=lambda: now, wall_clock=lambda: now, auth_provider_token=provide
        )
        steps = (("one\n", 0.0, "one"), ("two", 59.0, "one"), ("two", 61.0, "two"), ("", 130.0, "two"))
        for text, moment, token in steps:
            path.write_text(text)
            now = moment
            assert (await login.credential()).token == token
        path.write_text("three")
        now = 140.0
        login.mark_rejected()
        assert await login.credential() == Credential("three")
        path.write_text("")
        now = 150.0
        login.mark_rejected()
        with pytest.raises(SourceError, match=f"the token file {path} is empty or no token; correct it"):
            await login.credential()

    asyncio.run(play())
