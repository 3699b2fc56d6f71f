"""Tests models for backdoors before they are deployed. Needs the extra `backdoor`; nothing of a model is executed."""
