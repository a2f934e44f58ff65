"""`python -m gitrain`."""

import sys

from gitrain.cli import main

sys.exit(main())
