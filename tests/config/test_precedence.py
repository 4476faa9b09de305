"""Flag > environment > file > default, and what is taken where nothing is set."""

from pathlib import Path

import pytest

from meshdns.config import (
    Overrides,
    Settings,
    SettingsError,
    apply_overrides,
    fill_in_paths,
    load_settings,
    overrides_from_environment,
    resolve_sources,
)
from meshdns.config.model import VantageSection
from meshdns.config.sections import InClusterSection, KubeconfigSection, ManifestsSection, RemoteSecretsSection

HOME = {"HOME": "/home/op"}


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    """Each setting on its own."""
    file = tmp_path / "m.yaml"
    file.write_text("apiVersion: meshdns/v1\nworkers: 1\nlogLevel: error\nlisten: ['127.0.0.1:1']\n")
    environ = {**HOME, "MESHDNS_CONFIG": str(file), "MESHDNS_WORKERS": "2", "MESHDNS_LOG_LEVEL": "debug"}
    settings = load_settings(Overrides(workers=3), environ)
    assert (settings.workers, settings.log_level, settings.listen) == (3, "debug", ("127.0.0.1:1",))
    assert settings.http.listen == "127.0.0.1:9153"


def test_every_variable_of_the_environment_is_read() -> None:
    """Lists are separated by commas; an empty variable is not set."""
    environ = {
        "MESHDNS_CONFIG": "m.yaml",
        "MESHDNS_KUBECONFIG": "k",
        "MESHDNS_CONTEXT": "a, b",
        "MESHDNS_CLUSTER": "east",
        "MESHDNS_NETWORK": "",
        "MESHDNS_LISTEN": "127.0.0.1:1,[::1]:1",
        "MESHDNS_HTTP_LISTEN": "10.1.0.7:9153",
        "MESHDNS_WORKERS": "4",
        "MESHDNS_STATE_DIR": "/s",
        "MESHDNS_LOG_LEVEL": "warning",
    }
    overrides = overrides_from_environment(environ)
    settings = apply_overrides(Settings(), overrides)
    assert overrides.config == "m.yaml"
    assert settings.sources == (KubeconfigSection(path="k", contexts=("a", "b")),)
    assert settings.vantage == VantageSection(cluster="east")
    assert settings.listen == ("127.0.0.1:1", "[::1]:1")
    assert settings.http.listen == "10.1.0.7:9153"
    assert (settings.workers, settings.state_dir, settings.log_level) == (4, "/s", "warning")


def test_no_overrides_change_nothing() -> None:
    """Also with an empty environment."""
    assert (
        apply_overrides(Settings(), overrides_from_environment({}))
        == apply_overrides(Settings(), Overrides())
        == Settings()
    )


def test_a_cluster_override_keeps_the_network_of_the_file() -> None:
    """Each key is overridden on its own."""
    settings = apply_overrides(Settings(vantage=VantageSection(cluster="a", network="n")), Overrides(cluster="b"))
    assert settings.vantage == VantageSection(cluster="b", network="n")


def test_contexts_alone_choose_in_the_kubeconfig_of_the_file() -> None:
    """Without a kubeconfig source in the file the path is left to the environment."""
    settings = Settings(sources=(KubeconfigSection(path="/k"), InClusterSection(cluster="c")))
    assert apply_overrides(settings, Overrides(contexts=("x",))).sources == (
        KubeconfigSection(path="/k", contexts=("x",)),
    )
    assert apply_overrides(Settings(), Overrides(contexts=("x",))).sources == (KubeconfigSection(contexts=("x",)),)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (Overrides(listen=("x",)), "--listen: 'x' is no address and port; write both: 127.0.0.1:1053, or [::1]:1053"),
        (Overrides(workers=0), "--workers: 0 is out of range; use at least 1"),
        (Overrides(log_level="loud"), "--log-level: 'loud' is unknown; use debug, info, warning or error"),
        (Overrides(cluster="a b"), "--cluster: 'a b' is no name; use 1 to 253 characters without spaces"),
        (Overrides(network=""), "--network: '' is no name; use 1 to 253 characters without spaces"),
        (Overrides(kubeconfig="\n"), "--kubeconfig: '\\n' is no path; write one such as ./clusters"),
        (Overrides(contexts=("a b",)), "--context: 'a b' is no name; use 1 to 253 characters without spaces"),
        (Overrides(contexts=("a", "a")), "--context: the cluster 'a' has another source already; remove one of them"),
        (Overrides(state_dir="\0"), "--state-dir: '\\x00' is no path; write one such as ./clusters"),
        (
            overrides_from_environment({"MESHDNS_HTTP_LISTEN": ":9153"}),
            "MESHDNS_HTTP_LISTEN: ':9153' is no address and port; write both: 127.0.0.1:1053, or [::1]:1053",
        ),
        (
            overrides_from_environment({"MESHDNS_WORKERS": "two"}),
            "MESHDNS_WORKERS: 'two' is wrong here; write a whole number",
        ),
        (
            overrides_from_environment({"MESHDNS_STATE_DIR": "\t"}),
            "MESHDNS_STATE_DIR: '\\t' is no path; write one such as",
        ),
    ],
)
def test_a_bad_override_names_its_flag_or_variable(flags: Overrides, line: str) -> None:
    """Not a place in a file that is right."""
    with pytest.raises(SettingsError) as caught:
        apply_overrides(Settings(), flags)
    (only,) = caught.value.lines
    assert only.startswith(line)


@pytest.mark.parametrize(
    ("environ", "there", "found"),
    [
        (
            {"KUBERNETES_SERVICE_HOST": "10.0.0.1", **HOME},
            {"./clusters"},
            (InClusterSection(cluster="Kubernetes"), RemoteSecretsSection()),
        ),
        (HOME, {"./clusters", "/home/op/.kube/config"}, (ManifestsSection(path="./clusters"),)),
        (HOME, {"/home/op/.kube/config"}, (KubeconfigSection(path="/home/op/.kube/config"),)),
        ({"KUBECONFIG": "/a:/b", **HOME}, {"/b"}, (KubeconfigSection(path="/a:/b"),)),
    ],
    ids=["pod", "folder", "home", "KUBECONFIG"],
)
def test_without_sources_what_is_there_is_taken(
    environ: dict[str, str], there: set[str], found: tuple[object, ...]
) -> None:
    """The own cluster with its remote secrets, else ./clusters, else the current context."""
    assert resolve_sources(Settings(), environ, there.__contains__) == found


def test_in_a_pod_the_own_cluster_has_the_name_of_the_vantage() -> None:
    """Istio's default name is only for those who named none."""
    settings = Settings(vantage=VantageSection(cluster="east"))
    assert resolve_sources(settings, {"KUBERNETES_SERVICE_HOST": "x"}, bool) == (
        InClusterSection(cluster="east"),
        RemoteSecretsSection(),
    )


def test_where_nothing_is_there_it_says_what_it_looked_for() -> None:
    """And how to see it work all the same."""
    with pytest.raises(SettingsError) as caught:
        resolve_sources(Settings(), HOME, set().__contains__)
    (line,) = caught.value.lines
    for words in ("KUBERNETES_SERVICE_HOST", "./clusters", "/home/op/.kube/config"):
        assert words in line
    assert line.endswith("see it work with: meshdns demo")


def test_sources_that_are_set_are_taken_as_they_are() -> None:
    """Only a kubeconfig without path is completed."""
    settings = Settings(sources=(RemoteSecretsSection(), KubeconfigSection(contexts=("a",))))
    found = resolve_sources(settings, HOME, {"/home/op/.kube/config"}.__contains__)
    assert found == (RemoteSecretsSection(), KubeconfigSection(path="/home/op/.kube/config", contexts=("a",)))


def test_a_kubeconfig_that_is_not_there_is_named() -> None:
    """Before any client fails on it."""
    settings = Settings(sources=(KubeconfigSection(path="/nowhere"),))
    with pytest.raises(SettingsError, match=r"^no kubeconfig /nowhere; name one with --kubeconfig or in KUBECONFIG$"):
        resolve_sources(settings, HOME, set().__contains__)


@pytest.mark.parametrize(
    ("environ", "uid", "state", "socket"),
    [
        (HOME, 0, "/var/lib/meshdns", "/run/meshdns/admin.sock"),
        (HOME, 1000, "/home/op/.local/state/meshdns", "/home/op/.local/state/meshdns/admin.sock"),
        ({"XDG_STATE_HOME": "/x", **HOME}, 1000, "/x/meshdns", "/x/meshdns/admin.sock"),
        (
            {"XDG_STATE_HOME": "x", **HOME},
            1000,
            "/home/op/.local/state/meshdns",
            "/home/op/.local/state/meshdns/admin.sock",
        ),
    ],
    ids=["root", "home", "XDG", "relative XDG"],
)
def test_state_and_socket_are_where_the_user_may_write(
    environ: dict[str, str], uid: int, state: str, socket: str
) -> None:
    """Root has the system's places, others their own."""
    settings = fill_in_paths(Settings(), environ, uid)
    assert (settings.state_dir, settings.admin.socket) == (state, socket)


def test_without_a_home_the_state_needs_a_flag() -> None:
    """It is not put anywhere at random."""
    with pytest.raises(SettingsError, match=r"HOME is not set; set --state-dir$"):
        fill_in_paths(Settings(), {}, 1000)
