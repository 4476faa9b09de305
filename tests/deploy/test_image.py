"""The image, part by part: its steps run in plain directories, and what they make serves."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.helm import rendered, workload
from tests.deploy.image import CONTAINERFILE, Image, build, copied, steps
from tests.deploy.places import CHECKOUT

pytestmark = [pytest.mark.rig, pytest.mark.timeout(900), pytest.mark.long]

LARGEST = 220  # MiB of what is copied into the image; half of it is the Kubernetes client


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image's tree."""
    return build(tmp_path_factory.mktemp("image"))


def test_images_below_are_named_by_digest() -> None:
    """Neither base image has a default: who builds names both, by digest."""
    text = CONTAINERFILE.read_text()
    assert re.findall(r"^ARG (\w+_IMAGE)$", text, re.MULTILINE) == ["BUILD_IMAGE", "RUN_IMAGE"]
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BUILD_IMAGE}", "${RUN_IMAGE}"]


def test_image_runs_without_a_shell() -> None:
    """In the last stage nothing is run; command and user are said as admission and runtime need them."""
    last = CONTAINERFILE.read_text().rpartition("FROM ")[2]
    assert "\nRUN " not in last
    assert 'ENTRYPOINT ["/opt/meshdns/bin/meshdns"]' in last
    (user,) = re.findall(r"^USER (\d+):\1$", last, re.MULTILINE)
    assert workload(rendered())["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == int(user)


def test_what_is_installed_is_locked() -> None:
    """Every package comes with its hash, or out of the checkout without an index."""
    for step in steps():
        if " install " in step:
            assert "--require-hashes" in step or "--no-index" in step
    assert all((CHECKOUT / name).exists() for name in copied())


def test_every_module_is_compiled(image: Image) -> None:
    """Each module has its bytecode, which is used unchecked: the root is read-only, and a start compiles nothing."""
    package = next(image.program.parents[1].glob("lib/python3*/site-packages/meshdns"))
    modules = {path.stem for path in package.rglob("*.py")}
    compiled = {path.name.partition(".")[0] for path in package.rglob("*.pyc")}
    assert modules == compiled
    flags = {path.read_bytes()[4] for path in package.rglob("*.pyc")}
    assert flags == {0b01}  # PEP 552: by hash, not checked


def test_image_stays_small(image: Image) -> None:
    """What is copied into the image is bounded."""
    assert image.octets < LARGEST << 20


def test_image_serves(image: Image, tmp_path: Path) -> None:
    """The installed program starts and serves the example clusters; its version is asked without any settings."""
    assert image.starts() < 30
    done = subprocess.run([str(image.program), "version"], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.startswith("meshdns")
