from __future__ import annotations

import sys

from ssl_methods.cli import main

sys.exit(main())
