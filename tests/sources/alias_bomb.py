"""YAML text that is short and means a lot: lists of aliases of lists of aliases."""


def alias_bomb(levels: int, width: int = 10) -> str:
    """Lines of a mapping; the anchor ``&bomb`` names a list of ``width ** levels`` numbers in nested lists."""
    lines = [f"l0: &l0 [{', '.join(['1'] * width)}]"]
    lines += [f"l{at}: &l{at} [{', '.join([f'*l{at - 1}'] * width)}]" for at in range(1, levels)]
    return "\n".join(lines).replace(f"l{levels - 1}: &l{levels - 1}", "bomb: &bomb") + "\n"
