"""Tables of what a run's data are: Table 5, margins, what was dropped, toxicity."""

from __future__ import annotations

from collections.abc import Mapping

from cso.report.overview_tables import NOTHING, Cell, Table, cell, signed
from cso.report.shapes import Margins, Spread, StatisticsFile, ToxicityFile
from cso.taxonomy import Speakers


def data_tables(found: StatisticsFile, speakers: Speakers) -> list[Table]:
    """Table 5, the files' rows, margins."""
    return [_table5(found, speakers), _rows(found), _margins(found)]


def toxicity_tables(found: Mapping[str, ToxicityFile]) -> list[Table]:
    """A table a backend: means in percent by group, and how far rejected replies exceed chosen ones."""
    tables: list[Table] = []
    for backend, ratings in found.items():
        attributes = list(dict.fromkeys(name for means in ratings.groups.values() for name in means))
        rows: list[tuple[str | Cell, *tuple[Cell, ...]]] = [
            (
                group,
                Cell(f"{ratings.texts[group]:,}" if group in ratings.texts else NOTHING),
                *(cell(means.get(name), 100.0) for name in attributes),
            )
            for group, means in ratings.groups.items()
        ]
        if ratings.rejected_less_chosen:
            differences = [signed(ratings.rejected_less_chosen.get(name), 100.0, 2) for name in attributes]
            rows.append(("rejected minus chosen", Cell(""), *differences))
        notes = [f"{ratings.unread:,} texts without a readable rating are left out."] if ratings.unread else []
        if backend == "words":
            notes.append(
                "By a list of words: the share of texts with one of them, which tells no insult from a quotation."
            )
        head = ("texts", *(f"{name}, %" for name in attributes))
        tables.append(Table(f"Rated by: {backend}", head, rows, "share" if backend == "words" else "mean", notes))
    return tables


def _table5(found: StatisticsFile, speakers: Speakers) -> Table:
    told, none = found.table5, Cell(NOTHING)
    rows: list[tuple[str | Cell, *tuple[Cell, ...]]] = [
        (
            "seed dialogues",
            Cell(f"{told.seed_dialogues.dialogues:,}"),
            Cell(f"{told.seed.utterances:,}"),
            Cell(f"{told.seed_dialogues.mean_utterances:.2f}"),
            Cell(f"{told.seed.mean_words:.2f}"),
        )
    ]
    seeker = speakers.seeker.lower()
    for name, texts in ((seeker, told.seeker), ("preferred", told.preferred), ("rejected", told.rejected)):
        cells = (none, Cell(f"{texts.utterances:,}"), none, Cell(f"{texts.mean_words:.2f}"))
        rows.append((f"ESC-Pro, {name}", *cells))
    rows.append(
        (
            "ESC-Pro, all",
            Cell(f"{told.dialogues.dialogues:,}"),
            Cell(f"{told.all.utterances:,}"),
            Cell(f"{told.dialogues.mean_utterances:.2f}"),
            Cell(f"{told.all.mean_words:.2f}"),
        )
    )
    return Table("This run", ("dialogues", "utterances", "per dialogue", "words each"), rows)


def _rows(found: StatisticsFile) -> Table:
    rows: list[tuple[str | Cell, *tuple[Cell, ...]]] = [
        (f"{name}.jsonl", Cell(f"{count:,}")) for name, count in found.rows.items()
    ]
    rows += [
        (f"left out: {name.replace('_', ' ')}", Cell(f"{count:,}")) for name, count in found.dropped.items() if count
    ]
    return Table("Rows of the files", ("rows",), rows)


def _margins(found: StatisticsFile) -> Table:
    rows = [
        ("of Q", *_spread(found.margins.value)),
        ("of the judge's own-turn reward", *_spread(found.margins.reward)),
    ]
    notes = _contradicted(found.margins, "the pairs")
    if found.margins_found != found.margins:
        rows += [
            ("of Q, before any were dropped", *_spread(found.margins_found.value)),
            ("of the own-turn reward, before", *_spread(found.margins_found.reward)),
        ]
        notes += _contradicted(found.margins_found, "those found before any were dropped")
    head = ("pairs", "lowest", "median", "mean", "highest")
    return Table("Margins, chosen less rejected", head, rows, notes=notes)


def _spread(found: Spread) -> tuple[Cell, ...]:
    ends = (found.lowest, found.median, found.mean, found.highest)
    return Cell(f"{found.count:,}"), *(Cell(NOTHING if end is None else f"{end:.2f}") for end in ends)


def _contradicted(found: Margins, what: str) -> list[str]:
    rated = found.reward.count
    if not rated:
        return [f"The judge marked both replies of none of {what}: cso extract RUN --judge asks for what is missing."]
    return [
        f"Of {what}, the judge marked both replies of {rated:,} and puts the rejected one higher in "
        f"{found.contradicted:,}; {found.unrated:,} have not both marks."
    ]
