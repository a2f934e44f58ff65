"""Data as it comes in: sources, batches, contracts and what validation says of them."""
