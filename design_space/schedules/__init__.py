"""Noise schedules: a variance schedule times a time schedule, and named designs."""
