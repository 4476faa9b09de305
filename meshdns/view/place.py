"""Where the view is: one directory per layout and boot of the machine, so that an old one is never mistaken for new."""

from pathlib import Path

from meshdns.view.environment import LAYOUT


def current_view(state_dir: Path) -> Path:
    """The directory of the view in a state directory, whether or not it exists yet."""
    return state_dir / f"view-{LAYOUT}-{_boot()}"


def _boot() -> str:
    """What tells this boot of the machine from another: LMDB's file is not synced and does not outlive it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()[:8]
    except OSError:
        return "0"  # no such thing here (macOS): the view is checked before use all the same
