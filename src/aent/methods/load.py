"""From a name, a mapping or a dotted path to a method."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aent import subsets
from aent.controllers import CONTROLLERS
from aent.errors import InputError
from aent.method import Method
from aent.methods.aent import aent
from aent.methods.aent_auto import aent_auto
from aent.methods.aer import aer
from aent.methods.archer import archer
from aent.methods.bapo import bapo
from aent.methods.ce_gppo import ce_gppo
from aent.methods.clip_b import clip_b
from aent.methods.clip_cov import clip_cov
from aent.methods.clip_higher import clip_higher
from aent.methods.cosine_bonus import cosine_bonus
from aent.methods.entrocraft import entrocraft
from aent.methods.entropic import entropic
from aent.methods.entropy_advantage import entropy_advantage
from aent.methods.entropy_bonus import entropy_bonus
from aent.methods.erc import erc
from aent.methods.forking_tokens import forking_tokens
from aent.methods.kl_cov import kl_cov
from aent.methods.lagrangian import lagrangian
from aent.methods.linear_bonus import linear_bonus
from aent.methods.mai_clip import mai_clip
from aent.methods.none import none
from aent.methods.pass_at_k import pass_at_k
from aent.methods.qae import qae
from aent.methods.repo_r import repo_r
from aent.methods.sac import sac
from aent.methods.siren import siren
from aent.methods.skywork import skywork
from aent.methods.stack import stacked
from aent.methods.stare import stare
from aent.methods.stare_adaptive import stare_adaptive
from aent.methods.steer import steer
from aent.methods.unlikeliness import unlikeliness
from aent.methods.w_reinforce import w_reinforce
from aent.spec import from_spec

Spec = str | Mapping[str, Any] | Sequence[Any] | Method


def stack(*, methods: list[Any]) -> Method:
    """Combine several methods: ``{name: stack, methods: [clip-higher, {name: aent, low: 0.2}]}``.

    Raises:
        InputError: if two of them fill the same part; it names both.
    """
    return stacked([load_method(spec) for spec in methods])


METHODS: dict[str, Callable[..., Method]] = {
    "none": none,
    "entropy-bonus": entropy_bonus,
    "aent": aent,
    "aent-auto": aent_auto,
    "linear-bonus": linear_bonus,
    "cosine-bonus": cosine_bonus,
    "sac": sac,
    "lagrangian": lagrangian,
    "skywork": skywork,
    "aer": aer,
    "siren": siren,
    "entropic": entropic,
    "unlikeliness": unlikeliness,
    "pass-at-k": pass_at_k,
    "w-reinforce": w_reinforce,
    "qae": qae,
    "entropy-advantage": entropy_advantage,
    "stare": stare,
    "stare-adaptive": stare_adaptive,
    "repo-r": repo_r,
    "entrocraft": entrocraft,
    "forking-tokens": forking_tokens,
    "steer": steer,
    "clip-cov": clip_cov,
    "kl-cov": kl_cov,
    "clip-b": clip_b,
    "erc": erc,
    "clip-higher": clip_higher,
    "ce-gppo": ce_gppo,
    "archer": archer,
    "mai-clip": mai_clip,
    "bapo": bapo,
    "stack": stack,
}

SUBSETS: dict[str, Callable[..., subsets.Subset]] = {
    "full": subsets.Full,
    "fraction": subsets.Fraction,
    "top-k": subsets.TopK,
    "top-p": subsets.TopP,
}


def load_method(spec: Spec) -> Method:
    """Return the method that a spec describes.

    A spec is a name in `METHODS`, a dotted path to a `Method` or to a function that returns one, a
    mapping ``{"name": ..., argument: value, ...}``, a list of specs to stack, or a `Method` itself. In a
    mapping, ``subset`` and ``controller`` replace the method's own:
    ``{"name": "entropy-bonus", "subset": {"name": "top-p", "mass": 0.9}}``.

    Raises:
        InputError: for an unknown name or argument, or a value that the method refuses.
    """
    if isinstance(spec, Method):
        return spec
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        return stack(methods=list(spec))
    arguments: dict[str, Any] = {"name": spec} if isinstance(spec, str) else {**spec}
    parts = {
        kind: _load_part(kind, known, arguments.pop(kind))
        for kind, known in (("subset", SUBSETS), ("controller", CONTROLLERS))
        if kind in arguments
    }
    method = from_spec("method", arguments, METHODS)
    if not isinstance(method, Method):
        raise InputError(f"{arguments['name']!r} gave {type(method).__name__}, not an aent Method")
    return replace(method, **parts)


def _load_part(kind: str, known: Mapping[str, Callable[..., Any]], part: Any) -> Any:
    """Return a subset or a controller from its spec; an object, as Python code may give, stays as it is."""
    return from_spec(kind, part, known) if isinstance(part, str | Mapping) else part
