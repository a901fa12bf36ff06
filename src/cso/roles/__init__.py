"""The four roles played by chat models: prompts in, readable answers out."""

from cso.roles.cast import ChatFor, Company
from cso.roles.remembered import remembered
from cso.roles.rubric import bundled_rubrics, load_rubric

__all__ = ["ChatFor", "Company", "bundled_rubrics", "load_rubric", "remembered"]
