"""Build the HTML report out of parts: chart numbers, tables, one stylesheet, one script."""
