"""One verb a module: what a command does, with everything it depends on handed in as arguments."""
