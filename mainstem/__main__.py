"""Where `mainstem` and `python -m mainstem` begin."""

import os
import signal


def main() -> None:
    """Run the command line. Ctrl-C ends it without a word also while it is still being imported."""
    handler = signal.getsignal(signal.SIGINT)
    # A shell has it ignored by what a script began in the background.
    if handler is signal.default_int_handler:
        # As an exception, an import may print it, or swallow it.
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from mainstem import cli  # noqa: PLC0415 - not before the signal is looked after

    signal.signal(signal.SIGINT, handler)
    cli.main()


if __name__ == "__main__":
    main()
