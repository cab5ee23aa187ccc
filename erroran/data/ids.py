"""Names of samples, made from their pixels, and choices that depend on nothing else."""

import hashlib
import struct
from collections import Counter

import numpy as np

ID_LENGTH = 16
"""Hex digits of an id before the number of a copy; 64 bits, so chance collisions do not happen."""


def sample_ids(images: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Name each image by its content, so that a name survives reordering.

    Args:
        images: ``uint8`` of shape (N, H, W, C).
        labels: Integers of shape (N,). They only number exact copies of one image, so that copies
            with different labels keep their numbers when the order changes.

    Returns:
        Strings of shape (N,), all different: 16 hex digits (BLAKE2b of size and pixels); further
        copies of an image end in ``~1``, ``~2`` ...
    """
    assert images.dtype == np.uint8, images.dtype
    pixels = np.ascontiguousarray(images)
    _, height, width, channels = pixels.shape
    # The size goes into `person`, which holds 16 bytes. Grey images have no salt: their ids are older than colour.
    size, salt = struct.pack("<QQ", height, width), b"" if channels == 1 else struct.pack("<Q", channels)
    step = height * width * channels
    buffer = pixels.reshape(-1).data
    hashes = [
        hashlib.blake2b(buffer[start : start + step], digest_size=ID_LENGTH // 2, person=size, salt=salt).hexdigest()
        for start in range(0, len(buffer), step)
    ]
    return _number_copies(np.array(hashes, dtype=f"U{ID_LENGTH}"), labels)


def strip_copy_numbers(ids: np.ndarray) -> np.ndarray:
    """Ids of shape (N,) without ``~1``, ``~2``: equal exactly where the images are equal."""
    return ids.astype(f"U{ID_LENGTH}")


def choose_by_id(ids: np.ndarray, labels: np.ndarray, *, fraction: float, purpose: str) -> np.ndarray:
    """Choose a stratified part that depends on the content alone, not on order or a seed.

    Inside each class the samples are sorted by a hash of id and purpose; the first
    ``round(fraction * n)`` are chosen, at least one, and at least one is left.

    Args:
        ids: Strings of shape (N,), all different.
        labels: Integers of shape (N,); each class has at least two samples.
        fraction: Chosen share of each class, in (0, 1).
        purpose: What the part is for; different purposes give independent choices.

    Returns:
        Booleans of shape (N,), true where chosen.
    """
    ranks = [hashlib.blake2b(f"{purpose}:{name}".encode()).digest() for name in ids.tolist()]
    chosen = np.zeros(len(ids), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        chosen[sorted(members.tolist(), key=ranks.__getitem__)[:count]] = True
    return chosen


def choose_stratified(ids: np.ndarray, labels: np.ndarray, *, count: int, purpose: str) -> np.ndarray:
    """As `choose_by_id`, with exactly so many chosen in all.

    Each class gives its share of `count`, rounded down; the samples that are left over come from the classes with the
    largest remainders (method of Hamilton), the smaller label first on a tie.

    Args:
        ids: Strings of shape (N,), all different.
        labels: Integers of shape (N,).
        count: How many, 0 to N.
        purpose: What the part is for.

    Returns:
        Booleans of shape (N,), true where chosen.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    quotas, remainders = np.divmod(count * sizes, len(labels))
    quotas[np.argsort(-remainders, kind="stable")[: count - quotas.sum()]] += 1
    ranks = [hashlib.blake2b(f"{purpose}:{name}".encode()).digest() for name in ids.tolist()]
    chosen = np.zeros(len(ids), dtype=bool)
    for label, quota in zip(classes, quotas.tolist(), strict=True):
        members = np.flatnonzero(labels == label).tolist()
        chosen[sorted(members, key=ranks.__getitem__)[:quota]] = True
    return chosen


def _number_copies(hashes: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    copied = np.flatnonzero(sizes[group] > 1)
    if copied.size == 0:
        return hashes
    if labels is not None:
        # A stable sort: copies that share image and label are interchangeable.
        copied = copied[np.argsort(labels[copied], kind="stable")]
    seen: Counter[str] = Counter()
    numbered = hashes.tolist()
    for index in copied.tolist():
        name = numbered[index]
        if seen[name]:
            numbered[index] = f"{name}~{seen[name]}"
        seen[name] += 1
    return np.array(numbered)
