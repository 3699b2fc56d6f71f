"""Asks of data whether somebody poisoned it: triggers, labels, hidden text, answers, annotators, addresses, pictures.

Every test is a sketch that grows row by row and an end that states groups of rows; it can always say that it found nothing.
"""
