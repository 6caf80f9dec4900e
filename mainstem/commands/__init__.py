"""The commands of `mainstem`, a file for each group."""
