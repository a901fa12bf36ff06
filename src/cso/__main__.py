"""The command `cso`, also as `python -m cso`, which torchrun can start: `torchrun --nproc_per_node 8 -m cso ...`."""

import sys


def main() -> None:
    """The command line of `cso.cli.main`; whoever interrupts while its modules are still loading sees no traceback."""
    try:
        from cso.cli.main import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
