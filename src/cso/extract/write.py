"""A preference dataset as a folder: rows for training, ESC-Pro's layout, statistics, card and figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from cso.dialogue import Dialogue
from cso.extract.card import card
from cso.extract.esc_pro import path_dialogues, to_json
from cso.extract.extraction import Preferences
from cso.extract.judging import DEFAULT_REWARD
from cso.extract.parquet import write_parquet
from cso.extract.paths import stages
from cso.extract.rows import KTO_COLUMNS, PAIR_COLUMNS, SFT_COLUMNS, Columns, Row, kto_row, pair_row, sft_row
from cso.extract.statistics import Statistics, statistics
from cso.files import remove, write_json, write_json_list, write_jsonl, write_text
from cso.settings import ExtractSettings, RewardSettings
from cso.taxonomy import Taxonomy
from cso.tree import Tree

VERSION = 1  # of statistics.json

_FIGURE = "figures/strategy_by_stage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a dataset comes from. `notes` are lines of the card, such as who played the roles."""

    taxonomy: Taxonomy
    reward: RewardSettings = DEFAULT_REWARD
    seeds: Sequence[Dialogue] | None = None  # None: those of the trees
    notes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, in the order of writing. No `figures`: matplotlib is not installed (extra `figures`)."""

    files: tuple[Path, ...]
    statistics: Statistics
    figures: bool


class _Table(NamedTuple):
    """One configuration. Its rows are made as they are written, once for each file."""

    name: str
    columns: Columns
    size: int
    rows: Callable[[], Iterator[Row]]


def write_preferences(
    folder: Path, trees: Sequence[Tree], made: Preferences, settings: ExtractSettings, origin: Origin
) -> Written:
    """Write the dataset `made`, of these `trees`, into `folder`, which is created where it is missing.

    pairs, kto, sft and, where asked for, random as .jsonl and .parquet; esc_pro.json; statistics.json; figures/;
    README.md last. Each file is whole or not there. Those of an earlier run that this one does not make (random,
    figures) are removed, so that the folder holds one dataset. Trees and preferences are held in memory, rows are made
    as they are written. Raises StoreError.
    """
    paths = path_dialogues(trees, made.pairs, settings)
    seeds = [tree.seed for tree in trees] if origin.seeds is None else origin.seeds
    numbers = statistics(seeds, paths, made.pairs, origin.taxonomy, found=made.found, reward=origin.reward)
    tables = _tables(trees, made, settings, origin)
    files: list[Path] = []
    for table in tables:
        files += [folder / f"{table.name}.jsonl", folder / f"{table.name}.parquet"]
        write_jsonl(files[-2], table.rows())
        write_parquet(files[-1], table.rows(), table.columns)
    if made.random is None:
        remove(folder / "random.jsonl")
        remove(folder / "random.parquet")
    files += [folder / "esc_pro.json", folder / "statistics.json"]
    write_json_list(files[-2], map(to_json, paths))
    sizes = {table.name: table.size for table in tables}
    write_json(files[-1], _summary(numbers, sizes, trees, made, with_path=len({path.dialogue.id for path in paths})))
    figures = _write_figures(folder, numbers)
    files += [*figures, folder / "README.md"]
    figure = f"{_FIGURE}.png" if figures else None
    supports = origin.taxonomy.supports
    told = card(numbers, sizes, made.dropped, settings, origin=origin.notes, figure=figure, supports=supports)
    write_text(files[-1], told)
    return Written(tuple(files), numbers, figures=bool(figures))


def _tables(trees: Sequence[Tree], made: Preferences, settings: ExtractSettings, origin: Origin) -> list[_Table]:
    where = stages(trees, settings)
    pair = partial(pair_row, taxonomy=origin.taxonomy, stages=where, reward=origin.reward)
    kto = partial(kto_row, taxonomy=origin.taxonomy, stages=where, reward=origin.reward)
    sft = partial(sft_row, taxonomy=origin.taxonomy, stages=where, reward=origin.reward)
    tables = [
        _Table("pairs", PAIR_COLUMNS, len(made.pairs), lambda: map(pair, made.pairs)),
        _Table("kto", KTO_COLUMNS, len(made.labelled), lambda: map(kto, made.labelled)),
        _Table("sft", SFT_COLUMNS, len(made.demonstrations), lambda: map(sft, made.demonstrations)),
    ]
    if (drawn := made.random) is not None:
        tables.append(_Table("random", PAIR_COLUMNS, len(drawn), lambda: map(pair, drawn)))
    return tables


def _summary(
    numbers: Statistics, sizes: Mapping[str, int], trees: Sequence[Tree], made: Preferences, *, with_path: int
) -> dict[str, object]:
    return {
        "version": VERSION,
        "trees": {
            "all": len(trees),
            "with_valid_path": with_path,
            "failed": sum(tree.failure is not None for tree in trees),
        },
        "rows": dict(sizes),
        "dropped": asdict(made.dropped),
        **numbers.to_json(),
    }


def _write_figures(folder: Path, numbers: Statistics) -> list[Path]:
    svg, png = folder / f"{_FIGURE}.svg", folder / f"{_FIGURE}.png"
    if find_spec("matplotlib") is None:
        remove(svg)
        remove(png)
        return []
    from cso.extract.figure import write_stage_figure  # here, because the extra `figures` may be missing

    write_stage_figure(numbers.stages, svg=svg, png=png)
    return [svg, png]
