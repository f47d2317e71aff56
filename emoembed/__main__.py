"""`python -m emoembed` is `emoembed`."""

import sys

from emoembed.cli import main

sys.exit(main())
