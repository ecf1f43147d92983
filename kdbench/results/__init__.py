"""A results folder's files as types: records, plan.json, task.json, devices. Knows no statistics and no text."""
