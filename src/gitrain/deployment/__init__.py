"""Deployment: from what is desired and what runs to what is to be done, as values."""
