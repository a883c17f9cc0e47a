"""What lies on disk: recipes, run folders, comparisons, and reading them back."""
