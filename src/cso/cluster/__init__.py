"""The same work by the actors of a Ray cluster (extra `ray`): searches by dialogues, evaluations by prompts."""
