"""The admin page in a real browser."""
