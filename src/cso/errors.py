"""What can go wrong, sorted by what the caller should do about it.

    CsoError
    ├── InputError     a file, a dialogue or a setting is not what it should be: correct it
    ├── StoreError     a run directory cannot be read or written: free it, or choose another
    ├── AnswerError    a role answered, but not in a form that can be used: this tree ends, others go on
    ├── RequestError   the endpoint would not answer this one request: this tree ends, others go on
    ├── EndpointError  the endpoint answers nothing (down, wrong key, unknown model): the run stops
    ├── ClusterError   the machines that were to do the work are not there, or die: the run stops, and can be resumed
    └── BudgetSpent    a limit that the user set is reached: the run stops, and can be resumed

Every message says what was expected, what was found and, where it is not plain, what to do. Anything else
that is raised is a bug of ours and is not caught.
"""

from __future__ import annotations


class CsoError(Exception):
    """The root of all errors that a caller of cso can act on."""


class InputError(CsoError):
    """Something the user gave cannot be used; the message names the file, the dialogue and the turn, or the setting."""


class StoreError(CsoError):
    """A run directory cannot be used: held by another process, of other settings, of a newer version, a full disk."""


class AnswerError(CsoError):
    """A role's answer could not be used.

    `reason` is "unreadable", "empty", "cut off" or "refused"; `text` is what the model sent.
    """

    def __init__(self, message: str, *, reason: str, text: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.text = text


class RequestError(CsoError):
    """The endpoint refused one request, or gave no answer to it in time, while it answers others."""


class EndpointError(CsoError):
    """The endpoint gives no answers at all; asking again would not help until something is mended."""


class ClusterError(CsoError):
    """A Ray cluster cannot be had, or its actors keep dying."""


class BudgetSpent(CsoError):
    """A limit set by the user (calls, tokens, cost) is reached; nothing is lost, a higher limit goes on."""
