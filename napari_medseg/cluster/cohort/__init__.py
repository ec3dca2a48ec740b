"""One piece of work over very many scans, a case a task, on Dask's workers here or elsewhere.

`places` says where scans and results lie, `cases` which there are, `jobs` what is done with one of them, `work` does it on a worker, `ledger` remembers what
is done, `workers` finds or starts the workers, `run` hands out cases a few at a time, and `engines` is all of it. Dask is imported when workers are wanted.
"""
