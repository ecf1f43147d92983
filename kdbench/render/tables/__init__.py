"""The report's tables: cells that are already text, column by column. What shows a table adds only the dress."""
