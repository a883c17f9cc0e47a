"""The ways of computing the statistics of tokens: portable, compiled for CPUs, and on GPUs."""
