"""Chainer 7.8.1's numbers, recorded once, against which minichain is compared.

Read in this order: table.py (how a case is written), cases_*.py (the cases), runner.py (how one is
run on either library), record.py (runs them on Chainer and writes the .npz files), test_*.py (run
them on minichain and compare).
"""
