"""Reports: run folders or a comparison as one HTML page, and the picture of a training run."""
