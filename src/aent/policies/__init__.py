"""Tiny policies made from scratch, so that everything runs on a laptop without a download."""

from aent.policies.warmstart import Warmstart, cached_policy, check_demonstrations, warmstart

__all__ = ["Warmstart", "cached_policy", "check_demonstrations", "warmstart"]
