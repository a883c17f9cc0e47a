"""Metadata that depends on where the repository lives: its addresses, and the links of the README.

The address is taken from AENT_REPOSITORY, which the workflow that publishes sets. Without it, a build has no
addresses of the repository, and links to its files become plain text.
"""

import os
import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

PAPER = "https://arxiv.org/abs/2509.03493"


class CustomMetadataHook(MetadataHookInterface):
    """Fills in ``readme`` and ``urls``."""

    def update(self, metadata: dict) -> None:
        """Set both fields."""
        repository = os.environ.get("AENT_REPOSITORY", "").rstrip("/")
        text = (Path(self.root) / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": linked(text, repository)}
        metadata["urls"] = {"Paper": PAPER}
        if repository:
            metadata["urls"] |= {
                "Source": repository,
                "Documentation": f"{repository}/tree/main/docs",
                "Issues": f"{repository}/issues",
                "Changelog": f"{repository}/blob/main/CHANGELOG.md",
            }


def linked(text: str, repository: str) -> str:
    """Return Markdown whose relative links and pictures point into the repository, or are plain text."""

    def replace(link: re.Match[str]) -> str:
        mark, name, target = link.groups()
        if not repository:
            return "" if mark else name
        return f"{mark}[{name}]({repository}/{'raw' if mark else 'blob'}/main/{target})"

    return re.sub(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])+)\]\((?![a-z]+:|#)([^)\s]+)\)", replace, text)
