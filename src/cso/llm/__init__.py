"""Text in, text out: chat models, remembered answers, limits. The client of real endpoints is `cso.llm.openai`."""

from cso.llm.answers import Answers, RememberedChat
from cso.llm.chat import Chat, Completion, Message, Request
from cso.llm.limits import Budget, BudgetedChat, Limiter, Usage
from cso.llm.scripted import ScriptedChat

__all__ = [
    "Answers",
    "Budget",
    "BudgetedChat",
    "Chat",
    "Completion",
    "Limiter",
    "Message",
    "RememberedChat",
    "Request",
    "ScriptedChat",
    "Usage",
]
