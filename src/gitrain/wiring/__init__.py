"""The composition root: settings and files become the arguments of operations, one module a subject.

Nothing is imported here: what only starts and stops services has no second to spare for data contracts, which
`gitrain.wiring.repository` brings with it.
"""
