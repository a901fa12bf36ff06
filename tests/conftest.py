"""One thread a test process: two share two cores, and small models only wait for one another's threads. No deadlines:
what a busy machine takes long for is no failure.
"""

import os

from hypothesis import settings

from browser import page

__all__ = ["page"]  # a fixture

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("cso", deadline=None)
settings.load_profile("cso")
