"""A third party's package. It imports what Mainstem ships, and Mainstem knows nothing of it."""
