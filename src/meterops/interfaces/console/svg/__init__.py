"""Drawings made on the server: nothing here needs a script in the browser."""
