"""Tasks with a mathematical answer, from files or the hub."""
