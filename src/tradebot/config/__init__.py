"""The YAML that a person writes: its words, its units, and what is wrong with it, by line.

Owns the file language only; `app.py` turns it into core objects. Imports nothing heavier than
PyYAML and pydantic. `loader.load_config` is the way in.
"""

import os

# pydantic would search everything that is installed for plugins of its own: 20 ms, and code that nobody asked for.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
