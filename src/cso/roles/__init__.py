"""The cast played by chat models: one file a role (`render` and `parse` are pure), prompts in files."""

from cso.roles.cast import ChatRoles, chat_roles
from cso.roles.judge import ChatJudge
from cso.roles.prompt import prompt_text
from cso.roles.remembered import remembered
from cso.roles.rubric import bundled_rubrics, load_rubric
from cso.roles.seeker import ChatSeeker
from cso.roles.strategist import ChatStrategist
from cso.roles.supporter import ChatSupporter

__all__ = [
    "ChatJudge",
    "ChatRoles",
    "ChatSeeker",
    "ChatStrategist",
    "ChatSupporter",
    "bundled_rubrics",
    "chat_roles",
    "load_rubric",
    "prompt_text",
    "remembered",
]
