"""The paper's synthetic experiment and its two propositions, on a laptop."""
