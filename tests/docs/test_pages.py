"""What the documents claim without running anything: they are current, and what they name is there."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from meshdns.cli.main import root
from meshdns.config import Settings, parse_settings, read_settings_file
from meshdns.config import reference as settings
from meshdns.controller import reference as problems
from meshdns.mesh.objects.problems import ProblemKind
from meshdns.supervisor import reference as metrics
from meshdns.supervisor import supervisor
from tests.docs.pages import CHECKOUT, Block, anchors, blocks, links, pages
from tests.zones import reference as semantics

PAGES = pages()
KINDS = {"console", "ini", "sh", "text", "yaml"}


def title(page: Path) -> str:
    """The page, for the name of a test."""
    return str(page.relative_to(CHECKOUT))


def test_settings_are_current() -> None:
    """``docs/settings.md`` is what ``python -m meshdns.config.reference`` writes."""
    assert (CHECKOUT / "docs/settings.md").read_text("utf-8") == settings.reference()


def test_problems_are_current() -> None:
    """``docs/problems.md`` is what ``python -m meshdns.controller.reference`` writes."""
    assert (CHECKOUT / "docs/problems.md").read_text("utf-8") == problems.reference()


@pytest.mark.parametrize("kind", ProblemKind, ids=lambda kind: kind.value)
def test_each_kind_of_problem_is_declared_whole_and_has_a_runbook(kind: ProblemKind) -> None:
    """Its meaning is one sentence, its advice has none of its own, and its runbook is a section that is there."""
    assert re.fullmatch(r"[A-Z][^.]+\.", kind.meaning)
    assert re.fullmatch(r"[a-z].*[^.]", kind.advice)
    assert kind.runbook in anchors(CHECKOUT / "docs/runbooks.md")


def test_each_runbook_of_a_problem_is_of_a_kind() -> None:
    """No section is left of a kind that is gone, and the page lists all kinds."""
    sections = {anchor for anchor in anchors(CHECKOUT / "docs/runbooks.md") if anchor.startswith("problem-")}
    assert sections <= {kind.runbook for kind in ProblemKind}
    listed = re.findall(r"^\| ([\w ]+) \| (?:error|warning|expected) \|", problems.reference(), re.MULTILINE)
    assert sorted(listed) == sorted(kind.value for kind in ProblemKind)


def test_semantics_are_current() -> None:
    """``docs/semantics.md`` is what ``python -m tests.zones.reference`` writes."""
    assert (CHECKOUT / "docs/semantics.md").read_text("utf-8") == semantics.reference()


def test_the_example_of_all_settings_is_good() -> None:
    """The file that shows every key is one that a server takes."""
    assert read_settings_file(settings.EXAMPLE, "/home/somebody") != Settings()


DEFAULTS = [
    pytest.param(key.default, field.default, id=key.path)
    for chapter in settings.reference_sections()
    for key, field in zip(chapter.keys, chapter.section.model_fields.values(), strict=True)
    if isinstance(field.default, str | int | float) and key.default
]


@pytest.mark.parametrize(("said", "default"), DEFAULTS)
def test_the_default_that_is_told_is_the_one(said: str, default: str | float) -> None:
    """What a description says after ``Default:`` begins with what the model has."""
    written = str(default).lower() if isinstance(default, str | bool) else f"{default:g}"
    assert re.match(rf"{re.escape(written)}s?\b", said.lower())


PINS = [
    ("kube-apiserver", "kube-apiserver", r"k8s.io/kubernetes v(\d+\.\d+)"),
    ("the CRDs of Istio", "crds", r"istio.io/api v(\d+\.\d+)"),
    ("the CRDs of", "crds", r"sigs.k8s.io/gateway-api v(\d+\.\d+)"),
    ("CoreDNS", "coredns", r"github.com/coredns/coredns v(\d+\.\d+)"),
]


@pytest.mark.parametrize(("said", "component", "pin"), PINS)
def test_the_readme_names_the_versions_that_tests_run(said: str, component: str, pin: str) -> None:
    """The table of what it works with, against what is built."""
    module = (CHECKOUT / "tests/rig/components" / component / "go.mod").read_text("utf-8")
    version = re.search(pin, module)
    assert version
    assert f"{said} {version[1]}" in (CHECKOUT / "README.md").read_text("utf-8")


def test_settings_that_need_a_restart_are_named() -> None:
    """What a running server does not take up is what the page says."""
    (said,) = re.findall(r"changed file; (.*) need a restart", settings.reference())
    assert {Settings.model_fields[name].alias or name for name in supervisor._FIXED_ON_RELOAD} == set(
        re.findall(r"`(\w+)`", said)
    )


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_lead_somewhere(page: Path) -> None:
    """Files and images are there, and headings below them."""
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if "://" in link:
            continue
        assert target.exists(), f"{title(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{title(page)} links to {link}"


def test_what_is_linked_comes_with_the_source() -> None:
    """A source archive has all that the README leads to."""
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    there = declared["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    linked = {link.partition("/")[0] for link in links(CHECKOUT / "README.md") if "://" not in link}
    assert {f"/{name}" for name in linked} | {"/requirements"} <= set(there)


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_targets_of_make_are_there(page: Path) -> None:
    """Whoever reads ``make something`` can run it."""
    targets = set(re.findall(r"^(\w+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`| {4})make ([a-z]+)\b", page.read_text("utf-8"))) <= targets


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_commands_are_there(page: Path) -> None:
    """Whoever reads ``meshdns something`` can run it."""
    said = re.findall(r"(?:`| {4}|\$ |-- )meshdns ([a-z][a-z-]+)\b", page.read_text("utf-8"))
    assert {word for word in said if root.get_command(root.make_context("meshdns", ["check"]), word) is None} == set()


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_metrics_are_there(page: Path) -> None:
    """Every metric that is named is told by /metrics."""
    known = re.findall(r"^\| `(meshdns_\w+)`", metrics.reference(), re.MULTILINE)
    said = re.findall(r"\b(meshdns_[a-z_]+[a-z])\b", page.read_text("utf-8"))
    assert {re.sub(r"_(count|sum|bucket)$", "", name) for name in said} <= set(known)


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_blocks_are_of_known_kinds(page: Path) -> None:
    """Nothing runs past `test_commands` under another name."""
    assert {block.kind for block in blocks(page)} <= KINDS


SAMPLES = [block for page in PAGES for block in blocks(page) if block.kind == "yaml"]


@pytest.mark.parametrize("block", SAMPLES, ids=lambda block: block.place)
def test_samples_of_yaml_are_good(block: Block) -> None:
    """They are YAML, and settings where they say so."""
    documents = list(yaml.safe_load_all(block.text))
    assert all(documents)
    if "apiVersion: meshdns/v1" in block.text:
        assert parse_settings(block.text.encode(), block.place)
