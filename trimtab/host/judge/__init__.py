"""Facts → findings. Pure: every judgement is a table of examples in the tests."""
