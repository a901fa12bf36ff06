"""Talking to a model in the terminal: what was said, what a line asks for, what is shown."""

from cso.chat.conversation import Conversation
from cso.chat.screen import Screen
from cso.chat.session import Session
from cso.chat.speakers import EndpointSpeaker, Said, Speaker

__all__ = ["Conversation", "EndpointSpeaker", "Said", "Screen", "Session", "Speaker"]
