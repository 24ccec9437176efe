"""`python -m bnkit` is the command `bnkit`."""

import sys

from bnkit.commands import main

if __name__ == "__main__":
    sys.exit(main())
