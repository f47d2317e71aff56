"""`python -m emoembed` is `emoembed`."""

import sys

from emoembed.interfaces.cli import main

sys.exit(main())
