"""verl on a machine without a GPU, for tests."""
