"""Values to Markdown. Reports fetch nothing."""
