"""The parts of `tests/sdk/openai-suite`."""
