"""How the statistics of tokens are computed: portable, compiled for CPUs, and on GPUs."""
