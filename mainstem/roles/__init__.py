"""The roles of an installation, each one process: processor, connectors, sinks, API.

Every role ends with a sentence and a non-zero code when it cannot go on; whoever started it starts it again.
"""
