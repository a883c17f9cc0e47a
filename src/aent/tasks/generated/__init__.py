"""Tasks whose problems are drawn from a seed."""
