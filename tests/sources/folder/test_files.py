"""A file gives the objects of its documents; what documents that are broken may hold stays."""

from pathlib import Path

import pytest

from meshdns.mesh.objects.declarations import ObjectKind, ServiceEntry, UnreadableObject, key_of
from meshdns.sources.folder.files import FileContent, merge_files, read_file
from meshdns.sources.folder.source import load_folder

MEANT: dict[tuple[str, str], ObjectKind | None] = {
    ("gateway.networking.k8s.io/v1", "Gateway"): ObjectKind.GATEWAY,
    ("gateway.networking.k8s.io/v1beta1", "Gateway"): ObjectKind.GATEWAY,
    ("networking.istio.io/v1", "Gateway"): ObjectKind.ISTIO_GATEWAY,
    ("networking.istio.io/v1alpha3", "Gateway"): ObjectKind.ISTIO_GATEWAY,
    ("", "Gateway"): ObjectKind.GATEWAY,
    ("networking.istio.io/v1", "IstioGateway"): None,
    ("v1", "Pod"): ObjectKind.POD,
    ("v1", "Node"): ObjectKind.NODE,
    ("metrics.k8s.io/v1beta1", "Node"): None,
    ("serving.knative.dev/v1", "Service"): None,
    ("v1", "Service"): ObjectKind.SERVICE,
}


@pytest.mark.parametrize(("version", "name"), MEANT)
def test_a_kind_is_told_by_its_group(tmp_path: Path, version: str, name: str) -> None:
    """Kinds of the same name in groups of others are passed over without a word."""
    (tmp_path / "east").mkdir()
    head = f"apiVersion: {version}\n" if version else ""
    (tmp_path / "east" / "a.yaml").write_text(f"{head}kind: {name}\nmetadata: {{name: thing}}\n")
    found = [each for each in load_folder(tmp_path).clusters["east"] if each.name != "."]
    expected = MEANT[version, name]
    assert [key_of(each)[0] for each in found] == ([] if expected is None else [expected])
    assert not any(each.problems for each in found)


def document(name: str) -> str:
    """A ServiceEntry for <name>.global."""
    return f"kind: ServiceEntry\nmetadata: {{name: {name}}}\nspec: {{hosts: [{name}.global]}}\n"


STEPS: dict[str, list[tuple[str, str]]] = {
    "what a broken document held stays": [("a b", "a b"), ("a [", "a b"), ("a c", "a c")],
    "what the broken file declares now is new": [("a b", "a b"), ("[ c", "a b c"), ("c", "c")],
    "removals count while another document stays broken": [
        ("a b c", "a b c"),
        ("a b [", "a b c"),
        ("a [", "a c"),
        ("d [", "c d"),
        ("d", "d"),
    ],
    "what is declared again is kept no more": [("a b", "a b"), ("a [", "a b"), ("b [", "b"), ("c [", "c"), ("c", "c")],
    "another document that breaks keeps what it may hold": [("a b c", "a b c"), ("a b [", "a b c"), ("a {", "a b c")],
    "a second one that breaks does so too": [("a b [", "a b"), ("a [ {", "a b"), ("a [", "a b"), ("a", "a")],
    "a file that is broken at first gives what it can": [("[ a", "a"), ("[ b", "b")],
    "a file that is replaced by a message keeps all": [
        ("a b", "a b"),
        ("error", "a b"),
        ("error [", "a b"),
        ("c", "c"),
    ],
    "a file of a comment declares nothing": [("a b", "a b"), ("#", "")],
    "an empty file keeps all": [("a b", "a b"), ("", "a b"), ("b", "b")],
    "other kinds declare nothing": [("a b", "a b"), ("other", "")],
    "a broken file that becomes empty keeps what it kept": [
        ("a b", "a b"),
        ("b [", "a b"),
        ("", "a b"),
        ("b [", "a b"),
    ],
}
DOCUMENTS = {
    "[": "[\n",
    "{": "a: {\n",
    "error": "error: it failed\n",
    "#": "# nothing\n",
    "other": "kind: ConfigMap\nmetadata: {name: a}\n",
}


@pytest.mark.parametrize("story", STEPS)
def test_a_broken_document_removes_nothing_that_it_may_hold(tmp_path: Path, story: str) -> None:
    """Each step writes these documents, and these are the objects of the file then; none is there twice."""
    path = tmp_path / "f.yaml"
    content = FileContent()
    for written, served in STEPS[story]:
        path.write_text("---\n".join(DOCUMENTS.get(each) or document(each) for each in written.split()))
        content = read_file(path, content)
        found = merge_files({"f.yaml": content}).values()
        assert sorted(each.name for each in found if isinstance(each, ServiceEntry)) == served.split()
        assert not any(each.problems for each in found if isinstance(each, ServiceEntry))
        problems = [problem.reason for problem in content.problems]
        is_keeping = content.kept or (not written and content.declarations)
        assert all(each.endswith("; its last good content is served on") for each in problems) is (
            bool(is_keeping) or not problems
        )


def test_long_names_of_files_are_told_apart(tmp_path: Path) -> None:
    """The end of a path tells more than its beginning."""
    folder = tmp_path / "east" / ("x" * 120) / ("y" * 120)
    folder.mkdir(parents=True)
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text("[")
    found = [each.name for each in load_folder(tmp_path).clusters["east"] if isinstance(each, UnreadableObject)]
    assert [name[-7:] for name in found] == ["/a.yaml", "/b.yaml", "."]
    assert max(map(len, found)) == 200
