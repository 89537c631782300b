"""The report: one page with every finding, figure and table, that needs no other file."""
