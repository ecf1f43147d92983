"""The report as files: page, Markdown, LaTeX, CSV, terminal."""
