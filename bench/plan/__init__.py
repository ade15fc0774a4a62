"""A suite file becomes cells with keys, and the scores that each cell should have.

In: YAML, and what plug-ins declare. Out: a `Plan`: cells, who needs whom, which scores under which
protocol. Imports no torch, so that ten thousand cells are planned at once.
"""
