"""`python -m mainstem`: the same as `mainstem`."""

from mainstem.cli import main

main()
