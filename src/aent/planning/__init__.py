"""What a recipe needs: memory and time from a stated model; nothing is run."""
