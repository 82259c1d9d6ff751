"""Turns scores and facts into a report: Markdown, CSV, JSON and plots. Knows neither Ray nor MLflow."""
