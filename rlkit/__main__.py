"""`python -m rlkit` is the command `rlkit`."""

import sys

from rlkit.run.cli import main

if __name__ == "__main__":
    sys.exit(main())
