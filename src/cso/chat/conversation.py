"""What was said so far, and what a line that is typed asks for. Nothing here reads or writes anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from cso.dialogue import Dialogue, Speaker, Turn, joined
from cso.errors import InputError
from cso.taxonomy import Taxonomy

COMMANDS = MappingProxyType(
    {
        "why": ("", "how likely each strategy was to open the last reply"),
        "say": ("STRATEGY", "the last turn by another strategy; a beginning of it will do"),
        "again": ("", "another reply to the last turn, or a first one where none came"),
        "back": ("", "take back what you said last, and the reply"),
        "save": ("FILE", "the conversation, for `cso search FILE` and `cso corpus FILE`"),
        "help": ("", "this, and what is said at the beginning"),
        "crisis": ("", "where to turn in a crisis"),
        "quit": ("", "end; so does Ctrl-D"),
    }
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Seeker and supporter in turn. It ends in a reply, or in a seeker turn that has none yet."""

    dialogue: Dialogue

    @property
    def waits(self) -> bool:
        """Whether the last turn has no reply."""
        turns = self.dialogue.turns
        return bool(turns) and turns[-1].speaker is Speaker.SEEKER

    @property
    def reply(self) -> Turn | None:
        """The last turn where it is a reply."""
        turns = self.dialogue.turns
        return turns[-1] if turns and not self.waits else None

    def asked(self) -> Dialogue:
        """What the last reply answers, or the next one will: it ends in a seeker turn. Raises InputError."""
        if not self.dialogue.turns:
            raise InputError("expected something that was said, found nothing yet: say something first")
        return self.dialogue if self.waits else self.dialogue.with_turns(self.dialogue.turns[:-1])

    def heard(self, text: str) -> Conversation:
        """The seeker says something; a turn that has no reply yet goes on with it."""
        said = Turn(Speaker.SEEKER, text)
        return Conversation(self.dialogue.with_turns(joined([*self.dialogue.turns, said])))

    def answered(self, strategy: str | None, text: str) -> Conversation:
        """With this reply to the last seeker turn, in place of another that may be there."""
        said = Turn(Speaker.SUPPORTER, text, strategy)
        return Conversation(self.dialogue.with_turns([*self.asked().turns, said]))

    def back(self) -> Conversation:
        """Without the last seeker turn and its reply. Raises InputError where there is none."""
        return Conversation(self.dialogue.with_turns(self.asked().turns[:-1]))


def parse(line: str) -> tuple[str | None, str]:
    """The command that a line gives, and what stands behind it; no command: what is said.

    A line is said unless it begins with a slash; of two slashes the first is dropped. Raises InputError for what is
    no command, and for a command that lacks its argument or has one too many.
    """
    line = line.strip()
    if not line.startswith("/") or line.startswith("//"):
        return None, line.removeprefix("/")
    name, _, argument = line[1:].partition(" ")
    command = meant(name, COMMANDS, what="command")
    wanted, _ = COMMANDS[command]
    if bool(wanted) != bool(argument.strip()):
        raise InputError(f"/{command}: expected {wanted or 'nothing'} behind it, found {argument.strip() or 'nothing'}")
    return command, argument.strip()


def strategy_meant(label: str, taxonomy: Taxonomy) -> str:
    """The strategy of this name, or the only one whose name begins so. Raises InputError."""
    return taxonomy.read(label) or meant(label, taxonomy.names, what="strategy")


def meant(label: str, names: Iterable[str], *, what: str) -> str:
    """The name that is `label`, or else the only one that begins so, in any case of letters. Raises InputError."""
    known = list(names)
    wanted = " ".join(label.split()).casefold()
    exact = [name for name in known if name.casefold() == wanted]
    found = exact or [name for name in known if name.casefold().startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"expected a {what}, found {label!r}; there are {', '.join(known)}")
    raise InputError(f"expected one {what}, found {label!r}, which could be {', '.join(found)}")


def writable(text: str) -> str:
    """The text with U+FFFD for half characters, which no file and no tokenizer takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
