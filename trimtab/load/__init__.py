"""Open-loop load of real sentences: requests leave on time, whether or not earlier ones came back."""
