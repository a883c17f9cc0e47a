"""Complete training runs: a recipe in, a run folder out."""
