"""What is shown: on a terminal with colours and wrapped, elsewhere plain. Nothing reaches it as a model wrote it."""

from __future__ import annotations

import unicodedata
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from cso.chat.conversation import COMMANDS
from cso.chat.notice import CRISIS, notice
from cso.palette import colour
from cso.taxonomy import Taxonomy
from cso.transcript import tag

BAR = 24  # characters of the longest bar
_HIDDEN = {"Cc", "Cs", "Zl", "Zp"}  # control characters, half characters, separators of lines and paragraphs
_TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they turn the direction of what follows


def harmless(text: str) -> str:
    """The text with U+FFFD for all that could move the cursor, set colours, hide words or reorder them."""
    return "".join(
        char if char in "\n\t" or not (unicodedata.category(char) in _HIDDEN or char in _TURNING) else "\ufffd"
        for char in text.replace("\r\n", "\n")
    )


@dataclass(frozen=True, slots=True)
class Screen:
    """`plain`: no colours, and lines as they are, for whatever reads them."""

    console: Console
    taxonomy: Taxonomy
    plain: bool

    def welcome(self, model: str, address: str | None) -> None:
        self._lines(*notice(self.taxonomy, address))
        self.note(f"{model}, {self.taxonomy.name}: {', '.join(self.taxonomy.names)}. /help lists what can be asked.")
        self._lines("")

    def help(self, address: str | None) -> None:
        usage = {f"/{name} {told}".strip(): words for name, (told, words) in COMMANDS.items()}
        width = max(map(len, usage))
        self._lines(
            *(f"  {name:{width}}   {words}" for name, words in usage.items()),
            f"  {'//...':{width}}   say something that begins with a slash",
            "",
            *notice(self.taxonomy, address),
        )

    def crisis(self) -> None:
        self._lines(*CRISIS, "", style="bold")

    def note(self, text: str) -> None:
        self._lines(text, style="dim")

    def mistake(self, text: str) -> None:
        self._lines(f"cso: {text}", style="red")

    def reply(self, strategy: str | None, words: str) -> None:
        """The strategy on a line of its own, then the words."""
        if strategy is None:
            self.note("(no strategy could be read)")
        else:
            shown = tag(strategy) if self.plain else strategy
            self._lines(shown, style=f"bold {colour(self.taxonomy.names.index(strategy))}")
        self._lines(words or "(no words)", "")

    def chances(self, chances: Sequence[float], said: str | None) -> None:
        """A bar for each strategy, the likeliest first; `said` is marked."""
        self.note("how likely each strategy is to open this reply:")
        width = max(map(len, self.taxonomy.names))
        mark = "#" if self.plain or self.console.options.ascii_only else "█"
        places = sorted(range(len(chances)), key=lambda place: -chances[place])
        for place in places:
            name = self.taxonomy.names[place]
            line = Text(f"{name:{width}} {100 * chances[place]:5.1f} % ")
            line.append(mark * round(BAR * chances[place] / chances[places[0]]), "" if self.plain else colour(place))
            line.append(" said" if name == said else "")
            line.rstrip()
            self._print(line)
        self._lines("")

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Meanwhile a terminal shows that something is being written."""
        if self.plain:
            yield
            return
        with self.console.status("...", spinner="line", refresh_per_second=4):
            yield

    def _lines(self, *lines: str, style: str = "") -> None:
        for line in lines:
            self._print(Text(harmless(line), style="" if self.plain else style))

    def _print(self, text: Text) -> None:
        self.console.print(text, soft_wrap=not self.console.is_terminal)
