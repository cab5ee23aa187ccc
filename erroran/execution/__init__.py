"""Where runs execute.

``driver`` takes the leases and writes the store; it hands tasks to an executor: ``local`` (this process or worker
processes on this machine), ``dask`` or ``ray``. ``task`` is what a worker gets, does and gives back. ``choose`` makes
the executor that the options ``--executor`` and ``--jobs`` ask for.
"""
