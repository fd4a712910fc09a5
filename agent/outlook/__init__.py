"""Asks around in quiet times: can each voice speak, and how far are the other regions."""
