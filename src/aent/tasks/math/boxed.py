"""Where the final answer stands in a text."""

_MARK = "####"


def final_answer(text: str) -> str | None:
    r"""Return the inside of the last ``\boxed{...}``, or what follows the last ``####``."""
    boxed = split_boxed(text)
    if boxed is not None:
        return boxed[0].strip()
    _, mark, rest = text.rpartition(_MARK)
    return rest.strip().split("\n")[0].strip() if mark else None


def split_boxed(text: str) -> tuple[str, str] | None:
    r"""Return the inside of the last ``\boxed{...}`` and the text after it; None where it is not closed."""
    opening = text.rfind("\\boxed{")
    if opening < 0:
        return None
    start = opening + len("\\boxed{")
    depth = 1
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start:position], text[position + 1 :]
    return None
