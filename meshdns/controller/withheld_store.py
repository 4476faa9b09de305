"""Declarations of one cluster that are withheld from the name table."""

from collections.abc import Sequence

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, key_of


class WithheldStore:
    """A `DeclarationStore` of one cluster; the cluster's name, which its methods are given, is passed over."""

    def __init__(self, declarations: Sequence[AnyDeclaration] = ()) -> None:
        self._declarations: dict[ObjectKey, AnyDeclaration] = {key_of(each): each for each in declarations}

    def upsert(self, _: str, declaration: AnyDeclaration) -> None:
        """Add or replace a declaration."""
        self._declarations[key_of(declaration)] = declaration

    def remove(self, _: str, key: ObjectKey) -> None:
        """Forget a declaration; nothing happens where it is unknown."""
        self._declarations.pop(key, None)

    def keys(self, _: str, kind: ObjectKind) -> set[ObjectKey]:
        """The keys known of one kind."""
        return {key for key in self._declarations if key[0] is kind}

    def declarations_of(self, _: str) -> list[AnyDeclaration]:
        """All declarations."""
        return list(self._declarations.values())
