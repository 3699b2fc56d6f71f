"""Pools of clean and backdoored models, and how well their backdoors are found."""
