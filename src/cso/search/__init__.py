"""From seed dialogues to conversation trees."""
