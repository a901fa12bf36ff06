"""A trained model as strategist and supporter of the next search (extra `train`)."""
