"""Random numbers that belong to a sample, not to a stream.

A number is a function of (seed, epoch, purpose, sample) alone. Batch size, batch order, the number of
workers and which other samples are present cannot change it.
"""

import zlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def sample_keys(ids: np.ndarray) -> np.ndarray:
    """Turn content-based sample ids into integers.

    Args:
        ids: str (N,), 16 hexadecimal digits each, with ``~k`` behind the k-th exact duplicate.

    Returns:
        uint64 (N,).
    """
    return np.array([_key(i) for i in ids.tolist()], dtype=np.uint64)


def keyed_uniform(seed: int, epoch: int, keys: np.ndarray, *, purpose: str) -> np.ndarray:
    """Draw one uniform number per sample.

    Args:
        seed: The run's seed, 0 <= seed < 2**32.
        epoch: Counted from 1 in training.
        keys: uint64 (N,), from `sample_keys`.
        purpose: What the numbers are for; different purposes are independent.

    Returns:
        float64 (N,) in [0, 1).

    Source: SplitMix64's finaliser (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
    generators", OOPSLA) used as a hash, once per part of the key.
    """
    state = np.zeros(len(keys), dtype=np.uint64)
    for part in (seed, epoch, zlib.crc32(purpose.encode())):
        state = _mix(state ^ np.uint64(part))
    mixed = _mix(state ^ keys)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _key(sample_id: str) -> int:
    content, _, copy = sample_id.partition("~")
    return (int(content, 16) + int(copy or 0) * int(_GOLDEN)) % 2**64


def _mix(state: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is the point
        state = state + _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * _MIX_1
        state = (state ^ (state >> np.uint64(27))) * _MIX_2
    mixed: np.ndarray = state ^ (state >> np.uint64(31))
    return mixed
