"""Exact metrics of any number of rows, in bounded memory."""
