"""Data laws known exactly at every noise level."""
