"""One thread a test process: two share two cores, and small models only wait for one another's threads."""

import os

from browser import page

__all__ = ["page"]  # a fixture

os.environ.setdefault("OMP_NUM_THREADS", "1")
