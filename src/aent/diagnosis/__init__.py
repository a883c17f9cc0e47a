"""What the log of a training run says about its entropy, whoever wrote the log, and what to try next."""
