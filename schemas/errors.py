"""Every error that Mainstem raises on purpose, in one tree. The branch says what to do about it.

MainstemError
├── Fatal              stop: somebody has to change something; the message says what
│   ├── ConfigError        a configuration that cannot be used
│   ├── UnavailableError   Kafka or Postgres is not there, or does not let us in
│   ├── TopicMismatchError topics that are not as `mainstem topics create` makes them
│   └── FencedError        somebody else owns this work now
├── Retriable          try again later: it may pass
│   ├── NotAcknowledgedError  Kafka did not answer for what was sent: send it again
│   ├── LeaseLostError     another process does this work now, or somebody ended it: stop doing it
│   └── SourceError        a connector's source did not give what was asked: the run fails and is repeated
│       ├── SourceUnreachableError   no answer in time, a connection that broke, a server's own error
│       ├── RateLimitedError         too many requests; it may say for how long to wait
│       ├── AccessDeniedError        who we are is not known, or not allowed to read this
│       ├── NotFoundError            what was asked for is not there
│       ├── UnreadableAnswerError    an answer that is not what the system promises
│       ├── CursorExpiredError       the saved cursor leads nowhere: the run begins anew
│       ├── EndlessSourceError       cursors or pages that come again and again
│       ├── EmptyAnswerError         nothing where there was something
│       └── PartialRunError          less than the source itself says that there is
├── Skippable          set this one record aside (dead letter) and go on
│   ├── DecodeError        bytes that are no change: stage `decode`
│   ├── ValidationError    a change that breaks the rules: stage `validate`
│   ├── MergeError         a change whose result cannot be kept: stage `merge`
│   └── QuarantinedError   a change on which the processor ended again and again: stage `merge`
└── Declined           tell whoever asked: nothing was done, as things stand
    ├── UnknownNameError   nothing is called that
    └── ConflictError      something is under way, or was decided already

A message never holds the text of a payload: it may end in a log, a header or an answer.
"""

from typing import ClassVar, Final

_FAULTS_TOLD: Final = 20
_POINTER_TOLD: Final = 200


class MainstemError(Exception):
    """The root: catch it at the edge, print its message, exit with its code."""

    exit_code: ClassVar[int] = 1


class Fatal(MainstemError):  # noqa: N818 - a branch, named by what to do
    """Stop. Trying again changes nothing until somebody acts."""


class ConfigError(Fatal):
    """The configuration cannot be used; the message names file, key and remedy."""

    exit_code = 78  # EX_CONFIG: whoever starts a role again need not try before somebody has changed something


class UnavailableError(Fatal):
    """A service that this command needs is not there or refuses us; the message names it."""


class TopicMismatchError(Fatal):
    """A topic is missing or was made with other settings than Mainstem needs."""


class FencedError(Fatal):
    """Another process took over this work. What was being written must not be written."""


class Retriable(MainstemError):  # noqa: N818 - a branch, named by what to do
    """It may pass: try again with a growing pause."""


class NotAcknowledgedError(Retriable):
    """Kafka did not answer for everything that was sent. Some may have arrived; sending it again does no harm."""


class LeaseLostError(Retriable):
    """The right to run a connector was lost, or its run was reset. Whatever is not written yet must not be written."""


class SourceError(Retriable):
    """A connector's source did not give what was asked. The run fails, deletes nothing, and is repeated."""


class SourceUnreachableError(SourceError):
    """No answer in time, a connection that was refused or broke, or a server's own error (5xx)."""


class RateLimitedError(SourceError):
    """Too many requests (429). *retry_after*: seconds for which the source asks to be left alone, where it says so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AccessDeniedError(SourceError):
    """The source does not know us, or does not let us read this (401, 403)."""


class NotFoundError(SourceError):
    """What was asked for is not there (404): an address of the configuration may be wrong."""


class UnreadableAnswerError(SourceError):
    """The answer is not what the system promises: a page of HTML, half a JSON text, a field that is missing."""


class CursorExpiredError(SourceError):
    """The source no longer knows the saved cursor: the run begins anew."""


class EndlessSourceError(SourceError):
    """The source gives the same cursors or pages again and again: following it would never end."""


class EmptyAnswerError(SourceError):
    """A whole run saw nothing where there was something. Nothing is deleted: an empty answer is no statement."""


class PartialRunError(SourceError):
    """A run saw less than the source says that it holds. Nothing is deleted of what was not read."""


class Skippable(MainstemError):  # noqa: N818 - a branch, named by what to do
    """This record can never be used: it goes to the dead letters and the line moves on."""

    stage: ClassVar[str] = "validate"


class DecodeError(Skippable):
    """The bytes are no change: not UTF-8, not JSON or Avro, too large, too deep, a number that is none."""

    stage: ClassVar[str] = "decode"


class ValidationError(Skippable):
    """A change that was understood and breaks a rule.

    *faults* are (JSON pointer into the change, sentence without payload text) pairs, never empty.
    """

    def __init__(self, *faults: tuple[str, str]) -> None:
        # The text becomes a header: a change of many faults, or of long keys, would exceed what a broker takes.
        told = [f"{_shortened(pointer) or '/'}: {sentence}" for pointer, sentence in faults[:_FAULTS_TOLD]]
        if len(faults) > _FAULTS_TOLD:
            told.append(f"and {len(faults) - _FAULTS_TOLD} more faults")
        super().__init__("; ".join(told))
        self.faults = faults


class MergeError(Skippable):
    """The merged entity, or what is held about it, would exceed its size, or a strategy that a rule names broke."""

    stage: ClassVar[str] = "merge"


class QuarantinedError(Skippable):
    """The process ended, again and again, while it merged this record."""

    stage: ClassVar[str] = "merge"


class Declined(MainstemError):  # noqa: N818 - a branch, named by what to do
    """Tell whoever asked: what was asked for cannot be done as things stand, and nothing was."""


class UnknownNameError(Declined):
    """There is no connector, or nothing of it, that is called so."""


class ConflictError(Declined):
    """Something else is under way, or it was decided already."""


def _shortened(pointer: str) -> str:
    return pointer if len(pointer) <= _POINTER_TOLD else f"{pointer[:_POINTER_TOLD]}…"
