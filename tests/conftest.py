"""One thread a test process: two share two cores, and small models only wait for one another's threads."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
