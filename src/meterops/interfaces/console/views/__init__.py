"""One module per page: each asks the fleet's `api` and hands frozen answers to a template."""
