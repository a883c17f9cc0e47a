"""The memory and time that a recipe needs, from a stated model; nothing is run."""
