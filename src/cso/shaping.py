"""Which settings shape a tree: those that a run must be told alike to go on."""

from __future__ import annotations

from typing import Any, cast

from cso.settings import Settings

LATER = (
    ("cast", "policy"),
    ("search", "first_play"),
    ("search", "settled"),
)  # settings that shape trees and came after trees of the format were first written


def shaping(settings: Settings) -> dict[str, Any]:
    """The settings that shape a tree: neither endpoints, prices and limits, nor what is asked ahead or extracted.

    A policy's model goes by its files, which `wording` knows, and not by where they lie: a run can be moved.
    What `LATER` names is left out where it is at its default, so that trees from before it are still this run's.
    """
    content, default = (
        each.model_dump(
            mode="json",
            exclude={
                **dict.fromkeys(("limits", "ray", "extract", "train", "evaluate"), True),
                "search": {"speculate", "executor"},
            },
        )
        for each in (settings, Settings())
    )
    if settings.cast.policy.model is not None:
        content["cast"]["policy"]["model"] = "a model"
    for role in content["cast"].values():
        if isinstance(role, dict):
            for name in ("base_url", "api_key_env", "price"):
                cast(dict[str, Any], role).pop(name, None)
    for stage, name in LATER:
        if content[stage][name] == default[stage][name]:
            del content[stage][name]
    return content
