"""What minichain costs on a GPU, beside PyTorch as it is usually run and at its best.

``python -m benchmarks --device cuda`` prints the tables. Read clock.py, ceilings.py, rows.py, then
a case. ``--device sim`` runs all of it without a GPU, on small data: a rehearsal.
"""
