"""A session: each line that is typed is said or done, and what fails ends nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cso.chat.conversation import Conversation, parse, strategy_meant, writable
from cso.chat.notice import speaks_of_self_harm
from cso.chat.screen import Screen
from cso.chat.speakers import Speaker
from cso.corpora import read_corpus
from cso.corpora.jsonl import write_dialogues
from cso.errors import CsoError, InputError
from cso.settings import EvaluateSettings
from cso.taxonomy import Taxonomy
from cso.transcript import read_reply


@dataclass(slots=True)
class Session:
    """Talks to `speaker`. The n-th reply that is asked for, from 0, is drawn by seed + n."""

    speaker: Speaker
    taxonomy: Taxonomy
    settings: EvaluateSettings
    screen: Screen
    conversation: Conversation
    asked: int = 0  # replies
    failed: int = 0  # lines that could not be done
    trimmed: bool = False  # whether the last reply was made without the oldest turns

    def take(self, line: str) -> bool:
        """Say or do what a line says; False: it ends the session."""
        try:
            command, rest = parse(writable(line))
            if command is None:
                self._say(rest)
            else:
                self._do(command, rest)
        except CsoError as error:
            self.failed += 1
            self.screen.mistake(str(error))
            self._kept()
            return True
        return command != "quit"

    def stopped(self) -> None:
        """The user did not wait for the reply."""
        self.screen.note("stopped")
        self._kept()

    def _say(self, text: str) -> None:
        if not text:
            return
        self.conversation = self.conversation.heard(text)
        if speaks_of_self_harm(text):
            self.screen.crisis()
        self._reply()

    def _do(self, command: str, argument: str) -> None:
        match command:
            case "why":
                self._why()
            case "say":
                self._reply(strategy_meant(argument, self.taxonomy))
            case "again":
                if self.conversation.reply and not self.settings.temperature:
                    self.screen.note("at temperature 0 a model in this process has one reply; see --temperature")
                self._reply()
            case "back":
                self.conversation = self.conversation.back()
                self.screen.note(f"taken back; {len(self.conversation.dialogue.turns)} turns are left")
            case "save":
                self._save(argument)
            case "help":
                self.screen.help(self.speaker.address)
            case "crisis":
                self.screen.crisis()
            case _:
                pass

    def _reply(self, strategy: str | None = None) -> None:
        history = self.conversation.asked()
        sample = self.settings.seed + self.asked
        self.asked += 1
        with self.screen.waiting():
            said = self.speaker.reply(history, strategy=strategy, sample=sample)
        name, words = read_reply(writable(said.text), self.taxonomy)
        self.conversation = self.conversation.answered(name, words)
        if said.trimmed and not self.trimmed:
            fits = f"{self.settings.max_length} tokens (evaluate.max_length)"
            self.screen.note(f"the oldest turns no longer fit into {fits}; from here on the model does not see them")
        self.trimmed = said.trimmed
        self.screen.reply(name, words)
        if said.cut_off:
            self.screen.note(f"cut off after {self.settings.max_tokens} tokens; see --max-tokens")

    def _why(self) -> None:
        history = self.conversation.asked()
        with self.screen.waiting():
            chances = self.speaker.chances(history)
        reply = self.conversation.reply
        self.screen.chances(chances, reply.strategy if reply else None)

    def _save(self, told: str) -> None:
        """Write the conversation where no file is yet, and say what a search could make of it."""
        self.conversation.asked()
        try:
            path = Path(told).expanduser().resolve()
            taken = path.exists()
        except (OSError, RuntimeError, ValueError) as error:  # too long a name, no such user, a null character
            raise InputError(f"/save {told}: expected the name of a file; {error}") from error
        if taken:
            raise InputError(f"/save {told}: expected a new file, found one of that name; choose another")
        write_dialogues([replace(self.conversation.dialogue, id=path.stem)], path)
        self.screen.note(f"saved: {path}")
        self.screen.note(read_corpus(path, self.taxonomy).summary())

    def _kept(self) -> None:
        if self.conversation.waits:
            self.screen.note("what you said is kept: /again asks for a reply, /back takes it back")
