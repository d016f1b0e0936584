"""A living fleet and its grid, for demonstrations and tests; speaks to the outside through protocols only."""
