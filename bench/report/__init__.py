"""Rows become files: tables, figures and one page.

In: a plan and a store. Out: markdown, LaTeX, CSV, PDF, PNG, HTML. No torch, no training code.
"""
