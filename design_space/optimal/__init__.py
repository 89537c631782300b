"""Designs computed from laws."""
