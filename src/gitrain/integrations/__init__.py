"""One vendor a module: the only places that import its SDK or call its program."""
