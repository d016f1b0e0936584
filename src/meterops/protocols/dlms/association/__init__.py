"""Application associations: the client's side and what it needs to know."""
