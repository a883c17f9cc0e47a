"""Tasks that draw their problems from a seed."""
