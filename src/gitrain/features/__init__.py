"""Features: declared once, computed point in time, the same for training and serving."""
