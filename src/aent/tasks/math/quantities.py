r"""Numbers and units as answers write them: ``1.6e-19``, ``1.6 \times 10^{-19} \mathrm{~J}``, ``560 nm``."""

import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

_DECIMAL = r"(?:[0-9]{1,100}(?:\.[0-9]{0,100})?|\.[0-9]{1,100})"

_TEN = r"10\s*(?:\^|\*\*)\s*(?:\{\s*([-+]?[0-9]{1,3})\s*\}|([-+]?[0-9]{1,3}))"

_NUMBER = re.compile(
    rf"([-+]?)\s*(?:({_DECIMAL})(?:[eE]([-+]?[0-9]{{1,3}})|\s*(?:\\times|\\cdot|\*|×|x)\s*{_TEN})?|{_TEN})",
    re.ASCII,
)

_THOUSANDS = re.compile(r"(?<=[0-9])(?:,|\{,\}|\\,|\\!,?)(?=[0-9]{3}(?![0-9]))", re.ASCII)

_UNITS: dict[str, tuple[str, str]] = {
    # name: its size, in what. What has no exact size in others (a year, an electron volt) is itself.
    "m": ("1", "m"),
    "angstrom": ("1e-10", "m"),
    "pc": ("1", "pc"),
    "s": ("1", "s"),
    "min": ("60", "s"),
    "h": ("3600", "s"),
    "day": ("86400", "s"),
    "yr": ("1", "year"),
    "year": ("1", "year"),
    "Hz": ("1", "s^-1"),
    "g": ("1e-3", "kg"),
    "amu": ("1", "amu"),
    "N": ("1", "kg m s^-2"),
    "Pa": ("1", "kg m^-1 s^-2"),
    "J": ("1", "kg m^2 s^-2"),
    "erg": ("1e-7", "kg m^2 s^-2"),
    "W": ("1", "kg m^2 s^-3"),
    "eV": ("1", "eV"),
    "cal": ("1", "cal"),
    "C": ("1", "C"),
    "A": ("1", "C s^-1"),
    "V": ("1", "V"),
    "F": ("1", "C V^-1"),
    "T": ("1", "T"),
    "K": ("1", "K"),
    "degC": ("1", "degC"),
    "degF": ("1", "degF"),
    "deg": ("1", "deg"),
    "arcmin": ("1/60", "deg"),
    "arcsec": ("1/3600", "deg"),
    "rad": ("1", "rad"),
    "mol": ("1", "mol"),
    "M": ("1e3", "mol m^-3"),
    "L": ("1e-3", "m^3"),
    "mag": ("1", "mag"),
    "bit": ("1", "bit"),
    "inch": ("0.0254", "m"),
    "ft": ("0.3048", "m"),
    "yd": ("0.9144", "m"),
    "mi": ("1609.344", "m"),
    "week": ("604800", "s"),
    "month": ("1", "month"),
    "decade": ("10", "year"),
    "century": ("100", "year"),
    "lb": ("0.45359237", "kg"),
    "oz": ("0.028349523125", "kg"),
    "ton": ("1", "ton"),
    "gal": ("0.003785411784", "m^3"),
    "quart": ("0.000946352946", "m^3"),
    "pint": ("0.000473176473", "m^3"),
    "cup": ("0.0002365882365", "m^3"),
    "acre": ("4046.8564224", "m^2"),
    "hectare": ("1e4", "m^2"),
    "mph": ("0.44704", "m s^-1"),
    "euro": ("1", "euro"),
    "sterling": ("1", "sterling"),
    "yen": ("1", "yen"),
    "dollar": ("1", "dollar"),
    "cent": ("1/100", "dollar"),
    **dict.fromkeys(("atom", "electron", "ion", "molecule", "photon"), ("1", "")),
}

_NAMES = {
    **{"mile": "mi", "foot": "ft", "feet": "ft", "inches": "inch", "yard": "yd", "pound": "lb", "lbs": "lb"},
    **{"ounce": "oz", "gallon": "gal", "wk": "week", "centuries": "century", "hours": "h", "hrs": "h"},
    **{"meter": "m", "metre": "m", "parsec": "pc", "sec": "s", "second": "s", "minute": "min", "hour": "h"},
    **{"hr": "h", "hertz": "Hz", "gram": "g", "newton": "N", "joule": "J", "watt": "W"},
    **{
        "calorie": "cal",
        "volt": "V",
        "kelvin": "K",
        "celsius": "degC",
        "degree": "deg",
        "arcminute": "arcmin",
    },
    **{"arcsecond": "arcsec", "radian": "rad", "mole": "mol", "liter": "L", "litre": "L", "magnitude": "mag"},
}

_PREFIXES = {"f": -15, "p": -12, "n": -9, "μ": -6, "u": -6, "m": -3, "c": -2, "k": 3, "M": 6, "G": 9, "T": 12}

_LONG_PREFIXES = {"nano": -9, "micro": -6, "milli": -3, "centi": -2, "kilo": 3, "mega": 6, "giga": 9}

_PREFIXED = frozenset(
    [
        "m",
        "pc",
        "s",
        "yr",
        "Hz",
        "g",
        "N",
        "Pa",
        "J",
        "W",
        "eV",
        "cal",
        "C",
        "A",
        "V",
        "F",
        "T",
        "K",
        "mol",
        "M",
        "L",
        "bit",
    ]
)

_REWRITTEN = (  # LaTeX around units, as plain words
    (r"\\[,;:! ]|~|\$|\\q?quad|[\[\]*·]|\\cdot|\\times|\{\s*\}", " "),
    (r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree|°", " deg "),
    (r"\^\s*\{\s*\\prime\s*\\prime\s*\}", " arcsec "),
    (r"\^\s*(?:\\prime|\{\s*\\prime\s*\})", " arcmin "),
    (r"\\AA(?![A-Za-z])|Å", " angstrom "),
    (r"\\(?:mathrm|text|textrm|operatorname|rm|mbox)(?![A-Za-z])", " "),
    (r"\^\s*\{\s*([-+]?[0-9]+)\s*\}", r"^\1"),
    (r"[{}]", " "),
    (r"(?:\\mu(?![A-Za-z])|μ|µ)\s*", "μ"),
    (r"(?<![A-Za-z])deg\s+([CF])(?![A-Za-z])", r"deg\1"),
    (r"(?<![A-Za-z])per(?![A-Za-z])", "/"),
    (r"(?<![A-Za-z])(?:square|sq\.?)\s+([A-Za-z]+)", r"\1^2"),
    (r"(?<![A-Za-z])(?:cubic|cu\.?)\s+([A-Za-z]+)", r"\1^3"),
    (r"([A-Za-z])\s+squared(?![A-Za-z])", r"\1^2"),
    (r"([A-Za-z])\s+cubed(?![A-Za-z])", r"\1^3"),
)

_FACTOR = re.compile(r"\s*(/?)\s*([A-Za-zμ]+)(?:\s*\^\s*([-+]?[0-9]{1,2}))?")

_UPRIGHT = re.compile(
    r"\\(?:mathrm|text|textrm|operatorname|mbox)\s*\{|\{\s*\}\s*\^|\^\s*\{?\s*\\circ|°|\\AA|Å|\\mu(?![A-Za-z])"
)


@dataclass(frozen=True)
class Unit:
    """A unit: how large it is, in which powers of base units."""

    size: Fraction
    powers: tuple[tuple[str, int], ...]
    text: str
    """As plain words: ``kcal m^-2 yr^-1``."""


def number_of(answer: str) -> Fraction | None:
    r"""Return the exact value of a decimal number, None where the text is something else.

    Read are ``$`` around it, thousands separators, ``1.6e-19``, ``1.6 \times 10^{-19}`` and
    ``10^{-5}``; powers of ten have at most three digits.
    """
    bare = answer.replace("\\$", "").replace("$", "").strip().rstrip(".")
    match = _NUMBER.fullmatch(_THOUSANDS.sub("", bare))
    return None if match is None else _value(match)


def unit_of(text: str) -> Unit | None:
    r"""Return the unit that a text is, in LaTeX or words; None where it is not one, or unknown."""
    unit, rest = _leading_unit(text)
    return unit if not rest.strip(" .") else None


def unit_before(text: str) -> Unit | None:
    """Return the unit that a text begins with, whatever follows; None where there is none.

    A unit divided by something unknown (kJ / bomb) is none either.
    """
    unit, rest = _leading_unit(re.split(r"[=,;:(\n]|\\\\|\\[\])]|\.(?![0-9])", text, maxsplit=1)[0])
    return None if rest.lstrip().startswith(("/", "^")) else unit


def split_unit(answer: str, *, upright: bool = False) -> tuple[str, Unit | None]:
    r"""Split ``560 \text{ nm}`` into ``560`` and its unit; without a known unit the answer stays whole.

    Letters right after a number (``560m``) are a unit too, unless `upright`: then only what is typeset as
    one (``\text``, ``\mathrm``, a degree sign), or two letters and more after a space (``560 nm``).
    """
    starts = [match.start() for match in _UPRIGHT.finditer(answer)]
    number = _NUMBER.match(answer)
    if number and (not upright or re.match(r"\s+[A-Za-z]{2}", answer[number.end() :])):
        starts.insert(0, number.end())
    for start in starts:
        unit = unit_of(answer[start:])
        if unit is not None and answer[:start].strip():
            return re.sub(r"(?:\\[,;: ]|~|\s)+$", "", answer[:start]), unit
    return answer, None


def _value(match: re.Match[str]) -> Fraction:
    sign, decimal, *exponents = match.groups()
    exponent = next((e for e in exponents if e is not None), "0")
    return Fraction(f"{sign}{decimal or 1}") * Fraction(10) ** int(exponent)


def _leading_unit(text: str) -> tuple[Unit | None, str]:
    """Return the longest unit at the beginning of a text, and what follows it."""
    for pattern, written in _REWRITTEN:
        text = re.sub(pattern, written, text)
    size, powers, words, end = Fraction(1), Counter[str](), list[str](), 0
    while factor := _FACTOR.match(text, end):
        slash, name, power = factor.groups()
        found = _named(name)
        if found is None:
            break
        exponent = int(power or 1) * (-1 if slash else 1)
        size *= found[0] ** exponent
        for base, count in _powers(found[1]):
            powers[base] += count * exponent
        words.append(name if exponent == 1 else f"{name}^{exponent}")
        end = factor.end()
    if not words:
        return None, text
    kept = tuple(sorted((base, count) for base, count in powers.items() if count))
    return Unit(size, kept, " ".join(words)), text[end:]


def _named(word: str) -> tuple[Fraction, str] | None:
    """Return size and base units of a unit by symbol (case matters) or by name (it does not)."""
    known = _known_units()
    return known.get(word) or (known.get(word.lower()) if len(word) > 3 else None)


@cache
def _known_units() -> dict[str, tuple[Fraction, str]]:
    """Return every unit: with its prefixes, by name, in the plural; a unit wins over a prefixed one."""
    symbols = {name: (Fraction(size), base) for name, (size, base) in _UNITS.items()}
    names = {name: symbols[symbol] for name, symbol in _NAMES.items()}
    prefixed = {
        prefix + name: (size * Fraction(10) ** power, base)
        for units, prefixes in (({s: symbols[s] for s in _PREFIXED}, _PREFIXES), (names, _LONG_PREFIXES))
        for name, (size, base) in units.items()
        for prefix, power in prefixes.items()
    }
    known = prefixed | names | symbols
    return {f"{name}s": unit for name, unit in known.items() if len(name) > 2} | known


def _powers(base: str) -> list[tuple[str, int]]:
    """Read ``kg m^2 s^-2``."""
    pairs = (factor.partition("^") for factor in base.split())
    return [(name, int(power or 1)) for name, _, power in pairs]
