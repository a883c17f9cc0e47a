"""Links of the pages to files outside docs/: to the repository if its address is known, else plain text.

`make docs` and the workflow pass the address as AENT_REPOSITORY, for instance https://github.com/OWNER/aent.
"""

import os
import re


def on_page_markdown(markdown, **_):
    """Replace ``[text](../path)`` before mkdocs checks the links."""
    repository = os.environ.get("AENT_REPOSITORY")
    target = rf"[\1]({repository}/blob/main/\2)" if repository else r"\1"
    return re.sub(r"\[([^\]]+)\]\(\.\./([^)\s]+)\)", target, markdown)
