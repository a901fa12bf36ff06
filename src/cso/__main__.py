"""`python -m cso`, which torchrun can start: `torchrun --nproc_per_node 8 -m cso train RUN ...`."""

from cso.cli.main import main

main()
