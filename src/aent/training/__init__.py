"""Training a recipe: from flags to arguments, the run itself, and many runs side by side."""
